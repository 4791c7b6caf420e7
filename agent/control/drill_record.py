"""What a drill measured: the time of each step, and where it ended. Pure but for the monotonic clock."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from agent.domain.message import stamp
from agent.host.clock import monotonic_s

WAITS = {
    "clip": "the clip was not read",
    "detector": "the detector gave no result",
    "rule": "the rule gave no alert",
    "disk": "the disk did not take the message",
    "broker": "no acknowledgement of a broker",
    "receipt": "no receipt of the centre",
}
"""The steps in their order, and what is missing where one is not done in time."""


class DrillRecord(BaseModel):
    """The last drill: when it began, why it failed (None: it passed), and the ms of each step."""

    at: datetime
    reason: str | None = None
    rule: str | None = None
    camera: str | None = None
    steps_ms: dict[str, float] = {}
    total_ms: float = 0.0

    def fields(self) -> dict[str, Any]:
        fields = self.model_dump(exclude={"at", "reason"}, exclude_none=True)
        return {"passed": self.reason is None, "drilled_at": stamp(self.at), **fields}


@dataclass(slots=True)
class Steps:
    """The ms of each step; the next one begins where one ends."""

    began_s: float = field(default_factory=monotonic_s)
    ended_s: float = 0.0
    ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ended_s = self.began_s

    def done(self, name: str, now_s: float | None = None) -> None:
        now_s = monotonic_s() if now_s is None else now_s
        self.ms[name] = round(max(0.0, now_s - self.ended_s) * 1000, 1)
        self.ended_s = max(now_s, self.ended_s)


def waits_for(steps: Steps, *, camera: bool) -> str:
    """What the first step that was not done waits for; ``camera``: whether there is a clip."""
    first = 0 if camera else 2
    return next((text for name, text in list(WAITS.items())[first:] if name not in steps.ms), "no end")
