"""Chooses the configuration at the start: the local file where it is new or edited, else the one in force."""

import os.path
import re
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.config.cross_checks import model_errors
from agent.config.ledger import FILE, MAX_REVISION_STEP, Ledger, PushResult, Version, load_ledger
from agent.config.loader import digest, parse, read
from agent.config.model import Config, Data
from agent.domain.yaml_loader import MAX_BYTES, BadConfig, read_text

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Startup:
    """The outcome of the choice."""

    ledger: Ledger
    config: Config
    trouble: str | None
    """Why ``config`` differs from the local file, or None."""
    local_versions: list[Version]
    """Versions of the local file, the present one first."""


def choose(local: Path, folder: Path) -> Startup:
    """The configuration to run. A trial that a restart interrupted is rolled back.

    A broken local file does not silence a device that ran before: it goes on with the configuration in
    force. BadConfig or OSError only where there is no valid configuration at all.
    """
    before, damage = load_ledger(folder / FILE)
    result = None
    if before is not None and before.trial is not None:
        tried = before.trial
        result = PushResult(
            state="rolled_back",
            revision=tried.revision,
            sha256=tried.sha256,
            reason="the device restarted before the new configuration was proved",
        )
        log.warning("config_rolled_back", revision=tried.revision, reason=result.reason)
    kept = [] if before is None else [before.active, *before.history]
    candidates, unreadable = list(kept), None
    local_versions = [version for version in kept if version.source == "local"]
    try:
        text = read_text(local)
    except (BadConfig, OSError) as error:
        if before is None:
            raise
        unreadable = str(error)
    else:
        sha256 = digest(text)
        version = Version(text=text, sha256=sha256, source="local", local_sha256=sha256)
        edited = before is None or before.active.local_sha256 != sha256
        candidates = [version, *kept] if edited else [*kept, version]
        local_versions.insert(0, version)
    active, config, refusal = _first_valid(candidates, kept, local)
    ledger = Ledger(active=active) if before is None else before.model_copy(update={"active": active})
    ledger = ledger.model_copy(update={"trial": None, "answer": result or ledger.answer})
    if active.source == "local":
        ledger = ledger.model_copy(update={"fallback": None})
        if ledger.highest_revision > 2**53 - 1 - MAX_REVISION_STEP:  # accepted before there was a limit
            ledger = ledger.model_copy(update={"highest_revision": 0})
    return Startup(ledger, config, unreadable or refusal or damage, local_versions)


def _first_valid(
    candidates: list[Version], kept: list[Version], local: Path
) -> tuple[Version, Config, str | None]:
    """The first version that this software accepts, and why it refused an earlier one.

    A ``kept`` version ran before: it is accepted without its model's card, and then that is the reason given.
    """
    refusal: BadConfig | None = None
    for version in candidates:
        name = str(local) if version.source == "local" else f"revision {version.revision}"
        base = local.resolve().parent
        try:
            config = parse(version.text, name=name, base=base, ran_before=version in kept)
        except BadConfig as error:
            refusal = refusal or error
        else:
            missing = next((f"{'.'.join(path)}: {message}" for path, message in model_errors(config)), None)
            return version, config, refusal.lines()[0] if refusal else missing
    assert refusal is not None  # noqa: S101  there is always a candidate
    raise refusal


def folder_of(local: Path) -> Path:
    """The data folder of the configuration file ``local``.

    BadConfig where the file is broken, and no folder that it seems to name has run before.
    """
    try:
        folder: Path = read(local).data.directory
        return folder
    except BadConfig:
        readable = os.path.isfile(local)  # noqa: PTH113  False too where access is denied
        text = local.read_bytes()[:MAX_BYTES].decode(errors="replace") if readable else ""
        named = re.findall(r"\bdirectory:\s*[\"']?([^\s\"',}#]+)", text) or [Data().directory]
        for folder in (local.resolve().parent / name for name in named):
            if os.path.isfile(folder / "config" / FILE):  # noqa: PTH113  as above
                return folder
        raise
