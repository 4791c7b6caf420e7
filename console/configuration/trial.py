"""A trial as steps: how far it is, how it ended, and why the device went back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agent.runtime.sanitize import as_dict, as_list, printable
from console.agent_views import ConfigView

StepState = Literal["done", "now", "waiting", "failed"]
Outcome = Literal["none", "trying", "unconfirmed", "applied", "rolled_back", "rejected", "validated"]
STEPS = (
    "The broker is reached",
    "The centre has sent a receipt",
    "Changed sources give values",
    "Somebody keeps it",
)
"""In their order; the last one only with ``confirm: manual``."""
WAITING_FOR = (
    "the broker was not reached",
    "no receipt of the centre arrived",
    "changed sources were not proved",
    "it was not confirmed",
)
"""What the device says of each step while it waits, and where it ends the trial."""


@dataclass(frozen=True, slots=True)
class TrialState:
    """The last push, or the one on trial. ``steps``: English name and state of each."""

    outcome: Outcome
    revision: int | None = None
    sha256: str | None = None
    steps: tuple[tuple[str, StepState], ...] = ()
    reason: str | None = None
    errors: tuple[tuple[int, str, str], ...] = ()
    """Line (0: unknown), path and message."""
    warnings: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    deadline: datetime | None = None

    @property
    def is_on(self) -> bool:
        """Whether the device has not decided yet."""
        return self.outcome in ("trying", "unconfirmed")


def trial_state(view: ConfigView) -> TrialState:
    """The state of the last push, as ``config`` of the agent tells it."""
    report, trial = view["reported"], view["trial"]
    state = str(report.get("state", ""))
    if trial is not None:
        waits = trial["confirm"]
        at = len(STEPS) - 1 if waits else _step_of(trial["waiting_for"]) or 0
        named = _steps(at, "now", manual=waits)
        return _with(
            report, "unconfirmed" if waits else "trying", named, trial["revision"], trial["deadline"]
        )
    if state == "rolled_back":
        failed = _step_of(str(report.get("reason", "")))
        if failed is None:  # a source, or the agent itself: the centre was reached
            failed = 2 if ":" in str(report.get("reason", "")) else None
        named = () if failed is None else _steps(failed, "failed", manual=failed == len(STEPS) - 1)
        return _with(report, "rolled_back", named, report.get("revision"), None)
    outcomes: dict[str, Outcome] = {"rejected": "rejected", "validated": "validated", "applied": "applied"}
    outcome = outcomes.get(state, "none")
    if outcome == "applied" and not isinstance(report.get("revision"), int):
        outcome = "none"
    named = _steps(len(STEPS), "done", manual=False) if outcome == "applied" else ()
    return _with(report, outcome, named, report.get("revision"), None)


def _step_of(text: str) -> int | None:
    return next((number for number, words in enumerate(WAITING_FOR) if text.startswith(words)), None)


def _steps(at: int, state: StepState, *, manual: bool) -> tuple[tuple[str, StepState], ...]:
    names = STEPS if manual else STEPS[:-1]
    return tuple(
        (name, "done" if number < at else state if number == at else "waiting")
        for number, name in enumerate(names)
    )


def _with(
    report: Mapping[str, Any],
    outcome: Outcome,
    steps: tuple[tuple[str, StepState], ...],
    revision: Any,
    deadline: str | None,
) -> TrialState:
    errors = tuple(
        (
            error["line"] if isinstance(error.get("line"), int) else 0,
            printable(error.get("path") or ""),
            printable(error.get("message") or ""),
        )
        for error in map(as_dict, as_list(report.get("errors")))
    )
    reason = report.get("reason")
    return TrialState(
        outcome=outcome,
        revision=revision if isinstance(revision, int) else None,
        sha256=str(report["sha256"]) if report.get("sha256") else None,
        steps=steps,
        reason=None if reason is None else printable(reason),
        errors=errors,
        warnings=tuple(map(printable, as_list(report.get("warnings")))),
        key_ids=tuple(map(printable, as_list(report.get("key_ids")))),
        deadline=_instant(deadline),
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
