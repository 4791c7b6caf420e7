"""Chooses the configuration at the start: the local file where it is new or edited, else the one in force."""

import os.path
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from agent.config.cross_checks import model_errors
from agent.config.layers import tree_of
from agent.config.ledger import FILE, MAX_REVISION_STEP, Ledger, PushResult, Version, load_ledger
from agent.config.loader import digest, folder_beside, parse, read
from agent.config.merge_patch import changed_paths
from agent.config.model import Config, Data
from agent.config.partial import parse_in_part
from agent.domain.yaml_loader import MAX_BYTES, BadConfig, read_text

log = structlog.get_logger()

SHOWN_PATHS, SHOWN_CHARACTERS = 20, 200
"""Paths of a local edit that are reported, and characters of each."""


@dataclass(frozen=True, slots=True)
class Startup:
    """The outcome of the choice."""

    ledger: Ledger
    config: Config
    trouble: str | None
    """Why ``config`` differs from the local file, or None."""
    faults: tuple[str, ...]
    """The parts of the configuration that are wrong and run as before, or not at all."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """The version that runs, why an earlier one was refused, and its wrong parts."""

    version: Version
    config: Config
    refusal: str | None = None
    faults: tuple[str, ...] = ()


def choose(local: Path, folder: Path) -> Startup:
    """The configuration to run. A trial that a restart interrupted is rolled back.

    A broken local file does not silence a device that ran before: of a file with wrong parts the rest runs,
    instead of an unreadable one the configuration in force. BadConfig or OSError only where there is no valid
    configuration at all.
    """
    before, damage = load_ledger(folder / FILE)
    kept = [] if before is None else [before.active, *before.history]
    candidates, unreadable, present, edited = list(kept), None, None, False
    try:
        text = read_text(local)
    except (BadConfig, OSError) as error:
        if before is None:
            raise
        unreadable = str(error)
    else:
        sha256 = digest(text)
        present = Version(text=text, sha256=sha256, source="local", local_sha256=sha256)
        edited = before is None or before.active.local_sha256 != sha256
        candidates = [present, *kept] if edited else [*kept, present]
    choice = _first_valid(candidates, kept, local)
    ledger = Ledger(active=choice.version) if before is None else _rolled_back(before)
    if before is not None and choice.version is present and edited:
        ledger = _edited(ledger, choice.version, before)
    update: dict[str, Any] = {"active": choice.version}
    if present is not None and (choice.version is present or ledger.local is None):
        update["local"] = present
    if choice.version.source == "local" and ledger.highest_revision > 2**53 - 1 - MAX_REVISION_STEP:
        update["highest_revision"] = 0  # accepted before there was a limit
    trouble = unreadable or choice.refusal or damage
    return Startup(ledger.model_copy(update=update), choice.config, trouble, choice.faults)


def _rolled_back(ledger: Ledger) -> Ledger:
    """The ledger without the trial that a restart has interrupted."""
    tried, answer = ledger.trial, ledger.answer
    if tried is None:
        return ledger
    unconfirmed = answer is not None and answer.state == "unconfirmed"
    needed = "it was confirmed" if unconfirmed else "the new configuration was proved"
    state: dict[str, Any] = {"state": "rolled_back", "reason": f"the device restarted before {needed}"}
    if answer is not None and answer.state in ("pending", "unconfirmed"):
        result = answer.model_copy(update=state)
    else:
        result = PushResult(revision=tried.revision, sha256=tried.sha256, target=tried.target, **state)
    log.warning("config_rolled_back", revision=result.revision, reason=result.reason)
    return ledger.without_trial().with_result(result)


def _edited(ledger: Ledger, version: Version, before: Ledger) -> Ledger:
    """The ledger after an edit of the local file, which ends the layers that were pushed."""
    drift: list[str] = []
    if before.active.source == "push":
        paths = changed_paths(_tree(before.active.text), _tree(version.text))
        drift = [path[:SHOWN_CHARACTERS] for path in islice(paths, SHOWN_PATHS)]
    history = ledger.with_active(version).history
    return ledger.with_fallback(None).model_copy(update={"drift": drift, "history": history})


def _tree(text: str) -> dict[str, Any]:
    try:
        return tree_of(text)
    except BadConfig:
        return {}


def _first_valid(candidates: list[Version], kept: list[Version], local: Path) -> _Choice:
    """The first version that this software accepts, at least in part.

    A ``kept`` version ran before: it is accepted without its model's card, and then that is the reason given.
    """
    refusal: BadConfig | None = None
    base = folder_beside(local)
    earlier = [version.text for version in kept]
    for version in candidates:
        name = str(local) if version.source == "local" else f"revision {version.revision}"
        try:
            config = parse(version.text, name=name, base=base, ran_before=version in kept)
        except BadConfig as error:
            refusal = refusal or error
        else:
            missing = next((f"{'.'.join(path)}: {message}" for path, message in model_errors(config)), None)
            return _Choice(version, config, refusal.lines()[0] if refusal else missing)
        try:
            config, faults = parse_in_part(version.text, name=name, base=base, earlier=earlier)
        except BadConfig:
            continue
        log.error("config_degraded", faults=faults[:SHOWN_PATHS])
        return _Choice(version, config, None, tuple(faults))
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
        with suppress(BadConfig, OSError):
            text = read_text(local)
            found, _ = parse_in_part(text, name=str(local), base=folder_beside(local), earlier=())
            return found.data.directory
        readable = os.path.isfile(local)  # noqa: PTH113  False too where access is denied
        text = local.read_bytes()[:MAX_BYTES].decode(errors="replace") if readable else ""
        named = re.findall(r"\bdirectory:\s*[\"']?([^\s\"',}#]+)", text) or [Data().directory]
        for folder in (folder_beside(local) / name for name in named):
            if os.path.isfile(folder / "config" / FILE):  # noqa: PTH113  as above
                return folder
        raise
