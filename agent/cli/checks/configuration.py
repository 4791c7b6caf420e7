"""The configuration: valid, in force, and the same as the file at the device."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target
from agent.config.ledger import FILE as LEDGER
from agent.config.ledger import Ledger
from agent.config.loader import digest, parse
from agent.config.model import Config, Data
from agent.config.notes import config_notes
from agent.config.startup import folder_of
from agent.config.view_notes import survey_notes
from agent.domain.yaml_loader import BadConfig, Problem, read_text
from agent.runtime.error_text import describe_error, error_reason
from firmware_bridge.regular_files import read_regular

LEDGER_MAX_BYTES = 8 * 1024 * 1024
MOST_PROBLEMS = 10
MOST_PATHS = 8
DRIFT = "keep the edit, or push again: ringpost config drift DEVICE"


@dataclass(frozen=True)
class LoadedConfig:
    """The local file, the ledger beside the data, and the configuration in force (None: no valid one)."""

    file: Path
    text: str
    local: Config | None
    problems: tuple[str, ...]
    folder: Path
    ledger: Ledger | None
    ledger_error: str
    in_force: Config | None


def load(file: Path, data: Path | None) -> LoadedConfig:
    """Reads both; never raises, and changes nothing on disk."""
    text, local = "", None
    problems: tuple[str, ...] = ()
    try:
        text = read_text(file)
        local = parse(text, name=str(file), base=file.resolve().parent)
    except BadConfig as error:
        problems = tuple(error.lines()[:MOST_PROBLEMS])
    except OSError as error:
        problems = tuple(BadConfig([Problem(0, "", error_reason(error))], str(file)).lines())
    except (ValueError, RecursionError) as error:
        problems = (f"{file}: {describe_error(error) if isinstance(error, ValueError) else 'too deep'}",)
    folder = data or (local.data.directory if local else _folder_of(file))
    ledger, ledger_error = _read_ledger(folder)
    in_force = local
    if ledger is not None and (local is None or ledger.active.source == "push"):
        edited = local is not None and ledger.active.local_sha256 not in (None, digest(text))
        if not edited:
            in_force = _parse_again(ledger, file) or local
    return LoadedConfig(file, text, local, problems, folder, ledger, ledger_error, in_force)


def _folder_of(file: Path) -> Path:
    """The data folder of a file that is not valid: the one that the agent would use, else the usual one."""
    try:
        return folder_of(file)
    except (BadConfig, OSError, ValueError, RecursionError):
        return Path(Data().directory)


def _read_ledger(folder: Path) -> tuple[Ledger | None, str]:
    path = folder / "config" / LEDGER
    try:
        return Ledger.model_validate_json(read_regular(path, LEDGER_MAX_BYTES)), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        return None, describe_error(error)
    except (ValueError, RecursionError):
        return None, f"{path}: damaged"


def _parse_again(ledger: Ledger, file: Path) -> Config | None:
    try:
        return parse(ledger.active.text, name="", base=file.resolve().parent, ran_before=True)
    except (ValueError, OSError, RecursionError):
        return None


def check_configuration(target: Target, loaded: LoadedConfig) -> Iterator[Finding]:
    """Errors with their lines, notes, and what differs from the file at the device."""
    for problem in loaded.problems:
        remedy = f"edit it, then: ringpost check {target.file}"
        if "Permission denied" in problem:
            remedy = f"sudo -u ringpost ringpost doctor {target.file}"
        elif not loaded.text and "No such file" in problem:
            remedy = f"name it: ringpost doctor FILE; or make one: ringpost init -o {target.file}"
        yield failed(problem, remedy)
    if loaded.local is not None:
        config = loaded.local
        count = f"{len(config.sources)} sources, {len(config.rules)} rules"
        yield ok(f"{target.file}: valid; {config.device} ({config.kind}), {count}")
        for note in (*config_notes(config), *survey_notes(config)):
            yield ok(f"note: {note}")
    if loaded.ledger_error:
        yield skipped(f"the configuration in force is not known: {loaded.ledger_error}")
    if loaded.ledger is not None:
        yield from _check_drift(target, loaded, loaded.ledger)


def _check_drift(target: Target, loaded: LoadedConfig, ledger: Ledger) -> Iterator[Finding]:
    active, answer = ledger.active, ledger.answer
    edited = bool(loaded.text) and active.local_sha256 not in (None, digest(loaded.text))
    if edited:
        paths = ", ".join(_changed(active.text, loaded.text, target.file)) or "comments only"
        restart = "sudo systemctl restart ringpost"
        yield warning(f"the file was edited since the agent's start: {paths}", f"to run it: {restart}")
    elif active.source == "push":
        layers = ", ".join(f"{name} revision {layer.revision}" for name, layer in active.all_layers().items())
        yield ok(f"in force: pushed, {layers or 'without layers'}; the file was not edited since")
        paths = ", ".join(_changed(loaded.text, active.text, target.file))
        if paths and loaded.local is not None:
            yield ok(f"the push differs from the file in {paths}")
    else:
        yield ok("in force: this file")
    if ledger.drift:
        paths = ", ".join(ledger.drift[:MOST_PATHS])
        yield warning(f"drift: an edit of the file replaced what had been pushed: {paths}", DRIFT)
    if ledger.trial is not None:
        yield warning(f"revision {ledger.trial.revision} is on trial", "wait for its result")
    if answer is not None and answer.state in ("rejected", "rolled_back"):
        why = answer.reason or "; ".join(
            f"{one.get('path')}: {one.get('message')}" for one in answer.errors[:2]
        )
        text = f"the last push, revision {answer.revision}, was {answer.state.replace('_', ' ')}: {why}"
        yield warning(text, "mend the push: ringpost config get DEVICE shows all of it")


def _changed(before: str, after: str, file: Path) -> list[str]:
    """The paths that differ between two configurations, two levels deep; empty where one is not valid."""
    trees = []
    for text in (before, after):
        try:
            config = parse(text, name="", base=file.resolve().parent, ran_before=True)
        except (ValueError, OSError, RecursionError):
            return []
        trees.append(json.loads(config.model_dump_json()))
    return sorted(_differences(trees[0], trees[1], ()))[:MOST_PATHS]


def _differences(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[str]:
    if one == other:
        return
    if len(path) < 2 and isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _differences(one.get(key), other.get(key), (*path, str(key)))
    else:
        yield ".".join(path)
