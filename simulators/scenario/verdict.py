"""The verdict of one run, and its report folder: ``run.json`` beside the record and the scenario."""

import json
import platform
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from agent.domain.message import stamp
from agent.reporting.birth import software_version
from centre.sequence_gaps import Ranges
from simulators.run_record import RunRecord
from simulators.scenario.delivery import DeliveryProof
from simulators.scenario.expectations import Outcome
from simulators.scenario.model import Scenario
from simulators.scenario.scenario_text import scenario_text

FORMAT = "ringpost-run/1"
RUN = "run.json"


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """One fault of the run, in seconds since its start: ``effect_s`` None where it had none; ``detected_s``:
    the device's first word of trouble; ``recovered_s``: its first good status after the fault ended."""

    number: int
    kind: str
    device: str | None
    began_s: float | None = None
    ended_s: float | None = None
    effect_s: float | None = None
    detected_s: float | None = None
    recovered_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What came of a run. ``incomplete`` has one line for each thing that could not be tried."""

    scenario: str
    seed: int
    clock: str
    began_at: datetime
    duration_s: float
    wall_s: float
    sha256: str
    expectations: Sequence[Outcome] = ()
    never: Sequence[Outcome] = ()
    sometimes: Sequence[Outcome] = ()
    invariants: Sequence[Outcome] = ()
    faults: Sequence[FaultTimes] = ()
    incomplete: Sequence[str] = ()
    losses: Mapping[str, Mapping[str, Ranges]] = field(default_factory=dict)
    counts: DeliveryProof = field(default_factory=DeliveryProof)

    @property
    def verdict(self) -> Literal["passed", "failed", "incomplete"]:
        """Incomplete before failed: what was not tried can't be judged."""
        if self.incomplete or any(not one.met for one in self.sometimes):
            return "incomplete"
        return "failed" if self.unmet() else "passed"

    def unmet(self) -> list[Outcome]:
        """The expectations, the ``never`` and the invariants that are not met."""
        return [one for one in (*self.expectations, *self.never, *self.invariants) if not one.met]

    def complaints(self) -> list[str]:
        """One line for each thing that is wrong."""
        lines = [f"INCOMPLETE {line}" for line in self.incomplete]
        lines += [f"INCOMPLETE {one.name}: {one.detail}" for one in self.sometimes if not one.met]
        return lines + [f"MISSED {one.name}: {one.detail or 'not met'}" for one in self.unmet()]

    def fields(self) -> dict[str, Any]:
        """``run.json``."""
        return {
            "format": FORMAT,
            "scenario": self.scenario,
            "seed": self.seed,
            "clock": self.clock,
            "began_at": stamp(self.began_at),
            "duration_s": self.duration_s,
            "wall_s": round(self.wall_s, 3),
            "speed": round(self.duration_s / self.wall_s, 1) if self.wall_s else None,
            "verdict": self.verdict,
            "sha256": self.sha256,
            "version": software_version(),
            "python": platform.python_version(),
            "expectations": [one.fields() for one in self.expectations],
            "never": [one.fields() for one in self.never],
            "sometimes": [one.fields() for one in self.sometimes],
            "invariants": [
                {"name": one.name, "met": one.met, "detail": one.detail} for one in self.invariants
            ],
            "faults": [asdict(one) for one in self.faults],
            "incomplete": list(self.incomplete),
            "losses": {device: dict(lanes) for device, lanes in self.losses.items() if lanes},
            "counts": {**asdict(self.counts), "lost": self.counts.lost},
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }


def write_report(folder: Path, verdict: Verdict, record: RunRecord, scenario: Scenario) -> None:
    """Writes run.json, the three files of the record, and the scenario as it was played. OSError."""
    record.save(folder)
    (folder / "scenario.yaml").write_text(scenario_text(scenario))
    (folder / RUN).write_text(json.dumps(verdict.fields(), indent=1, ensure_ascii=False) + "\n")


def fault_times(scenario: Scenario, record: RunRecord) -> list[FaultTimes]:
    """The times of each fault of the timeline, from the record."""
    times = []
    for step in scenario.timeline:
        if step.fault is None:
            continue
        marks = {one["event"]: one["t"] for one in reversed(record.events) if one.get("fault") == step.number}
        began_s, ended_s = marks.get("fault_began"), marks.get("fault_ended")
        times.append(
            FaultTimes(
                step.number, step.kind, step.device, began_s, ended_s, marks.get("fault_effect"),
                detected_s=None if began_s is None else _first_trouble_s(record, step.device, began_s),
                recovered_s=None if ended_s is None else _first_good_s(record, step.device, ended_s),
            )
        )  # fmt: skip
    return times


def _first_trouble_s(record: RunRecord, device: str | None, after_s: float) -> float | None:
    """The first new alert, or the first status with a reason that the one before did not have."""
    before: dict[str, set[str]] = {}
    for one in record.messages:
        body = one.get("body") or {}
        if device not in (None, one["device"]):
            continue
        if one["topic"] == "alert" and one["t"] > after_s and body.get("alert", {}).get("phase") == "new":
            return float(one["t"])
        if one["topic"] == "status":
            reasons = {str(body.get("state")), *map(str, body.get("reasons") or ())} - {"online"}
            if one["t"] > after_s and reasons - before.get(one["device"], set()):
                return float(one["t"])
            before[one["device"]] = reasons
    return None


def _first_good_s(record: RunRecord, device: str | None, after_s: float) -> float | None:
    for one in record.messages:
        is_status = one["topic"] == "status" and device in (None, one["device"])
        if is_status and one["t"] >= after_s and (one.get("body") or {}).get("state") == "online":
            return float(one["t"])
    return None
