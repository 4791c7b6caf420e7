"""A recording: what was observed, one JSON object a line, as `ringpost read --json` writes it too.

    {"recording": 1, "device": "bridge-07", "config": "/etc/ringpost/bridge.yaml", "at": "…"}     first line
    {"source": "cam1", "at": "…", "mono_s": 1042.25, "value": {"kind": "sighting", …}}            each other

Pictures are never in it. Without a first line there are no ticks in it either, and without ``mono_s`` it is
taken from ``at``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from agent.domain.message import encode
from agent.domain.observations import Observation, Tick, Value

TICK_S = 1.0
LONGEST_GAP_S = 3600.0
"""Of a longer gap only the last hour is let pass second by second."""
MAX_LINE = 1024 * 1024


class RecordingHeader(BaseModel):
    """The first line: of which device, and by which configuration."""

    recording: Literal[1] = 1
    device: str
    config: Path
    at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    source: str = Field(max_length=64)
    at: AwareDatetime
    value: Value
    mono_s: float | None = None


_LINE = TypeAdapter(_Line)
_VALUE: TypeAdapter[Any] = TypeAdapter(Value)


def line_of(observation: Observation) -> bytes:
    """One observation as a line, without its end."""
    value = _VALUE.dump_python(observation.value, mode="json", exclude_none=True)
    fields = {"source": observation.source, "at": observation.at, "mono_s": round(observation.mono_s, 4)}
    return encode(fields | {"value": value})


class Recording:
    """A recording in a file; ``header`` is None where it has none. OSError or ValueError in one line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
        if not first:
            raise ValueError(f"{path}: empty, and so no recording")
        try:
            self.header = (
                RecordingHeader.model_validate_json(first) if first.startswith(b'{"recording"') else None
            )
        except ValidationError as error:
            raise ValueError(f"{path}:1: no header of a recording that this version reads") from error

    def observations(self) -> Iterator[Observation]:
        """All in order. Where it has no header, time is let pass once a second, as the agent does."""
        began: datetime | None = None
        tick_s = math.inf
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.strip() or (number == 1 and self.header is not None):
                    continue
                said = self._parse(number, text)
                began = began or said.at
                now_s = (said.at - began).total_seconds() if said.mono_s is None else said.mono_s
                if self.header is None:
                    tick_s = max(min(tick_s, now_s), now_s - LONGEST_GAP_S)
                    while tick_s < now_s:
                        yield Observation(
                            "clock", said.at - timedelta(seconds=now_s - tick_s), tick_s, Tick()
                        )
                        tick_s += TICK_S
                yield Observation(said.source, said.at, now_s, said.value)

    def _parse(self, number: int, text: bytes) -> _Line:
        try:
            return _LINE.validate_json(text)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(step) for step in detail["loc"])
            raise ValueError(
                f"{self.path}:{number}: {where + ': ' if where else ''}{detail['msg']}"
            ) from error
