"""Forces on the map: their link by the four rules of docs/centre.md, their place with age and quality."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centre.map.force import Force
from centre.map.forces import Filter, Forces
from centre.map.situation import Situation
from tests.map_rows import BIRTH, Rows, later
from tests.thorough import all_or


def boat(*messages: Any) -> Force:
    force = Force("boat-7")
    for message in messages:
        force.apply(message)
    return force


LINKS = [
    ("a live device", [("birth", 0, BIRTH), ("status", 0, {"state": "online"})], 60, "online"),
    ("degraded, with reasons", [("status", 0, {"state": "degraded", "reasons": ["no fix"]})], 60, "degraded"),
    ("silent after 2.5 health intervals", [("status", 0, {"state": "online"})], 151, "silent"),
    (
        "the interval is that of its birth",
        [("birth", 0, BIRTH | {"reporting": {"health_every_s": 600}}), ("status", 0, {"state": "online"})],
        1400,
        "online",
    ),
    (
        "any message is a sign of life",
        [("status", 0, {"state": "online"}), ("position", 140, {})],
        200,
        "online",
    ),
    ("a last will", [("status", 0, {"state": "online"}), ("will", 90, {"session": 1})], 100, "offline"),
    (
        "a live message after a last will",
        [("status", 0, {"state": "online"}), ("will", 90, {"session": 1}), ("position", 95, {})],
        100,
        "online",
    ),
    (
        "a message from before the last will that came after it",
        [("status", 0, {"state": "online"}), ("will", 90, {"session": 1}), ("position", 50, {})],
        100,
        "offline",
    ),
    (
        "the last will of an older connection",
        [
            ("birth", 50, BIRTH | {"session": 2}),
            ("status", 50, {"state": "online"}),
            ("will", 90, {"session": 1}),
        ],
        100,
        "online",
    ),
    ("stopped stays so", [("status", 0, {"state": "stopped"})], 9000, "stopped"),
    ("a retained status that is hours old", [("status", -9000, {"state": "online"})], 1, "silent"),
]


@pytest.mark.parametrize(
    ("messages", "now_s", "expected"), [one[1:] for one in LINKS], ids=[one[0] for one in LINKS]
)
def test_link(messages: list[tuple[str, float, dict[str, Any]]], now_s: float, expected: str) -> None:
    rows = Rows()
    force = boat(*(rows(topic, at_s, received_s=max(0.0, at_s), **body) for topic, at_s, body in messages))
    assert force.link(later(now_s)) == expected


FIX = {"lat": 32.0, "lon": 118.0, "mode": "3d", "trust": "good", "age_s": 0.5, "stale_after_s": 15}
STALE = [
    ("fresh", FIX, 10, False),
    ("old by its report", FIX, 30, True),
    ("old by its own age", FIX | {"age_s": 300}, 1, True),
    ("the last known one", FIX | {"mode": "none", "trust": "old"}, 1, True),
    ("a surveyed post does not age", FIX | {"mode": "surveyed"}, 99_999, False),
    ("no position at all", {"mode": "none"}, 0, True),
    ("null island is none", FIX | {"lat": 0, "lon": 0}, 0, True),
    ("a latitude that is none", FIX | {"lat": 91}, 0, True),
]


STALE += [
    ("at rest, the next one not due", FIX | {"next_within_s": 60}, 80, False),
    ("at rest, one was lost", FIX | {"next_within_s": 60}, 135, False),
    ("at rest, and overdue", FIX | {"next_within_s": 60}, 145, True),
    ("on its way, and overdue", FIX | {"next_within_s": 2}, 30, True),
]


@pytest.mark.parametrize(
    ("body", "now_s", "stale"), [one[1:] for one in STALE], ids=[one[0] for one in STALE]
)
def test_stale_positions(body: dict[str, Any], now_s: float, stale: bool) -> None:
    assert boat(Rows()("position", 0, **body)).stale(later(now_s)) is stale


def test_a_status_that_arrives_late_changes_nothing() -> None:
    """By the numbers and the time of the device, whoever received which first."""
    rows = Rows()
    old, new = rows("status", 1, received_s=9, state="online"), rows("status", 5, state="degraded")
    birth = rows("birth", 0, **BIRTH)
    for order in ((birth, old, new), (birth, new, old)):
        assert boat(*order).link(later(10)) == "degraded"
    restored = rows("status", 20, seq=1, state="online")  # of a store that was restored from an image
    assert boat(birth, new, restored).link(later(21)) == "online"


def test_a_device_that_reports_rarely_is_not_stale_between_its_reports() -> None:
    rows = Rows()
    force = boat(*(rows("position", at_s, **FIX) for at_s in (0, 60, 120)))
    assert not force.stale(later(190))
    assert force.stale(later(210))


def test_an_older_position_does_not_move_a_force_back() -> None:
    rows = Rows()
    force = boat(rows("position", 60, **FIX), rows("position", 0, **FIX | {"lat": 31.0}))
    assert force.coordinates == (32.0, 118.0)


def test_blind_zones_come_and_go_with_health() -> None:
    rows = Rows()
    blind = {
        "cam1": {"seen": ["quay"], "blind": [{"zone": "gate", "why": "fog", "since": "2026-11-30T11:00:00Z"}]}
    }
    force = boat(rows("health", 0, coverage=blind))
    assert [(one.camera, one.zone, one.why) for one in force.blind] == [("cam1", "gate", "fog")]
    force.apply(rows("health", 60, coverage={"cam1": {"seen": ["quay", "gate"], "blind": []}}))
    assert force.blind == ()


def test_filters() -> None:
    forces, rows = Forces(), Rows()
    forces.apply(rows("birth", **BIRTH))
    forces.apply(
        rows("birth", device="post-1", **BIRTH | {"domain": "ground", "ring": "perimeter", "post": "Gate 3"})
    )
    forces.apply(rows("status", device="new-1", state="online"))

    def chosen(**by: Any) -> list[str]:
        return [force.device for force in forces.chosen(Filter(**by))]

    assert chosen() == ["boat-7", "new-1", "post-1"]
    assert chosen(domains=frozenset({"water"})) == ["boat-7"]
    assert chosen(rings=frozenset({"perimeter"}), sites=frozenset({"Greywharf"})) == ["post-1"]
    assert chosen(search="gate 3") == ["post-1"]
    assert forces.values("domain") == ["ground", "water"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    *(
        "at",
        "clock",
        "lat",
        "lon",
        "age_s",
        "trust",
        "mode",
        "stale_after_s",
        "state",
        "reasons",
        "coverage",
        "kind",
    ),
    *(
        "ring",
        "capabilities",
        "duty",
        "software",
        "reporting",
        "session",
        "connected_at",
        "rescue_mode",
        "values",
    ),
    *("alert", "alerts", "count", "latency_ms", "drill", "historical", "simulated", "epoch", "seq"),
)
ALERT_FIELDS = (
    "alert_id",
    "phase",
    "severity",
    "text",
    "since",
    "point",
    "media",
    "acknowledged",
    "silenced",
    "count",
)
bodies = st.dictionaries(
    st.sampled_from(FIELDS),
    json_values
    | st.dictionaries(st.sampled_from(ALERT_FIELDS), json_values | st.sampled_from(["a1", "new", "end"]))
    | st.lists(st.dictionaries(st.sampled_from(ALERT_FIELDS), json_values | st.just("a1")), max_size=3)
    | st.sampled_from(["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00-23:59", 10**400]),
)
TOPICS = (
    "will",
    "status",
    "birth",
    "health",
    "position",
    "alerts/active",
    "alert",
    "telemetry/x",
    "command/result",
)


@pytest.mark.slow
@settings(max_examples=all_or(30, 120), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TOPICS), bodies), max_size=12))
def test_whatever_a_device_sends_the_map_goes_on(messages: list[tuple[str, dict[str, Any]]]) -> None:
    situation, rows = Situation(), Rows()
    situation.apply([rows(topic, float(n), **body) for n, (topic, body) in enumerate(messages)])
    for force in situation.forces.all():
        force.link(later(5)), force.stale(later(5)), force.reasons, force.coordinates, force.seen_at()
    for alert in situation.alerts.all():
        alert.state, alert.alarm, alert.pictures, alert.age_s(later(5)), alert.end_reason
    situation.forces.counts(later(5))


def test_a_position_of_an_unknown_time_or_of_a_silent_device_is_not_that_of_now() -> None:
    rows = Rows()
    fix = {"lat": 32.0, "lon": 118.0, "mode": "3d", "trust": "good", "age_s": 0.5}
    kept = rows("position", -10_800, received_s=2, historical=True, clock={"source": "unsynced"}, **fix)
    force = Force("boat-7")
    for message in (rows("birth", 0, **BIRTH), rows("status", 1, state="online"), kept):
        force.apply(message)
    assert force.position is None
    force.apply(rows("position", 3, stale_after_s=86_400, **fix))
    assert not force.stale(later(60))
    assert force.stale(later(3600))  # silent: where it is now, nobody knows
