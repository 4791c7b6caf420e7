"""The proof of a trial: the centre is reached, and what the push changed or added works.

The centre is reached once it gives a receipt; a broker that acknowledges may have no centre behind it. A
source that worked before, a ``required`` one and a camera have to work under the push; any other new source
leads to a warning.
"""

import asyncio
from collections.abc import Callable, Mapping

from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.trial import BrokenSourceError
from agent.host.clock import monotonic_s, read_clocks
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health
from agent.runtime.native_calls import within
from agent.vision.camera import Camera
from firmware_bridge.source import SourcePart

PROBE_EVERY_S = 0.2
NEW_SOURCE_WITHIN_S = 15.0
"""A new source has this long for its first value; without one the push is applied with a warning."""
LEAST_WIDTH, LEAST_HEIGHT = 64, 48
"""Pixels of a plausible frame."""
SIZE_WITHIN_S = 6.0
"""A camera reports the size of its frames within this time of its first value."""


class TrialProof:
    """Asks the link and the health record whether a configuration on trial works."""

    def __init__(
        self,
        deployment: Deployment,
        outbox: Outbox,
        link: Link,
        health: Health,
        reporter: Reporter,
        running: Callable[[], Config],
    ) -> None:
        """``running`` gives the configuration that runs, also one on trial."""
        self._deployment = deployment
        self._outbox = outbox
        self._link = link
        self._health = health
        self._reporter = reporter
        self._running = running

    async def prove(self) -> None:
        """Returns once the centre is reached under the trial: with receipts, once its receipt for a message
        of this trial is here; without, once the broker has acknowledged a message.
        """
        await self._link.acknowledged()
        if self._running().broker.delivery != "receipt":
            return
        self._deployment.waiting_for = "no receipt of the centre arrived"
        trial = self._deployment.ledger.trial or self._deployment.ledger.active
        fields = {"command": "config", "command_id": f"config-{trial.revision or 0}", "state": "trial"}
        message = self._reporter.messages.command_result(fields, *read_clocks())
        receipt = asyncio.ensure_future(self._link.receipt_of(message.id))
        try:
            await self._outbox.put(message)
            await receipt
        finally:
            receipt.cancel()

    async def probe(self, before: Config, working: frozenset[str], within_s: float) -> list[str]:
        """Waits for a value of each source that differs from ``before``; returns the others without one.

        BrokenSourceError where one that has to work gives no value within ``within_s``, gives frames of no
        plausible size, or has a model that does not load.
        """
        sources, began_s = self._running().sources, monotonic_s()
        changed = {name for name, source in sources.items() if before.sources.get(name) != source}
        needed = {
            name for name in changed if name in working or is_needed(sources[name], before.sources.get(name))
        }
        await self._load_models(sources, changed - needed, before)
        while missing := changed - set(self._health.working(monotonic_s())):
            waited_s = monotonic_s() - began_s
            if waited_s > within_s or (waited_s > NEW_SOURCE_WITHIN_S and not missing & needed):
                break
            await asyncio.sleep(PROBE_EVERY_S)
        if lost := sorted(missing & needed):
            was = "; it worked before the push, but not" if lost[0] in working else "; it gave no value"
            raise BrokenSourceError(f"{lost[0]}: {self._error(lost[0])}{was} within {within_s:.0f} s")
        left_s = within_s - (monotonic_s() - began_s)
        for name in sorted(needed):
            if isinstance(sources[name], Camera):
                await self._check_size(name, min(left_s, SIZE_WITHIN_S))
        return [f"{name}: {self._error(name)}" for name in sorted(missing)]

    def _error(self, name: str) -> str:
        parts = {part["part"]: part for part in self._health.parts(monotonic_s())}
        return str(parts.get(name, {}).get("error", "sends nothing"))

    async def _check_size(self, name: str, within_s: float) -> None:
        """BrokenSourceError where the frames of a camera are too small to be pictures of a place."""
        until_s = monotonic_s() + within_s
        while monotonic_s() < until_s and self._health.frame_size(name) is None:  # noqa: ASYNC110
            await asyncio.sleep(PROBE_EVERY_S)
        size = self._health.frame_size(name)
        if size is not None and (size[0] < LEAST_WIDTH or size[1] < LEAST_HEIGHT):
            least = f"{LEAST_WIDTH}x{LEAST_HEIGHT}"
            raise BrokenSourceError(f"{name}: its frames have {size[0]}x{size[1]} pixels, fewer than {least}")

    async def _load_models(self, sources: Mapping[str, SourcePart], names: set[str], before: Config) -> None:
        """Loads the models of cameras that need not work: a new one that does not load is a mistake too."""
        for name in sorted(names):
            camera, known = sources[name], before.sources.get(name)
            if not isinstance(camera, Camera) or (
                isinstance(known, Camera) and known.detector == camera.detector
            ):
                continue
            try:
                load, doing = camera.detector.load, f"loading {camera.detector.model}"
                await within(camera.detector.max_load_s(), load, doing)
            except OSError as error:
                raise BrokenSourceError(f"{name}: {error}") from error


def is_needed(source: SourcePart, before: SourcePart | None) -> bool:
    """Whether a changed or new source that did not work before has to work under the push.

    A camera has to, unless it says ``required: false``, or was dead before at the same address.
    """
    if source.required or not isinstance(source, Camera):
        return source.required
    same_place = isinstance(before, Camera) and before.url == source.url
    return "required" not in source.model_fields_set and not same_place
