"""The files of one run, as `ringpost simulate --report DIR` leaves them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulators.run_record import Fields

FORMAT = "ringpost-run/1"
RUN, SCENARIO = "run.json", "scenario.yaml"
MAX_SCENARIO = 500_000
"""Bytes; a longer one takes half a minute to read, and births tell the same."""


@dataclass(frozen=True)
class RunFiles:
    """A folder with run.json; the other files may be absent. OSError or ValueError in one line."""

    folder: Path

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """run.json."""
        path = self.folder / RUN
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: no JSON: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{path}: not a run: its format is not {FORMAT}")
        return found

    def entries(self, kind: str) -> Iterator[Fields]:
        """The lines of ``messages``, ``truth`` or ``events``, one at a time: a city has many."""
        path = self.folder / f"{kind}.ndjson"
        if not path.exists():
            return
        with path.open() as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{path}:{number}: no JSON: {error}") from None

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The scenario as it was played; empty where the file is absent, or that of a whole city."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        path = self.folder / SCENARIO
        if not path.exists() or path.stat().st_size > MAX_SCENARIO:
            return {}
        try:
            found = YAML(typ="safe").load(path.read_text())
        except YAMLError as error:
            raise ValueError(f"{path}: no YAML: {str(error).splitlines()[0]}") from None
        return found if isinstance(found, dict) else {}


def rows(verdict: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects in run.json; empty where it is absent."""
    return [one for one in verdict.get(key) or () if isinstance(one, dict)]


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # NaN compares as False
