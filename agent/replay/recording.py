"""A recording: observations as JSON lines, as `ringpost read --json` writes them too.

    {"recording": 1, "device": "bridge-07", "config": "/etc/ringpost/bridge.yaml", "at": "…"}     first line
    {"source": "cam1", "at": "…", "mono_s": 1042.25, "value": {"kind": "sighting", …}}            each other

It contains no pictures. The last line may be torn, by a power cut: it is left out. Without the header line
there are no ticks in it either, and reading adds them;
without ``mono_s`` the monotonic time is taken from ``at``.
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
"""In a longer gap only the last hour gets its ticks."""
MAX_LINE = 1024 * 1024


class RecordingHeader(BaseModel):
    """The first line: the device, its configuration, and the time."""

    recording: Literal[1] = 1
    device: str
    config: Path
    at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordedObservation:
    source: str = Field(max_length=64)
    at: AwareDatetime
    value: Value
    mono_s: float | None = None


_LINE = TypeAdapter(_RecordedObservation)
_VALUE: TypeAdapter[Any] = TypeAdapter(Value)


def line_of(observation: Observation) -> bytes:
    """One observation as a line, without the newline."""
    value = _VALUE.dump_python(observation.value, mode="json", exclude_none=True)
    fields = {"source": observation.source, "at": observation.at, "mono_s": round(observation.mono_s, 4)}
    return encode(fields | {"value": value})


class Recording:
    """A recording in a file; ``header`` is None where it has none. OSError, or ValueError with its line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        """Whether `observations` has left out a torn last line."""
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
        if not first:
            raise ValueError(f"{path}: the file is empty")
        try:
            self.header = (
                RecordingHeader.model_validate_json(first) if first.startswith(b'{"recording"') else None
            )
        except ValidationError as error:
            raise ValueError(f"{path}:1: not a recording header that this version can read") from error

    def observations(self) -> Iterator[Observation]:
        """All observations in order; without a header with a tick each second, as the agent has."""
        began: datetime | None = None
        tick_s = math.inf
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.strip() or (number == 1 and self.header is not None):
                    continue
                try:
                    parsed = self._parse(number, text)
                except ValueError:
                    if text.endswith(b"\n") or began is None:
                        raise
                    self.torn = True
                    return
                began = began or parsed.at
                now_s = (parsed.at - began).total_seconds() if parsed.mono_s is None else parsed.mono_s
                if self.header is None:
                    tick_s = max(min(tick_s, now_s), now_s - LONGEST_GAP_S)
                    while tick_s < now_s:
                        yield Observation(
                            "clock", parsed.at - timedelta(seconds=now_s - tick_s), tick_s, Tick()
                        )
                        tick_s += TICK_S
                yield Observation(parsed.source, parsed.at, now_s, parsed.value)

    def _parse(self, number: int, text: bytes) -> _RecordedObservation:
        try:
            return _LINE.validate_json(text)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(step) for step in detail["loc"])
            raise ValueError(
                f"{self.path}:{number}: {where + ': ' if where else ''}{detail['msg']}"
            ) from error
