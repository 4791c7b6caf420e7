"""The way back to a broker that worked: after a push to another one, and after an edit of the local file.

After a pushed change of broker the configuration before stays available for a week of running time; what has
come since under several signatures stays in force. After an
edit at the device the broker that worked last is kept until the new one works; then the edited file runs with
that broker, and the file's own is tried again from time to time.
"""

import asyncio
from contextlib import suppress

import structlog

from agent.config.kept_configuration import OVERLAID, KeptConfiguration
from agent.config.layers import DEVICE, Layer, text_of, tree_of
from agent.config.ledger import PushResult, Version
from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.trial import TrialSteps
from agent.domain.yaml_loader import BadConfig

log = structlog.get_logger()

NOT_WORKING = "its broker was not reached, or gave no receipts, for {}"
"""Why the device goes back; the time it waited is filled in."""


class BrokerFallback(KeptConfiguration):
    """The brokers from before the one in force."""

    @property
    def has_fallback(self) -> bool:
        """Whether another broker may be tried where the one in force does not work."""
        return self.ledger.fallback is not None or self._worked_elsewhere() is not None

    def fallback_config(self) -> Config | None:
        """The configuration to try where the broker in force does not work, if there is one."""
        version = self._fallback_version()
        return None if version is None else self._parsed(version)

    def _parsed(self, version: Version) -> Config | None:
        with suppress(BadConfig):
            return parse(version.text, name="", base=self._base, ran_before=True)
        return None

    def _worked_elsewhere(self) -> Version | None:
        """The local file with the broker that worked before its edit, where it names another one."""
        active, worked = self.ledger.active, self.ledger.worked
        if active.source != "local" or worked is None or self.is_overlaid():
            return None
        with suppress(BadConfig):
            tree = tree_of(active.text)
            if tree.get("broker") != worked:
                text = text_of({**tree, "broker": worked})
                return active.model_copy(update={"text": text, "sha256": digest(text)})
        return None

    def _fallback_version(self) -> Version | None:
        """The version to go back to. A broker that gives no receipts undoes nothing that takes signatures:
        where the version before would, it is the one in force, with the broker from before.
        """
        kept = self.ledger.fallback
        if kept is None:
            return self._worked_elsewhere()
        before = self._parsed(kept)
        undone = () if before is None else changes(before, self.config, self._local().config)
        if all(change.guard == "free" or change.path.startswith("broker.") for change in undone):
            return kept
        active = self.ledger.active
        with suppress(BadConfig):
            text = text_of({**tree_of(active.text), "broker": tree_of(kept.text).get("broker")})
            layers = {name: layer for name, layer in active.all_layers().items() if name != DEVICE}
            whole = Layer(revision=active.revision_of(None) or 0, sha256=digest(text))
            return active.model_copy(
                update={"text": text, "sha256": digest(text), "layers": {**layers, DEVICE: whole}}
            )
        return None

    async def note_working(self) -> None:
        """The centre is reached under the broker in force: it is the one to go back to after an edit."""
        with suppress(BadConfig):
            tree = await asyncio.to_thread(tree_of, self.ledger.active.text)
            broker = tree.get("broker")
            if isinstance(broker, dict) and broker != self.ledger.worked:
                self.ledger = self.ledger.model_copy(update={"worked": broker})
                await self._save_if_possible()

    async def count_running_time(self, seconds: float) -> None:
        """Counts down the time of the fallback, by no clock that can be set."""
        if self.ledger.fallback is None:
            return
        before_s = self.ledger.fallback_left_s
        left_s = before_s - seconds
        self.ledger = self.ledger.with_fallback(self.ledger.fallback if left_s > 0 else None, left_s)
        if left_s <= 0 or int(left_s // 3600) != int(before_s // 3600):
            await self._save_if_possible()

    async def return_to_fallback(self, reason: str, steps: TrialSteps, within_s: float = 60.0) -> bool:
        """Tries the fallback, and keeps it where it is proved; else the configuration in force runs on."""
        before, version = self.ledger.active, await asyncio.to_thread(self._fallback_version)
        if version is None or not await self._switch(version, steps, within_s):
            return False
        self.ledger = self.ledger.with_fallback(None)
        self.trouble = OVERLAID if self.is_overlaid() else None
        log.warning("config_rolled_back", revision=before.revision, reason=reason)
        result = PushResult(
            state="rolled_back",
            revision=before.revision,
            sha256=before.sha256,
            target=before.target,
            reason=reason,
        )
        await self._settle(result, steps)
        return True

    def local_config(self) -> Config | None:
        """The local file as it is, where it runs with the broker from before its edit."""
        return self._parsed(self._unchanged()) if self.is_overlaid() else None

    def _unchanged(self) -> Version:
        text = self._local_text()
        return self.ledger.active.model_copy(update={"text": text, "sha256": digest(text)})

    async def return_to_local(self, steps: TrialSteps, within_s: float = 60.0) -> bool:
        """Tries the broker of the local file again, and keeps it where it is proved."""
        if not self.is_overlaid() or not await self._switch(self._unchanged(), steps, within_s):
            return False
        self.trouble = None
        await self._save_if_possible()
        await steps.report()
        return True

    async def _switch(self, version: Version, steps: TrialSteps, within_s: float) -> bool:
        """Whether the centre was reached under ``version``, which is in force then."""
        config, before_config = await asyncio.to_thread(self._parsed, version), self.config
        if config is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                await steps.apply(config)
                await steps.prove()
        except Exception as error:  # whatever it is, the configuration in force must come back
            log.warning("fallback_failed", error=f"{type(error).__name__}: {error}")
            await steps.apply(before_config)
            return False
        self.config, self.faults = config, ()
        self.ledger = self.ledger.with_active(version)
        return True
