"""The configuration of this device and its ledger on disk: what runs, and what the local file says."""

import asyncio
from itertools import islice
from pathlib import Path
from typing import Any, Self

import structlog

from agent.config.layers import in_force, tree_of
from agent.config.ledger import FILE, PushResult, save_ledger
from agent.config.loader import digest, folder_beside, parse
from agent.config.merge_patch import changed_paths
from agent.config.model import Config
from agent.config.partial import parse_in_part
from agent.config.push_check import Local
from agent.config.startup import SHOWN_CHARACTERS, SHOWN_PATHS, Startup, choose
from agent.config.trial import TrialSteps
from agent.domain.yaml_loader import BadConfig, read_text
from agent.runtime.error_text import error_reason
from agent.trust.order import GROUP

log = structlog.get_logger()

OVERLAID = "the broker of the local file did not work: the broker from before the edit is used"


class KeptConfiguration:
    """The configuration in force, its ledger, and the local file that it rests on."""

    def __init__(self, local: Path, folder: Path, start: Startup) -> None:
        self._file = folder / FILE
        self._local_file = local
        self._base = folder_beside(local)
        self._drift: list[str] = []
        self._drift_of: str | None = start.ledger.active.local_sha256
        self.ledger = start.ledger
        self.config = start.config
        """The configuration in force."""
        self.faults = start.faults
        """The parts of the configuration in force that are wrong, and run as before or not at all."""
        self.trouble = start.trouble or (OVERLAID if self.is_overlaid() else None)
        """Why the configuration in force differs from the local file, or None."""
        self._unsaved: str | None = None
        """The trouble of a ledger that the disk has refused."""

    @classmethod
    def boot(cls, local: Path, folder: Path) -> Self:
        """Runs `agent.config.startup.choose`, and records its choice."""
        kept = cls(local, folder, choose(local, folder))
        try:
            save_ledger(kept._file, kept.ledger)
        except OSError as error:  # the device runs, but can't record a push
            kept._note_unsaved(error)
        return kept

    @property
    def base(self) -> Path:
        """The folder at which relative paths of the configuration start."""
        return self._base

    @property
    def local_file(self) -> Path:
        """The file at the device, which no push changes."""
        return self._local_file

    def is_overlaid(self) -> bool:
        """Whether the local file runs with another broker than it names."""
        active = self.ledger.active
        return active.source == "local" and active.sha256 != active.local_sha256

    def reported(self) -> dict[str, Any]:
        """The fields of ``config/reported``: the result of the last push, the configuration in force and its
        layers, and what a local edit changed (``drift``).
        """
        fields = self.ledger.fields()
        targets = [GROUP + name for name in self.config.all_groups()]
        if layers := in_force(targets, self.ledger.active.all_layers()):
            fields["layers"] = layers
        if drift := self._drift or self.ledger.drift:
            fields["drift"] = drift
        if self.trouble:
            fields["trouble"] = self.trouble
        if self.faults:
            fields["faults"] = [fault[:300] for fault in self.faults[:10]]
            if fields["state"] == "applied":
                fields["state"] = "degraded"
        return fields

    async def check_drift(self) -> bool:
        """Reads the local file; whether it differs in another way than before from the file at the start."""
        drift = await asyncio.to_thread(self._read_drift)
        if drift is None or drift == self._drift:
            return False
        self._drift = drift
        log.warning("config_drift", paths=drift)
        return True

    def _read_drift(self) -> list[str] | None:
        """The paths in which the local file was edited since the start; None where it is as it was read."""
        try:
            text = read_text(self._local_file)
            sha256 = digest(text)
            if sha256 == self._drift_of:
                return None
            edited = sha256 != self.ledger.active.local_sha256
            paths = changed_paths(tree_of(self._local_text()), tree_of(text)) if edited else ()
            drift = [path[:SHOWN_CHARACTERS] for path in islice(paths, SHOWN_PATHS)] or (
                ["(comments)"] if edited else []
            )
            self._drift_of = sha256
        except OSError as error:
            self._drift_of = None
            return [f"(the file: {error_reason(error)})"]
        except BadConfig as error:
            self._drift_of = None
            return [f"(not valid: {error.problems[0].message})"]
        return drift

    def local_file_config(self) -> Config:
        """The configuration of the file at the device."""
        return self._local().config

    def _local_text(self) -> str:
        """The local file as it was at the start; where it was broken, its last valid version."""
        ledger = self.ledger
        versions = (ledger.local, *([ledger.active] if ledger.active.source == "local" else ledger.history))
        texts = (version.text for version in versions if version is not None and version.source == "local")
        return next(texts, ledger.active.text)

    def _local(self) -> Local:
        """`_local_text` with its configuration."""
        text = self._local_text()
        try:
            return Local(text, parse(text, name="", base=self._base, ran_before=True))
        except BadConfig:
            try:
                earlier = [version.text for version in self.ledger.history]
                return Local(text, parse_in_part(text, name="", base=self._base, earlier=earlier)[0])
            except BadConfig:
                return Local(text, self.config)

    async def _settle(self, result: PushResult, steps: TrialSteps) -> None:
        self.ledger = self.ledger.with_result(result)
        await self._save_if_possible()
        await steps.report()

    async def _save_if_possible(self) -> bool:
        """Whether it was saved; else it holds until the next start, which returns to the saved one."""
        try:
            await asyncio.to_thread(save_ledger, self._file, self.ledger)
        except OSError as error:
            self._note_unsaved(error)
            return False
        if self._unsaved is not None and self.trouble == self._unsaved:
            self.trouble = OVERLAID if self.is_overlaid() else None
        self._unsaved = None
        return True

    async def save_refused(self) -> bool:
        """Tries again to write what the disk has refused; whether it took it now."""
        return self._unsaved is not None and await self._save_if_possible()

    def _note_unsaved(self, error: OSError) -> None:
        self.trouble = self._unsaved = f"{FILE} can't be written: {error_reason(error)}"
        log.error("config_ledger_not_saved", error=str(error))
