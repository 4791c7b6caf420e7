"""What a kind of rule says of itself: how long it waits, and what it refers to under which key."""

from datetime import timedelta
from typing import Any, get_args

import pytest

from agent.domain.contracts import RulePart, SourceRule
from agent.domain.references import CameraReference, Channel, Keyed, SourceReference
from agent.rules import Rule
from agent.rules.blind import Blind
from agent.rules.person_in_water import PersonInWater
from agent.rules.switch import SwitchRule
from agent.rules.threshold import Threshold
from agent.rules.vessel_close import VesselClose
from agent.rules.zone_enter import ZoneEnter

KINDS: dict[str, type[RulePart]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(get_args(Rule)[0])
}

# By kind: which of its durations a fresh judge may have to wait for, and their sum in seconds as they come.
PATIENCE: dict[str, tuple[set[str], float]] = {
    "beyond_railing": (set(), 0),
    "blind": ({"after"}, 10),
    "count": ({"hold"}, 10),
    "distress_beacon": ({"over_after"}, 600),
    "drone_battery": ({"hold"}, 5),
    "drone_lost": ({"after"}, 10),
    "geofence": ({"hold", "lost_after"}, 135),
    "interference": ({"hold"}, 3),
    "line_cross": ({"hold"}, 5),
    "moved": ({"hold", "window", "lost_after"}, 1260),
    "on_post": ({"hold", "lost_after"}, 150),
    "person_in_water": ({"dwell"}, 1),
    "route": ({"hold", "lost_after"}, 135),
    "silence": ({"after"}, 10),
    "stationary": ({"after"}, 120),
    "switch": ({"hold"}, 0),
    "threshold": ({"hold", "within"}, 0),
    "vessel_adrift": ({"hold", "forget"}, 960),
    "vessel_close": ({"within", "fresh"}, 480),
    "wrong_way": (set(), 0),
    "zone_dwell": ({"dwell"}, 20),
    "zone_enter": (set(), 0),
}
NO_WAITS = {"ack_within", "cool_down", "grace", "signal_hold"}
"""Durations that are no part of it."""


def as_it_comes(kind: str) -> RulePart:
    """The rule with all defaults; required keys are missing."""
    return KINDS[kind].model_construct(
        **{name: field.get_default() for name, field in KINDS[kind].model_fields.items()}
    )


def durations(kind: str) -> set[str]:
    return {name for name, field in KINDS[kind].model_fields.items() if "timedelta" in str(field)}


def test_every_kind_is_listed_here() -> None:
    assert PATIENCE.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", PATIENCE)
def test_the_patience_of_a_kind_is_the_sum_of_its_waits(kind: str) -> None:
    waits, seconds = PATIENCE[kind]
    rule = as_it_comes(kind)
    assert rule.patience == timedelta(seconds=seconds)
    for name in durations(kind):
        before = rule.model_copy(update={name: timedelta(0)}).patience
        longer = rule.model_copy(update={name: timedelta(hours=1)}).patience - before
        assert longer == timedelta(hours=1 if name in waits else 0), name


@pytest.mark.parametrize("kind", PATIENCE)
def test_each_duration_is_a_wait_or_known_to_be_none(kind: str) -> None:
    assert durations(kind) == PATIENCE[kind][0] | (NO_WAITS & durations(kind))


@pytest.mark.parametrize(
    ("rule", "references"),
    [
        (SwitchRule(source="board", name="panic"), [
            SourceReference("source", "board", ("switch",), Channel("name", "switch", "panic")),
        ]),
        (Threshold(source="board", quantity="depth", below=2), [
            SourceReference("source", "board", ("reading",), Channel("quantity", "reading", "depth")),
        ]),
        (VesselClose(source="ais"), [SourceReference("source", "ais", ("vessel",))]),
        (VesselClose(source="ais", own="gnss"), [
            SourceReference("source", "ais", ("vessel",)), SourceReference("own", "gnss", ("fix", "vessel")),
        ]),
        (ZoneEnter(camera="cam1", zone="rail"), []),
    ],
)  # fmt: skip
def test_the_sources_that_a_rule_refers_to(rule: RulePart, references: list[SourceReference]) -> None:
    assert list(rule.source_references()) == references


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (SwitchRule(source="board", name="panic"), None),
        (Blind(camera="cam1"), CameraReference(camera="cam1", needs_coverage=True)),
        (
            Blind(camera="cam1", zone="rail"),
            CameraReference(camera="cam1", zones=(Keyed("zone", "rail"),), needs_coverage=True),
        ),
        (
            ZoneEnter(camera="cam1", zone="rail"),
            CameraReference(
                camera="cam1", zones=(Keyed("zone", "rail"),), labels=(Keyed("labels", "person"),),
                looks_per_s=1.0, moving_key="camera_may_move",
            ),
        ),
        (
            PersonInWater(camera="cam1", zone="river", min_score=0.3, camera_may_move=True),
            CameraReference(
                camera="cam1", zones=(Keyed("zone", "river"),),
                labels=(Keyed("labels", "person"), Keyed("vessels", "boat")),
                min_score=("min_score", 0.3), looks_per_s=0.5,
            ),
        ),
    ],
)  # fmt: skip
def test_the_camera_that_a_rule_refers_to(rule: RulePart, reference: CameraReference | None) -> None:
    assert rule.camera_reference() == reference


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_with_a_source_of_its_own_refers_to_it(kind: str) -> None:
    """A key ``source`` or ``camera`` that no reference names would not be checked."""
    fields: Any = KINDS[kind].model_fields
    assert ("source" in fields) == issubclass(KINDS[kind], SourceRule)
    example = as_it_comes(kind).model_copy(
        update={"camera": "cam1", "labels": ("person",), "zone": "rail", "source": "s"}
    )
    reference = example.camera_reference()
    assert (reference is not None) == ("camera" in fields)
    if reference is not None:
        assert [key for key, _ in reference.zones] == (["zone"] if "zone" in fields else [])
        assert {"labels", "vessels"} & set(fields) == {key for key, _ in reference.labels}
