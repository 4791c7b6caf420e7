"""A restart, a reboot or a changed rule ends no alert whose fact goes on: every kind of rule, whole engine."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from agent.alerts.alert import Alert
from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.domain.findings import for_duration
from agent.domain.observations import BlindZone, Observation, SeenObject, Sighting, Tick, Value, View
from agent.domain.site import Site
from agent.rules import Rule
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Fix, GnssState, Reading, Switch, Vessel
from firmware_bridge.wgs84 import metres_per_degree

START = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1162, 118.7404
DEGREE_M = metres_per_degree(LAT)[1]
DOWN_S = 20.0
"""How long the agent is away."""
ON_S, OFF_S = 800, 4500

Said = list[tuple[str, Value]]
Stream = Callable[[float, float], Said]
"""What is said at a second, by an agent (and so a camera) that began at another."""


@dataclass(frozen=True)
class Case:
    """``on`` while the fact is so, for the first time before ``found_s``; ``off`` once it is over."""

    config: dict[str, Any]
    on: Stream
    off: Stream
    found_s: int = 100


def fix(north_m: float, **more: Any) -> Said:
    known: dict[str, Any] = {"mode": "3d", "satellites": 9, "hdop": 0.9} | more
    return [("gnss", Fix(lat=LAT + north_m / DEGREE_M, lon=LON, **known))]


def seen(t: float, *objects: SeenObject, began: float = 0) -> Said:
    return [("cam1", Sighting(frame=int(t - began) * 5 + 1, objects=objects))]


def thing(
    track: int = 1, label: str = "person", left: float = 0.4, zones: tuple[str, ...] = ("rail",)
) -> SeenObject:
    return SeenObject(track=track, label=label, score=0.8, box=(left, 0.2, left + 0.1, 0.6), zones=zones)


def there(*objects: SeenObject) -> Stream:
    return lambda t, began: seen(t, *objects, began=began)


def crossing(t: float, began: float) -> Said:
    """Every five seconds another comes from the left, and is across after two."""
    number, step = divmod(int(t), 5)
    return seen(t, thing(number + 1, left=0.3 + 0.1 * step, zones=()), began=began)


def against(t: float, began: float) -> Said:
    number, step = divmod(int(t), 10)
    return seen(t, thing(number + 1, left=0.8 - 0.08 * step), began=began)


def near(north_m: float, every_s: int = 10, **more: Any) -> Stream:
    vessel = Vessel(
        mmsi=413_000_001, message=1, station="class_a", lat=LAT + north_m / DEGREE_M, lon=LON,
        **({"speed_mps": 1.0, "course_deg": 90.0, "heading_deg": 90.0} | more),
    )  # fmt: skip
    return lambda t, _: [("ais", vessel)] if t % every_s == 0 else []


def always(*said: tuple[str, Value]) -> Stream:
    return lambda *_: list(said)


def first(until: float, one: Stream, then: Stream) -> Stream:
    return lambda t, began: one(t, began) if t < until else then(t, began)


def nothing(*_: float) -> Said:
    return []


def reading(value: Callable[[float], float]) -> Stream:
    return lambda t, _: [("river", Reading(quantity="water_level", value=value(t), unit="m"))]


def drone(**more: Any) -> Stream:
    known: dict[str, Any] = {"system": 1, "armed": True, "lat": LAT, "lon": LON, "battery_pct": 80} | more
    return always(("radio", Drone(**known)))


CAM: dict[str, Any] = {"camera": "cam1", "zone": "rail"}
AREA = {"kind": "geofence", "source": "gnss", "circle": {"lat": LAT, "lon": LON, "radius_m": 100}}
POST = {"source": "gnss", "lat": LAT, "lon": LON}
LEVEL = {"kind": "threshold", "source": "river", "quantity": "water_level"}
RISES = LEVEL | {"rises_by": 0.5, "within": "10m"}
CLOSE = {"kind": "vessel_close", "source": "ais", "at": [LAT, LON], "distance_m": 200}
ADRIFT = {"kind": "vessel_adrift", "source": "ais"}
BERTH = {"status": "moored", "speed_mps": 0.3, "course_deg": 0.0}
BEACON = Vessel(mmsi=972_000_001, message=1, station="beacon", distress="mob", lat=LAT, lon=LON)
AT_BERTH = near(0, **BERTH | {"speed_mps": 0.0})
JAMMED, CLEAR = GnssState(jamming="critical"), GnssState(jamming="ok")


def blind(why: str) -> Stream:
    return lambda t, began: [
        ("cam1", View(zones=("rail",), blind=(BlindZone(zone="rail", why=why, for_s=t - began),)))
    ]


CASES: dict[str, Case] = {
    "beyond_railing": Case({"kind": "beyond_railing", "need_ack": False} | CAM, there(thing()), there()),
    "blind": Case({"kind": "blind", "after": "10s"} | CAM, blind("dark"), always(("cam1", View(zones=("rail",))))),
    "blind: no picture": Case({"kind": "blind", "after": "10s"} | CAM, nothing, always(("cam1", View(zones=("rail",))))),
    "count": Case({"kind": "count", "more_than": 1} | CAM, there(thing(1), thing(2, left=0.7)), there()),
    "count: held by hysteresis": Case(
        {"kind": "count", "more_than": 2, "hysteresis": 1} | CAM,
        first(60, there(thing(1), thing(2, left=0.7), thing(3, left=0.1)), there(thing(1), thing(2, left=0.7))), there()),
    "distress_beacon": Case({"kind": "distress_beacon", "source": "ais"}, lambda t, _: [("ais", BEACON)] if t % 240 == 0 else [], nothing),
    "drone_battery": Case({"kind": "drone_battery", "source": "radio"}, drone(battery_pct=20), drone()),
    "drone_battery: held by hysteresis": Case({"kind": "drone_battery", "source": "radio"}, first(50, drone(battery_pct=20), drone(battery_pct=27)), drone()),
    "drone_lost": Case({"kind": "drone_lost", "source": "radio"}, first(20, drone(mode="AUTO", height_m=40.0), nothing), drone()),
    "geofence": Case(AREA, lambda *_: fix(200), lambda *_: fix(0)),
    "geofence: held by hysteresis": Case(AREA, lambda t, _: fix(200 if t < 50 else 110), lambda *_: fix(0)),
    "geofence: no position since": Case(AREA | {"lost_after": "30s"}, first(50, lambda *_: fix(200), nothing), lambda *_: fix(0)),
    "interference": Case({"kind": "interference", "source": "gnss"}, always(("gnss", JAMMED)), always(("gnss", CLEAR))),
    "interference: signal": Case(
        {"kind": "interference", "source": "gnss"},
        lambda t, _: fix(0, cn0_dbhz=45.0 if t < 700 else 30.0), lambda *_: fix(0, cn0_dbhz=45.0), found_s=900),
    "line_cross": Case({"kind": "line_cross", "camera": "cam1", "line": [[0.5, 1], [0.5, 0]], "hold": "8s"}, crossing, there()),
    "moved": Case({"kind": "moved"} | POST, lambda *_: fix(100), lambda *_: fix(0), found_s=900),
    "moved: never lost": Case({"kind": "moved", "lost_after": None} | POST, lambda *_: fix(100), lambda *_: fix(0), found_s=900),
    "moved: held by hysteresis": Case({"kind": "moved"} | POST, lambda t, _: fix(100 if t < 600 else 23), lambda *_: fix(0), found_s=1500),
    "moved: no position since": Case({"kind": "moved", "lost_after": "30s"} | POST, first(600, lambda *_: fix(100), nothing), lambda *_: fix(0), found_s=900),
    "on_post": Case({"kind": "on_post", "hours": "24/7"} | POST, lambda *_: fix(300), lambda *_: fix(0)),
    "person_in_water": Case({"kind": "person_in_water", "need_ack": False} | CAM, there(thing()), there()),
    "route": Case({"kind": "route", "source": "gnss"}, lambda *_: fix(300), lambda *_: fix(0)),
    "silence": Case({"kind": "silence", "source": "gnss"}, first(5, lambda *_: fix(0), nothing), lambda *_: fix(0)),
    "stationary": Case({"kind": "stationary", "labels": ["car"]} | CAM, there(thing(label="car")), there(), found_s=300),
    "stationary: not what stood there first": Case(
        {"kind": "stationary", "labels": ["car"], "ignore_initial": True} | CAM, first(20, there(), there(thing(label="car"))), there(), found_s=300),
    "switch": Case({"kind": "switch", "source": "board", "name": "panic_button"},
        always(("board", Switch(name="panic_button", on=True))), always(("board", Switch(name="panic_button", on=False)))),
    "threshold": Case(LEVEL | {"above": 5}, reading(lambda _: 6), reading(lambda _: 3)),
    "threshold: held by hysteresis": Case(LEVEL | {"above": 5, "hysteresis": 1}, reading(lambda t: 6 if t < 50 else 4.5), reading(lambda _: 3)),
    "threshold: below": Case(LEVEL | {"below": 1, "hold": "1m"}, reading(lambda _: 0.5), reading(lambda _: 3)),
    "threshold: rises": Case(RISES, reading(lambda t: t / 1000), reading(lambda _: 9), found_s=1000),
    "threshold: rises, for long": Case(RISES | {"hold": "5m"}, reading(lambda t: t / 1000), reading(lambda _: 9), found_s=1000),
    "threshold: falls": Case(LEVEL | {"falls_by": 0.5, "within": "10m"}, reading(lambda t: 9 - t / 1000), reading(lambda _: 9), found_s=1000),
    "vessel_adrift": Case(ADRIFT, near(0, status="not_under_command"), near(0, course_deg=90.0)),
    "vessel_adrift: off its berth": Case(ADRIFT, first(60, AT_BERTH, near(80, **BERTH)), AT_BERTH, found_s=300),
    "vessel_adrift: off its berth, heard seldom": Case(
        ADRIFT, first(400, near(0, 180, **BERTH | {"speed_mps": 0.0}), near(80, 180, **BERTH)), AT_BERTH, found_s=1200),
    "vessel_close": Case(CLOSE, near(100), near(3000)),
    "vessel_close: held by hysteresis": Case(CLOSE, first(50, near(100), near(250)), near(3000)),
    "vessel_close: at anchor": Case(CLOSE | {"least_speed_mps": 0}, near(100, 180, speed_mps=0.0), near(3000), found_s=500),
    "wrong_way": Case({"kind": "wrong_way", "flow": [[0, 0.5], [1, 0.5]]} | CAM, against, there()),
    "zone_dwell": Case({"kind": "zone_dwell", "dwell": "10s"} | CAM, there(thing()), there()),
    "zone_enter": Case({"kind": "zone_enter"} | CAM, there(thing()), there()),
}  # fmt: skip


def test_every_kind_of_rule_has_a_case() -> None:
    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(Rule)[0])}
    assert {case.config["kind"] for case in CASES.values()} == kinds


def rule_of(case: Case, folder: Path) -> Any:
    line = folder / "route.geojson"
    line.write_text(json.dumps({"type": "LineString", "coordinates": [[LON - 0.1, LAT], [LON + 0.1, LAT]]}))
    rule = TypeAdapter(Rule).validate_python(case.config)
    return rule.resolve(Site(route=line, lat=LAT, lon=LON))


class Device:
    """The engine, with a clock that this test sets, and a way to restart it."""

    def __init__(self, rule: Any) -> None:
        self._numbers = count(1)
        self.rule, self.second, self.began = rule, 0.0, 0.0
        self._boot, self._offset = "a", 5000.0
        self.judges = self._engine()
        self.judges.apply({"it": rule}, self._at(), self._mono())

    def _at(self) -> datetime:
        return START + timedelta(seconds=self.second)

    def _mono(self) -> float:
        return self._offset + self.second

    def _engine(self) -> RuleEngine:
        return RuleEngine(lambda: f"id-{next(self._numbers)}", self._boot)

    def hear(self, stream: Stream, seconds: float) -> Iterator[Alert]:
        end = self.second + seconds
        while self.second < end:
            for source, value in [*stream(self.second, self.began), ("clock", Tick())]:
                seen = Observation(source, self._at(), self._mono(), value)
                yield from self.judges.on_observation(seen, self._at(), self._mono())
            self.second += 1

    def change(self) -> list[Alert]:
        """A push changes something of the rule."""
        other = "info" if self.rule.severity == "warning" else "warning"
        self.rule = self.rule.model_copy(update={"severity": other})
        return self.judges.apply({"it": self.rule}, self._at(), self._mono())

    def restart(self, boot: bool = False) -> list[Alert]:
        data = self.judges.book.dump()
        self.second += DOWN_S
        self.began = self.second
        if boot:
            self._boot, self._offset = f"{self._boot}+", 7.0 - self.second
        self.judges = self._engine()
        rules = {"it": policy_of("it", self.rule)}
        told = list(self.judges.book.restore(data, rules, self._at(), self._mono()))
        return told + self.judges.apply({"it": self.rule}, self._at(), self._mono())


BREAKS: dict[str, Callable[[Device], list[Alert]]] = {
    "a change of the rule": lambda device: device.change(),
    "a restart": lambda device: device.restart(),
    "a reboot": lambda device: device.restart(boot=True),
}


def says_how_long(alert: Alert) -> None:
    """What its text says of its duration is the time since it began."""
    truly_s = (alert.at - alert.finding.since).total_seconds()
    if alert.finding.lasted_s is not None:
        assert alert.finding.lasted_s == pytest.approx(truly_s, abs=12), alert.text
        assert for_duration(alert.finding.lasted_s) in alert.text
    else:
        said = re.search(r"for \d+ (s|min|h)\b", alert.text.partition("; ")[0])
        assert said is None, f"{alert.text}: without lasted_s it can't be mended"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_goes_on_is_the_same_alert(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    device = Device(rule_of(case, tmp_path))
    before = list(device.hear(case.on, case.found_s))
    active = {alert.alert_id: alert.finding.since for alert in device.judges.book.active()}
    assert active, "the case must lead to an alert"
    assert "end" not in [alert.phase for alert in before]
    for breaks in BREAKS.values():
        after = [*breaks(device), *device.hear(case.on, max(ON_S, case.found_s))]
        assert [(alert.alert_id, alert.reason) for alert in after if alert.phase != "update"] == []
        assert {alert.alert_id for alert in after} == set(active), "each is found again"
        for alert in after:
            assert alert.finding.since == active[alert.alert_id]
            says_how_long(alert)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("breaks", BREAKS)
def test_what_is_over_after_all_ends(name: str, breaks: str, tmp_path: Path) -> None:
    case = CASES[name]
    device = Device(rule_of(case, tmp_path))
    list(device.hear(case.on, case.found_s))
    active = {alert.alert_id for alert in device.judges.book.active()}
    after = BREAKS[breaks](device)
    while device.judges.book.active() and device.second < OFF_S:
        after += device.hear(case.off, 1)
    assert {alert.alert_id for alert in after if alert.phase == "end"} == active
    assert [alert.alert_id for alert in after if alert.phase == "new"] == []


@pytest.mark.slow
def test_a_rule_that_becomes_one_of_another_kind_is_removed_and_added(tmp_path: Path) -> None:
    """By push and over a restart: what the kind before found is no memory of this one."""
    rules = {rule.kind: rule for rule in (rule_of(case, tmp_path) for case in CASES.values())}
    for case in CASES.values():
        device = Device(rule_of(case, tmp_path))
        list(device.hear(case.on, case.found_s))
        active, kept = device.judges.book.active(), device.judges.book.dump()
        at, now_s, its = device._at(), device._mono(), device.rule.kind
        with capture_logs() as logs:
            for kind, rule in rules.items():
                if kind == its:
                    continue
                reason = f"its rule was changed from {its} to {kind}"
                ended = device.judges.apply({"it": rule}, at, now_s)
                assert [(end.phase, end.reason) for end in ended] == [("end", reason)] * len(active)
                device.judges = device._engine()
                ended = list(device.judges.book.restore(kept, {"it": policy_of("it", rule)}, at, now_s))
                assert [(end.phase, end.reason) for end in ended] == [("end", reason)] * len(active)
                assert device.judges.apply({"it": rule}, at, now_s) == []
                device.judges = device._engine()
                list(device.judges.book.restore(kept, {"it": policy_of("it", device.rule)}, at, now_s))
                assert device.judges.apply({"it": device.rule}, at, now_s) == []
        assert logs == []


def test_a_rule_that_cannot_read_what_was_so_begins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A memory that an older version wrote stops no agent."""
    case = CASES["threshold"]
    device = Device(rule_of(case, tmp_path))
    list(device.hear(case.on, case.found_s))
    (alert,) = device.judges.book.active()

    resume = type(device.rule).resume

    def unreadable(rule: Any, active: Any) -> Any:
        if active:
            raise KeyError("way")
        return resume(rule, active)

    monkeypatch.setattr(type(device.rule), "resume", unreadable)
    device.restart()
    after = list(device.hear(case.on, 60))
    assert {(one.alert_id, one.phase) for one in after} == {(alert.alert_id, "update")}
