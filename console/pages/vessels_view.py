"""Vessels around the device, the most dangerous first: range, bearing, CPA and TCPA. Pure."""

from dataclasses import dataclass

from agent.positioning.closest_approach import DSC_CALL, LONG_RANGE, Approach, Kinematics, closest_approach
from console.pages.source_store import KnownValue, SourceStore
from console.pages.words import Kind, as_number

NEAR_M, CLOSE_M = 200.0, 1000.0
"""A vessel that will pass closer than this is dangerous, or worth a look."""
NEAR_S, CLOSE_S = 600.0, 1800.0
OLD_S = 180.0
"""A report that is older says little of where a vessel is."""
GONE_S = 1800.0
"""A vessel silent for so long is left out."""
MOST = 60


@dataclass(frozen=True, slots=True)
class Target:
    """A vessel; ``approach`` where its position and ours are known."""

    mmsi: str
    name: str
    station: str
    place: tuple[float, float] | None
    course_deg: float | None
    speed_mps: float | None
    age_s: float
    approach: Approach | None
    danger: Kind
    distress: str

    @property
    def old(self) -> bool:
        return self.age_s > OLD_S


def targets(store: SourceStore, now_s: float) -> list[Target]:
    """At most `MOST` vessels; distress first, then by danger, by time and by range."""
    own_value = store.own_fix(now_s)
    own = None if own_value is None else _kinematics(own_value)
    found = [
        _target(value, own, now_s)
        for value in store.of_kind("vessel")
        if not value.fields.get("own") and value is not own_value and value.age_s(now_s) < GONE_S
    ]
    return sorted(found, key=_order)[:MOST]


def _order(target: Target) -> tuple[object, ...]:
    rank = {"bad": 0, "doubt": 1, "good": 2, "idle": 3}[target.danger]
    approach = target.approach
    soon_s = approach.seconds if approach is not None and rank < 2 else 0.0
    return not target.distress, rank, soon_s, approach.range_m if approach else float("inf"), target.mmsi


def _target(value: KnownValue, own: Kinematics | None, now_s: float) -> Target:
    fields, other = value.fields, _kinematics(value)
    age_s = max(0.0, now_s - (value.placed_s if value.placed_s is not None else value.at_s))
    coarse = fields.get("message") in (LONG_RANGE, DSC_CALL)
    approach = None if own is None or other is None or coarse else closest_approach(own, other, now_s)
    distress = "" if fields.get("test") else str(fields.get("distress") or "")
    return Target(
        value.key,
        str(fields.get("name") or ""),
        str(fields.get("ship_type") or fields.get("station") or ""),
        value.place,
        as_number(fields.get("course_deg")),
        as_number(fields.get("speed_mps")),
        age_s,
        approach,
        "bad" if distress else _danger(approach, age_s),
        distress,
    )


def _danger(approach: Approach | None, age_s: float) -> Kind:
    if approach is None or age_s > OLD_S:
        return "idle"
    if approach.closest_m < NEAR_M and approach.seconds < NEAR_S:
        return "bad"
    return "doubt" if approach.closest_m < CLOSE_M and approach.seconds < CLOSE_S else "good"


def _kinematics(value: KnownValue) -> Kinematics | None:
    place = value.place
    if place is None:
        return None
    course = as_number(value.fields.get("course_deg"))
    course = course if course is not None else as_number(value.fields.get("heading_deg"))
    speed = as_number(value.fields.get("speed_mps")) if course is not None else None
    at_s = value.placed_s if value.placed_s is not None else value.at_s
    return Kinematics(place[0], place[1], speed or 0.0, course or 0.0, at_s)
