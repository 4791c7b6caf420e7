"""``ringpost replay --keep-as``: a recording becomes a test case, a folder with what it must raise.

``config.yaml``, ``observations.jsonl`` and ``expected.txt``, as in ``tests/replay``. What no alert depends on
is stripped: logins, addresses, names, positions. Each step is kept only where the alerts stay the same.
"""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from agent.config.loader import load, parse
from agent.config.model import Config
from agent.domain.message import encode
from agent.domain.observations import Observation, Sighting
from agent.domain.yaml_loader import BadConfig, read_text
from agent.replay.case_stripping import MANDATORY, OPTIONAL, copy_of, yaml_of
from agent.replay.playable import Played
from agent.replay.recording import RecordingHeader, line_of
from agent.replay.replay import config_of, line, messages_of
from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG
from firmware_bridge.drone_readings import Capture, Drone
from firmware_bridge.readings import Fix, RadarTarget, Vessel

CASES = Path("tests/replay")
MAX_BYTES = 8_000_000
"""A case is read by people, and kept for ever."""
NAME = re.compile(r"[a-z][a-z0-9_]{2,60}")
BUNDLED = ("config-in-force.yaml", "config.yaml")
ABOUT = """\
# Recorded with `ringpost record`, made a case by `ringpost replay --keep-as`.
# Complaint: say here what was wrong, and with which version.
# Must happen: what stands in expected.txt; edit that file to what the device must raise.
"""


@dataclass(slots=True)
class FieldCase:
    """What was written."""

    folder: Path
    alerts: int
    observations: Counter[str] = field(default_factory=Counter)
    """By source."""
    objects: Counter[str] = field(default_factory=Counter)
    """Boxes in sightings by label: people are in it as boxes, never as pictures."""
    stripped: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """What was not stripped, as alerts depend on it."""
    size: int = 0

    def lines(self) -> Iterator[str]:
        """For people."""
        count = sum(self.observations.values())
        yield f"{self.folder}: {self.alerts} alerts in expected.txt, {count} observations, {self.size} bytes"
        yield f"stripped: {', '.join(self.stripped) or 'nothing'}"
        boxes = ", ".join(f"{number} boxes of {label}" for label, number in sorted(self.objects.items()))
        present = [*self.kept, *([boxes] if boxes else []), "times", "names of rules, zones and sources"]
        yield f"still in it: {', '.join(present)}; no pictures"
        yield "now edit expected.txt to what must be raised, and the first lines of config.yaml"


def keep_command(played: Played, config: Path | None, name: str, as_json: bool) -> int:
    """Writes the folder, and says what is in it. An exit code."""
    try:
        case = keep_case(played, config, _folder(name))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"replay: {describe_error(error)}", err=True)
        return 1
    if as_json:
        fields = {"folder": str(case.folder), "alerts": case.alerts, "observations": dict(case.observations)}
        more = {"objects": dict(case.objects), "stripped": case.stripped, "kept": case.kept}
        click.echo(encode(fields | more | {"bytes": case.size}).decode())
    else:
        for text in case.lines():
            click.echo(text)
    return 0


def _folder(name: str) -> Path:
    """The folder of a case. ValueError or OSError where there can be none."""
    folder = Path(name)
    if folder.name == name:
        if not NAME.fullmatch(name):
            raise ValueError(f"--keep-as {name}: a name has 3 to 60 of a-z, 0-9 and _, such as false_panic")
        if not CASES.is_dir():
            raise ValueError(f"no folder {CASES} here: run it in a checkout, or give --keep-as a path")
        folder = CASES / name
    if folder.exists():
        raise ValueError(f"{folder} already exists; nothing was written")
    return folder


def has_position(observation: Observation) -> bool:
    """Whether the value says where a device, a vessel or a drone is."""
    value = observation.value
    return isinstance(value, (Fix, Vessel, RadarTarget, Drone, Capture)) and value.lat is not None


def keep_case(played: Played, config: Path | None, folder: Path) -> FieldCase:
    """Writes the case. BadConfig, OSError, or ValueError where a recording can't be read or is too long."""
    name, base, text = _configuration(config if config is not None else config_of(played.parts[0]))
    tree = copy_of(load(text, name))
    original = parse(text, name=name, base=base, ran_before=True)

    def observations(with_positions: bool = True) -> Iterator[Observation]:
        for one in played.observations():
            if with_positions or not has_position(one):
                yield one

    expected = told(original, observations())
    case = FieldCase(folder, sum(" new " in text for text in expected))
    tree = _stripped(tree, base, case, lambda config: told(config, observations()) == expected)
    stripped = parse(yaml_of(tree), name="config.yaml", base=base, ran_before=True)
    words = "positions of receivers and of other vessels"
    has_positions = any(map(has_position, observations()))
    with_positions = has_positions and told(stripped, observations(with_positions=False)) != expected
    if has_positions:
        (case.kept if with_positions else case.stripped).append(words)
    content = _content(observations(with_positions), case)
    case.size = len(content)
    _write(folder, yaml_of(tree), content, expected)
    return case


def told(config: Config, observations: Iterable[Observation]) -> list[str]:
    """The lines of the alerts but for updates, as in ``expected.txt``."""
    alerts = messages_of(config, observations)
    return [line(message) for message in alerts if message["alert"]["phase"] != "update"]


def _stripped(tree: Any, base: Path, case: FieldCase, same: Callable[[Config], bool]) -> Any:
    """The tree without what no alert depends on."""

    def holds(changed: Any) -> bool:
        try:
            return same(parse(yaml_of(changed), name="config.yaml", base=base, ran_before=True))
        except BadConfig:
            return False

    for step in MANDATORY:
        step(tree)
    if not holds(tree):
        raise ValueError("without logins and addresses its alerts are others: make the case by hand")
    case.stripped.append("broker, logins, addresses, and all that no rule uses")
    for words, step in OPTIONAL:
        changed = copy_of(tree)
        step(changed)
        if changed == tree:
            continue
        if holds(changed):
            tree = changed
            case.stripped.append(words)
        else:
            case.kept.append(words)
    return tree


def _content(observations: Iterable[Observation], case: FieldCase) -> bytes:
    """``observations.jsonl``. ValueError where there are too many."""
    found: list[bytes] = []
    size = 0
    for one in observations:
        if not found:
            header = RecordingHeader(device="replay", config=Path("config.yaml"), at=one.at)
            found.append(header.model_dump_json().encode())
        found.append(line_of(one))
        size += len(found[-1]) + 1
        if size > MAX_BYTES:
            raise ValueError(
                f"more than {MAX_BYTES // 1_000_000} MB of observations: choose the minutes that matter"
                " with --since and --until"
            )
        case.observations[one.source] += 1
        if isinstance(one.value, Sighting):
            case.objects.update(seen.label for seen in one.value.objects)
    if not found:
        raise ValueError("no observation is left to keep")
    return b"".join(text + b"\n" for text in found)


def _write(folder: Path, config: str, content: bytes, expected: Sequence[str]) -> None:
    """The folder with all three files, or none."""
    partial = folder.with_name(folder.name + ".new")
    partial.mkdir()
    try:
        write_durably(partial / "config.yaml", (ABOUT + config).encode())
        write_durably(partial / "observations.jsonl", content)
        write_durably(partial / "expected.txt", "".join(text + "\n" for text in expected).encode())
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _configuration(path: Path) -> tuple[str, Path, str]:
    """Name, folder and text of a configuration: a file, or the one in force in a bundle of the doctor."""
    if path.suffix != ".zip":
        return str(path), path.resolve().parent, read_text(path)
    import zipfile

    try:
        with zipfile.ZipFile(path) as bundle:
            inside = next((name for name in BUNDLED if name in bundle.namelist()), None)
            if inside is None:
                raise ValueError(f"{path}: no bundle of `ringpost doctor`: it has no {BUNDLED[-1]}")
            with bundle.open(inside) as file:
                return f"{path}: {inside}", path.resolve().parent, file.read(MAX_BYTES).decode()
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}: not a readable zip file: {error}") from error
