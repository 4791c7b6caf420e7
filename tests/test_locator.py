"""One notion of a good fix: what the receiver's gate does not believe, no rule, clock or picture goes by."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.alerts.alert import Alert
from agent.alerts.rule_engine import RuleEngine
from agent.config.loader import parse
from agent.domain.findings import Finding
from agent.domain.observations import Observation, Tick
from agent.host import clock as kernel_clock
from agent.positioning.locator import Locator
from agent.reporting.clock_quality import ClockWatch
from firmware_bridge.readings import Fix, GnssState, Reading, Value, Vessel
from firmware_bridge.wgs84 import metres_per_degree

AT = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1, 118.7
DEGREE_M = metres_per_degree(LAT)[1]
CONFIG = f"""\
schema_version: 1
device: boat-03
kind: patrol_boat
place: {{ring: inner_city, domain: water, site: s, post: p, timezone: UTC}}
broker: {{url: "mqtt://127.0.0.1:1883"}}
positioning: {{max_hdop: 4, top_speed_mps: 20}}
sources:
  gnss: {{kind: ubx, port: /dev/a}}
  compass: {{kind: nmea, port: /dev/b}}
  ais: {{kind: ais, port: /dev/c}}
  bow: {{kind: camera, url: "0", purpose: look ahead, mount: {{fov_deg: 60, height_m: 5, pitch_deg: -20}}}}
rules:
  fence: {{kind: geofence, source: gnss, circle: {{lat: {LAT}, lon: {LON}, radius_m: 100}}, hold: 3s, lost_after: 20s}}
  moved: {{kind: moved, source: gnss, lat: {LAT}, lon: {LON}, window: 40s, hold: 5s, lost_after: 20s}}
  near: {{kind: vessel_close, source: ais, own: gnss, distance_m: 200}}
"""


def fix(north_m: float = 0.0, **more: Any) -> Fix:
    known: dict[str, Any] = {"mode": "3d", "satellites": 9, "hdop": 0.9, "error_m": 2.0} | more
    return Fix(lat=LAT + north_m / DEGREE_M, lon=LON, **known)


class Bridge:
    """The agent's locator, rules and clock on a boat, and the seconds that pass for them."""

    def __init__(self) -> None:
        config = parse(CONFIG, name="c.yaml", base=Path())
        self.locator = Locator(config.locator_settings())
        self.clock = ClockWatch()
        self.judges = RuleEngine(lambda: "id", add_place=self.locator.with_point)
        self.judges.apply(config.rules, AT, 0)
        self.now_s = 0.0
        self.told: list[tuple[str, str, str]] = []

    def hear(self, value: Value | Tick, source: str = "gnss") -> list[Alert]:
        at = AT + timedelta(seconds=self.now_s)
        observation = self.locator.with_doubt(Observation(source, at, self.now_s, value))
        self.clock.on_observation(observation)
        alerts = self.judges.on_observation(observation, at, self.now_s)
        self.told += [(one.policy.rule, one.phase, one.text) for one in alerts]
        return alerts

    def play(self, fixes: Iterable[Fix], state: GnssState | None = None) -> None:
        for one in fixes:
            self.now_s += 1
            if state is not None:
                self.hear(state)
            self.hear(one)
            self.hear(Tick(), "clock")

    def news(self, rule: str) -> list[str]:
        return [text for its, phase, text in self.told if its == rule and phase == "new"]


JUMPING: Callable[[int], Fix] = lambda n: fix(3000 + 2000 * (n % 2))  # noqa: E731  a table of fixes
DOUBTED: list[tuple[str, Callable[[int], Fix], GnssState | None, str]] = [
    ("a jump", JUMPING, None, "a jump of"),
    ("imprecise", lambda _: fix(3000, hdop=9.0, error_m=None), None, "an HDOP of 9"),
    ("by the configured limit", lambda _: fix(3000, hdop=4.5, error_m=None), None, "an HDOP of 4.5"),
    ("three satellites", lambda _: fix(3000, satellites=3), None, "3 satellites"),
    ("held", lambda _: fix(3000, held=True), None, "not measured but held"),
    ("led astray", lambda n: fix(10 * n), GnssState(spoofing="affirmed"), "spoofing affirmed"),
]


@pytest.mark.parametrize(("name", "said", "state", "why"), DOUBTED, ids=[one[0] for one in DOUBTED])
def test_what_is_not_believed_moves_nothing_and_the_rules_say_that_they_do_not_know(
    name: str, said: Callable[[int], Fix], state: GnssState | None, why: str
) -> None:
    bridge = Bridge()
    bridge.play([fix()] * 25)
    bridge.play([said(n) for n in range(25)], state)
    for rule in ("fence", "moved"):
        (text,) = bridge.news(rule)
        assert text.startswith("gnss has no position for 20 s (" + why), name


@pytest.mark.parametrize(("name", "said", "state", "why"), DOUBTED, ids=[one[0] for one in DOUBTED])
def test_who_was_out_is_not_back_by_a_fix_that_is_not_believed(
    name: str, said: Callable[[int], Fix], state: GnssState | None, why: str
) -> None:
    bridge = Bridge()
    bridge.play([fix(600)] * 50)
    assert len(bridge.news("fence")) == len(bridge.news("moved")) == 1
    bridge.play([said(n) for n in range(15)], state)
    assert [phase for _, phase, _ in bridge.told if phase == "end"] == [], name
    texts = {rule: text for rule, _, text in bridge.told}
    assert texts["fence"].startswith("500 m outside its area; no position for ")
    assert texts["moved"].startswith("gnss is 600 m from where the post was surveyed; no position for ")
    assert all(why in text for text in texts.values())


def test_no_vessel_is_close_to_where_we_are_not() -> None:
    """It lies at 3000 m, where a receiver in trouble puts us."""
    bridge = Bridge()
    ship = Vessel(
        mmsi=413000001, message=1, lat=LAT + 3000 / DEGREE_M, lon=LON, speed_mps=2.0, course_deg=0.0
    )
    for second in range(30):
        bridge.play([fix() if second < 5 else fix(3000, hdop=9.0, error_m=None)])
        bridge.hear(ship, "ais")
    assert bridge.news("near") == []
    for _ in range(60):
        bridge.play([fix(3000)])
        bridge.hear(ship, "ais")
    assert len(bridge.news("near")) == 1


def test_the_clock_takes_the_time_of_what_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_clock, "kernel_clock", lambda: (False, None))
    bridge = Bridge()
    bridge.play([fix(n, time=AT + timedelta(days=400), hdop=9.0, error_m=None) for n in range(5)])
    assert bridge.clock.state(bridge.now_s)["source"] != "gnss"
    bridge.play([fix(time=AT + timedelta(seconds=bridge.now_s + 1))])
    assert bridge.clock.state(bridge.now_s) == {"source": "gnss", "error_ms": 200}
    bridge.play([JUMPING(0)] * 3, GnssState(spoofing="indicated"))
    assert bridge.clock.state(bridge.now_s) == {"source": "gnss", "error_ms": 200}


def test_a_receiver_that_keeps_its_place_measures_the_time_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_clock, "kernel_clock", lambda: (False, None))
    bridge = Bridge()
    bridge.play([fix(time=AT + timedelta(seconds=1), held=True)])
    assert bridge.clock.state(bridge.now_s) == {"source": "gnss", "error_ms": 200}


def test_a_picture_is_placed_from_a_position_and_a_course_that_hold() -> None:
    seen = Finding(key="bow", text="t", since=AT, source="bow", box=(0.49, 0.4, 0.51, 0.5))

    def placed(*said: Fix, heading: bool) -> bool:
        bridge = Bridge()
        bridge.play(said)
        if heading:
            bridge.hear(Reading(quantity="heading_true", value=90.0, unit="deg"), "compass")
        return bridge.locator.with_point(seen, bridge.now_s).point is not None

    poor: dict[str, Any] = {"hdop": 9.0, "error_m": None}
    assert placed(fix(), heading=True)
    assert not placed(fix(**poor), heading=True)
    assert placed(fix(speed_mps=5.0, course_deg=90.0), heading=False)
    assert not placed(fix(), *[fix(speed_mps=5.0, course_deg=90.0, **poor)] * 3, heading=False)


def test_what_can_not_be_weighed_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge()

    def fails(_: Observation) -> None:
        raise ArithmeticError("a bug")

    monkeypatch.setattr(bridge.locator.device_position, "on_observation", fails)
    bridge.play([fix(3000)] * 15)
    assert bridge.news("fence") == []
