"""The plan of a roll-out and how far it has come: one JSON file, written before each step.

Whoever ends the process, with ``kill -9`` too, loses nothing: the file says to which device what was sent,
and the device says what became of it.
"""

import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field, ValidationError

from agent.runtime.atomic_files import write_durably

Step: TypeAlias = Literal[
    "waiting", "sent", "done", "rejected", "rolled_back", "degraded", "unhealthy", "no_answer", "skipped"
]
FAILED: frozenset[Step] = frozenset({"rejected", "rolled_back", "degraded", "unhealthy", "no_answer"})
DEFAULT_WAVES = "1,10%,50%,100%"
MAX_FILE_BYTES = 16 * 1024 * 1024


class DeviceProgress(BaseModel):
    """One device in a roll-out."""

    wave: int
    step: Step = "waiting"
    base_revision: int | None = None
    """The revision in force before; 0 for the local file, None where the device did not say."""
    revision: int | None = None
    """The revision that was sent."""
    reasons_before: list[str] = Field(default_factory=list)
    """Why the device was degraded before."""
    detail: str = ""


class RolloutState(BaseModel):
    """The content of the file."""

    version: Literal[1] = 1
    root: str
    name: str
    """Where the change came from: the technician's file, or ``--patch``."""
    text: str
    """The text of that file."""
    patch: dict[str, Any] | None = None
    waves: str
    pause_s: float
    confirm_within_s: float
    healthy_within_s: float
    confirm: Literal["auto", "manual"] = "auto"
    devices: dict[str, DeviceProgress]

    def wave_count(self) -> int:
        return 1 + max((device.wave for device in self.devices.values()), default=-1)

    def in_wave(self, wave: int) -> list[str]:
        return [name for name, device in self.devices.items() if device.wave == wave]

    def with_step(self, *steps: Step) -> list[str]:
        """The devices at one of ``steps``, in the order of the plan."""
        return [name for name, device in self.devices.items() if device.step in steps]

    def save(self, path: Path) -> None:
        """OSError where the disk refuses it; then the file holds the state before."""
        write_durably(path, self.model_dump_json(indent=1).encode())


def load_rollout(path: Path) -> RolloutState:
    """The state in a file. OSError; ValueError names the file and what is wrong."""
    try:
        with path.open("rb") as file:
            return RolloutState.model_validate_json(file.read(MAX_FILE_BYTES))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "file"
        raise ValueError(f"{path}: no state of a roll-out: {where}: {detail['msg']}") from error


@contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Holds the state file for one process, also where another one is killed. OSError where one holds it."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(error.errno, "another roll-out runs with this state", str(path)) from error
        yield


def plan_waves(devices: Sequence[str], waves: str, canary: int | None) -> dict[str, DeviceProgress]:
    """Each device with its wave, from 0; ``waves`` are totals so far, as numbers or percentages.

    The first ``canary`` devices are a wave of their own, before the others. ValueError where a total is none.
    """
    totals = [] if canary is None else [canary]
    for part in waves.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})\s*(%?)\s*", part)
        if found is None or int(found[1]) < 1 or (found[2] and int(found[1]) > 100):
            raise ValueError(f"--waves: {part.strip()!r} is neither a number of devices nor a percentage")
        number = int(found[1])
        totals.append(-(-len(devices) * number // 100) if found[2] else number)
    planned: dict[str, DeviceProgress] = {}
    wave = 0
    for total in (*totals, len(devices)):  # what the totals leave out is the last wave
        new = devices[len(planned) : max(total, len(planned))]
        planned |= {name: DeviceProgress(wave=wave) for name in new}
        wave += bool(new)
    return planned


def list_names(names: Sequence[str], most: int = 8) -> str:
    """``a, b, c and 5 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def summary_json(state: RolloutState) -> str:
    """The end of a roll-out in one line: each device with its step and revision."""
    devices = {
        name: {"step": device.step, "wave": device.wave + 1}
        | ({"revision": device.revision} if device.revision is not None else {})
        | ({"detail": device.detail} if device.detail else {})
        for name, device in state.devices.items()
    }
    steps = dict.fromkeys(device.step for device in state.devices.values())
    counts = {step: len(state.with_step(step)) for step in steps}
    return json.dumps({"rollout": counts, "devices": devices})
