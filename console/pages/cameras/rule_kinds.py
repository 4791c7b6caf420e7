"""The rules that a drawn zone or line can have: a plain sentence and the settings of each. Pure data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a rule: its key, name and range. ``duration``: seconds, written as ``20s``."""

    key: str
    name: str
    least: float
    most: float
    step: float
    default: float
    unit: str = ""
    duration: bool = False

    def value(self, rule: dict[str, Any]) -> float:
        """The value in a rule, or the default; within the range."""
        given = rule.get(self.key, self.default)
        if isinstance(given, str):
            from agent.domain.durations import parse_duration

            given = parse_duration(given).total_seconds()
        number = float(given) if isinstance(given, int | float) else self.default
        return min(self.most, max(self.least, number))

    def written(self, value: float) -> Any:
        """The value as in the configuration."""
        if self.duration:
            return f"{value:g}s"
        return round(value) if self.step >= 1 else round(value, 3)


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A kind of rule; ``sentence`` says what it does, with the name of the place."""

    kind: str
    shape: Literal["zone", "line"]
    sentence: str
    settings: Sequence[Setting]
    labels: Sequence[str] = ("person",)


SCORE = Setting("min_score", "Least score", 0.1, 0.95, 0.01, 0.4)
SIZE = Setting("min_size", "Least height in the picture", 0.0, 0.6, 0.005, 0.0)
FRAMES = Setting("frames", "Frames seen before it counts", 1, 25, 1, 5)
FRAMES_AT_ONCE = Setting("frames", "Frames seen before it counts", 1, 25, 1, 2)
GRACE = Setting("grace", "May be hidden for", 0, 30, 0.5, 3, "s", duration=True)
GRACE_LONG = Setting("grace", "May be hidden for", 0, 120, 1, 30, "s", duration=True)
DWELL = Setting("dwell", "Stays for", 1, 120, 1, 20, "s", duration=True)
DWELL_SHORT = Setting("dwell", "Stays for", 0, 30, 0.5, 1, "s", duration=True)
AFTER = Setting("after", "Stands still for", 10, 900, 5, 120, "s", duration=True)
HOLD = Setting("hold", "Lasts for", 1, 120, 1, 10, "s", duration=True)
HOLD_LINE = Setting("hold", "Alert lasts for", 1, 60, 1, 5, "s", duration=True)
MORE_THAN = Setting("more_than", "More than", 0, 60, 1, 5)

_SEEN = (SCORE, SIZE, FRAMES, GRACE)
_SEEN_AT_ONCE = (SCORE, SIZE, FRAMES_AT_ONCE, GRACE)
_KINDS = (
    RuleKind("zone_enter", "zone", "Alert as soon as somebody is in the zone", _SEEN),
    RuleKind("zone_dwell", "zone", "Alert when somebody stays in the zone", (DWELL, *_SEEN)),
    RuleKind("count", "zone", "Alert when there are too many in the zone", (MORE_THAN, HOLD, *_SEEN)),
    RuleKind(
        "stationary",
        "zone",
        "Alert when a vehicle or bag stands in the zone",
        (AFTER, SCORE, SIZE, FRAMES, GRACE_LONG),
        ("car", "truck"),
    ),
    RuleKind(
        "beyond_railing",
        "zone",
        "Alert at once when a person is beyond the railing",
        _SEEN_AT_ONCE,
    ),
    RuleKind(
        "person_in_water",
        "zone",
        "Alert when a person is in the water, not in a boat",
        (DWELL_SHORT, *_SEEN),
    ),
    RuleKind("line_cross", "line", "Alert when somebody crosses the line", (HOLD_LINE, *_SEEN_AT_ONCE)),
)
RULE_KINDS: dict[str, RuleKind] = {one.kind: one for one in _KINDS}
"""By the name of the kind."""
SEVERITIES = ("info", "warning", "critical")
LABELS = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "boat", "dog", "backpack", "suitcase")
"""Offered beside those that a rule has already."""


def kinds_for(shape: str) -> list[RuleKind]:
    """The kinds for a zone or a line."""
    return [one for one in RULE_KINDS.values() if one.shape == shape]
