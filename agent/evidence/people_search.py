"""The redaction pass: a detector looks for people in a picture once more, closely, before it leaves.

`PeopleSearch.find` is for pictures that leave; `PeopleSearch.find_gently` for a page at the device: it waits
while a camera or a picture of an alert wants a detector, and never takes more than `LOOK_SHARE` of the
machine.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping

import structlog

from agent.host.clock import monotonic_s
from agent.privacy.redaction import REDACTION_PASSES, find_people
from agent.runtime.native_calls import within
from agent.vision.detector import DetectorSettings
from agent.vision.inference_pool import SHARED_POOL
from models.detection import Box, Detect, Detection, Frame

log = structlog.get_logger()

REDACTION_LIMIT_S = 20.0
"""The redaction pass over one picture may take this long; after that the picture leaves fully redacted."""
RETRY_AFTER_S = 60.0
"""After a failed redaction pass none starts for this long: each hanging detector takes a thread."""
LOOK_LIMIT_S, LOOK_HANGS_S = 60.0, 90.0
"""The same for a pass that waits for others; after the second its detector hangs."""
LOOK_SHARE = 0.25
"""The part of the machine's processor time that passes for a page may take, all cameras together."""
YIELDS_S, POLL_S = 0.3, 0.005
"""How long an inference of such a pass waits for others at most."""


def set_trouble(troubles: dict[str, str], topic: str, text: str) -> None:
    """Records what is wrong, and logs it when the text is new."""
    if troubles.get(topic) != text:
        log.warning("evidence_trouble", what=topic, text=text)
    troubles[topic] = text


class PeopleSearch:
    """Finds people with the detector of each camera. ``troubles`` names cameras whose pass fails."""

    def __init__(self, troubles: dict[str, str]) -> None:
        self._troubles = troubles
        self._detectors: Mapping[str, Callable[[], Detect]] = {}
        self._not_until_s: dict[str, float] = {}
        """By camera: until when no redaction pass starts (monotonic)."""
        self._no_look_until_s: dict[str, float] = {}
        self._urgent = 0
        """Passes under way for pictures that leave."""
        self._looking = asyncio.Lock()
        self._pass: asyncio.Future[tuple[Box, ...] | None] | None = None

    def configure(self, detectors: Mapping[str, Callable[[], Detect]]) -> None:
        """By camera: how its detector is loaded; for any other the default detector runs."""
        self._detectors = detectors
        self._not_until_s.clear()
        self._no_look_until_s.clear()

    async def find(self, camera: str, frame: Frame) -> tuple[Box, ...] | None:
        """The people in a picture before it leaves; None where the detector can't run (see `troubles`)."""
        now_s = monotonic_s()
        if now_s < self._not_until_s.get(camera, 0.0):
            return None
        load = self._detectors.get(camera, DetectorSettings().finder)

        def redaction_pass() -> tuple[Box, ...]:
            detect = load()

            def detect_in_time(frame: Frame) -> tuple[Detection, ...]:
                if monotonic_s() > now_s + REDACTION_LIMIT_S:  # no hang, but this machine is too slow
                    raise TimeoutError(
                        f"{REDACTION_PASSES} inferences take longer than {REDACTION_LIMIT_S:g} s here"
                    )
                return detect(frame)

            return find_people(frame, detect_in_time)

        self._urgent += 1
        try:
            doing = f"looking for people in a picture of {camera}"
            people = await within(REDACTION_LIMIT_S, redaction_pass, doing)
        except Exception as error:  # also of the inference runtime
            self._not_until_s[camera] = monotonic_s() + RETRY_AFTER_S
            text = f"pictures of {camera} leave fully redacted: {error}"
            set_trouble(self._troubles, f"redaction {camera}", text)
            return None
        finally:
            self._urgent -= 1
        self._not_until_s.pop(camera, None)
        self._troubles.pop(f"redaction {camera}", None)
        return people

    async def find_gently(self, camera: str, frame: Frame) -> tuple[Box, ...] | None:
        """The people in a picture that somebody looks at; None where the detector can't run.

        One pass at a time, with a rest after each. A failure does not keep `find` from trying. Where it is
        cancelled, its thread ends before its next inference, and no other begins until then.
        """
        await self._looking.acquire()
        wanted = [True]
        self._pass = asyncio.ensure_future(self._gentle_pass(camera, frame, wanted))
        try:
            return await asyncio.shield(self._pass)
        finally:
            wanted.clear()

    async def _gentle_pass(self, camera: str, frame: Frame, wanted: list[bool]) -> tuple[Box, ...] | None:
        """One pass and its rest, and then the turn of the next; ends early once ``wanted`` is empty."""
        now_s, used_s = monotonic_s(), 0.0
        load = self._detectors.get(camera, DetectorSettings().finder)

        def search() -> tuple[Box, ...] | None:
            nonlocal used_s
            detect = load()

            def detect_after_others(frame: Frame) -> tuple[Detection, ...]:
                self._wait_for_others()
                if not wanted:
                    raise InterruptedError("nobody looks any more")
                if monotonic_s() > now_s + LOOK_LIMIT_S:
                    raise TimeoutError(f"the search takes longer than {LOOK_LIMIT_S:g} s here")
                return detect(frame)

            try:
                return find_people(frame, detect_after_others)
            except InterruptedError:
                return None
            finally:
                used_s = time.thread_time()

        try:
            if now_s < max(self._not_until_s.get(camera, 0.0), self._no_look_until_s.get(camera, 0.0)):
                return None
            return await within(LOOK_HANGS_S, search, f"looking for people in a view of {camera}")
        except Exception as error:  # also of the inference runtime
            self._no_look_until_s[camera] = monotonic_s() + RETRY_AFTER_S
            log.warning("look_fully_redacted", camera=camera, error=str(error))
            return None
        finally:
            rest_s = used_s / (LOOK_SHARE * len(os.sched_getaffinity(0))) - (monotonic_s() - now_s)
            asyncio.get_running_loop().call_later(max(0.0, rest_s), self._looking.release)

    def _wait_for_others(self) -> None:
        """Returns once no frame waits for the pool and no picture leaves, or after `YIELDS_S`."""
        until_s = monotonic_s() + YIELDS_S
        while (self._urgent or SHARED_POOL.behind()) and monotonic_s() < until_s:
            time.sleep(POLL_S)
