"""Where the device is: from lists of observations, as receivers on a boat or at a post make them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.loader import parse
from agent.domain.observations import Observation
from agent.domain.yaml_loader import BadConfig
from agent.positioning.device_position import SWITCH_BACK_S, DevicePosition, ReceiverSwitch
from firmware_bridge.readings import Fix, GnssState, Value
from firmware_bridge.wgs84 import metres_per_degree

AT = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1, 118.7
DEGREE_M = metres_per_degree(LAT)[1]
CONFIG = """\
schema_version: 1
device: boat-03
kind: patrol_boat
place: {ring: inner_city, domain: water, site: s, post: p, timezone: UTC}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  main: {kind: nmea, port: /dev/a}
  spare: {kind: ubx, port: /dev/b}
"""


def fix(north_m: float = 0.0, **fields: Any) -> Fix:
    known: dict[str, Any] = {"mode": "3d", "satellites": 9, "hdop": 0.9, "error_m": 2.0} | fields
    return Fix(lat=LAT + north_m / DEGREE_M, lon=LON, **known)


class Deck:
    """DevicePosition, and the seconds that pass for it."""

    def __init__(self, text: str = CONFIG) -> None:
        self.config = parse(text, name="c.yaml", base=Path())
        self.where = DevicePosition(self.config.locator_settings().position)
        self.now_s = 0.0
        self.switched: list[ReceiverSwitch] = []
        self.jumped: list[float] = []

    def hear(self, value: Value, source: str = "main", delay_s: float = 0.0) -> None:
        at = AT + timedelta(seconds=self.now_s + delay_s)
        jumped = self.where.on_observation(Observation(source, at, self.now_s, value))
        self.jumped += [] if jumped is None else [jumped]
        self.choose()

    def choose(self) -> None:
        switched = self.where.select_receiver(self.now_s)
        self.switched += [] if switched is None else [switched]

    def play(self, fixes: Iterable[Fix | None], source: str = "main", every_s: float = 1.0) -> None:
        for one in fixes:
            self.now_s += every_s
            if one is not None:
                self.hear(one, source)
            self.choose()

    def position(self) -> dict[str, Any]:
        position = self.where.position(self.now_s)
        assert position is not None
        return position

    def north_m(self) -> float:
        return round((self.position()["lat"] - LAT) * DEGREE_M)


NO_FIX = Fix(mode="none")


@pytest.mark.parametrize(
    ("poor", "why"),
    [
        ({"hdop": 5.1, "error_m": 26.0}, "an error of 26 m"),
        ({"hdop": 9.0, "error_m": None}, "an HDOP of 9"),
        ({"satellites": 3}, "3 satellites"),
        ({"held": True}, "not measured but held"),
    ],
)
def test_a_poor_fix_is_told_as_such_and_only_while_there_is_no_good_one(
    poor: dict[str, Any], why: str
) -> None:
    deck = Deck()
    deck.play([fix(), fix(40, **poor)])
    assert (deck.north_m(), deck.position()["trust"], deck.position()["why"]) == (0, "good", why)
    deck.play([fix(40, **poor)] * 16)
    assert (deck.north_m(), deck.position()["trust"], deck.position()["why"]) == (40, "low", why)
    place = deck.where.alert_point(deck.now_s)
    assert place is not None
    assert place["trust"] == "low"
    (main,) = deck.where.receivers(deck.now_s)
    assert (main["trust"], main["rejected"]) == ("low", {"quality": 17})
    deck.play([fix(41)])
    assert (deck.north_m(), deck.position()["trust"]) == (41, "good")


@pytest.mark.parametrize(
    ("speed_mps", "after_s", "error_m"), [(6.0, 1, 2.0), (6.0, 3, 20.0), (0.0, 3, 2.0), (None, 3, 2.0)]
)
def test_the_point_of_an_alert_is_less_exact_where_a_moving_device_rejects_its_fixes(
    speed_mps: float | None, after_s: int, error_m: float
) -> None:
    """A boat that is jammed: its last good fix is where it was."""
    deck = Deck()
    deck.play([fix(speed_mps=speed_mps), *[fix(3, error_m=70.0, hdop=9.5)] * after_s])
    place = deck.where.alert_point(deck.now_s)
    assert place is not None
    assert (place["error_m"], place.get("age_s", 1)) == (error_m, after_s if speed_mps is not None else 1)


@pytest.mark.parametrize(
    "good",
    [
        {"hdop": 9.0},  # the receiver's own estimate is good
        {"error_m": 60.0},
        {"hdop": None, "error_m": None, "satellites": None},  # it hides nothing that we could hold against it
    ],
)
def test_one_good_sign_is_enough(good: dict[str, Any]) -> None:
    deck = Deck()
    deck.play([fix(**good)])
    assert deck.position()["trust"] == "good"


def test_limits_are_settings() -> None:
    deck = Deck(CONFIG + "positioning: {max_hdop: 10, max_error_m: 100, min_satellites: 3}\n")
    deck.play([fix(hdop=9.0, error_m=None, satellites=3)])
    assert deck.position()["trust"] == "good"


def test_a_jump_is_not_believed_until_it_persists_and_is_counted() -> None:
    deck = Deck()
    deck.play([fix(), fix(2000), fix(5), *[fix(3000 + 5 * n) for n in range(4)]])
    assert (deck.north_m(), deck.position()["trust"], deck.position()["why"]) == (
        5,
        "good",
        "a jump of 3010 m",
    )
    assert deck.where.receivers(deck.now_s)[0]["rejected"] == {"jump": 5}
    assert deck.jumped == []
    deck.play([fix(3020)])
    assert (deck.north_m(), deck.jumped) == (3020, [pytest.approx(3015, abs=1)])


def test_jumps_that_differ_never_persist() -> None:
    deck = Deck()
    deck.play([fix(), *[fix(1000 * n) for n in range(2, 12)]])
    assert deck.north_m() == 0
    assert deck.position()["age_s"] == 10.0


def test_a_boat_that_is_heard_every_few_minutes_is_believed_in_the_end() -> None:
    """A gate that never opens again would leave every fence blind."""
    deck = Deck()
    deck.play([fix(6000 * n) for n in range(11)], every_s=300)
    assert (deck.position()["trust"], deck.position()["age_s"]) == ("good", 0.0)
    assert len(deck.jumped) == 2
    deck.play([fix(30_000 * n) for n in range(3, 15)], every_s=300)  # faster than it can be
    assert len(deck.jumped) == 2


def test_a_boat_at_its_top_speed_does_not_jump() -> None:
    deck = Deck()
    deck.play([fix(29 * n) for n in range(60)])
    assert deck.north_m() == 29 * 59
    assert "rejected" not in deck.where.receivers(deck.now_s)[0]
    deck.play([None] * 40)  # under a bridge
    deck.play([fix(29 * 100)])
    assert deck.north_m() == 29 * 100


def test_the_last_position_stays_with_its_age_also_when_its_source_begins_anew() -> None:
    deck = Deck()
    deck.play([fix(10)])
    deck.play([None] * 30)
    assert (deck.north_m(), deck.position()["age_s"], deck.position()["trust"]) == (10, 30.0, "old")
    deck.play([NO_FIX] * 5)  # it is back, and still looks for satellites
    position = deck.position()
    assert (deck.north_m(), position["age_s"], position["mode"]) == (10, 35.0, "none")
    assert deck.where.troubles(deck.now_s) == ["position: no fix for 35 s"]
    deck.where.configure(deck.config.locator_settings().position)
    assert deck.north_m() == 10


def test_the_spare_stands_in_announced_and_the_main_receiver_returns_when_it_is_steady() -> None:
    deck = Deck()
    for _ in range(5):
        deck.play([fix(0)])
        deck.hear(fix(3), "spare")
    assert (deck.position()["source"], deck.north_m()) == ("main", 0)
    for _ in range(7):
        deck.play([NO_FIX])
        deck.hear(fix(3), "spare")
    position = deck.position()
    assert (position["source"], position["switched_from"], deck.north_m()) == ("spare", "main", 3)
    assert deck.switched == [ReceiverSwitch("spare", "main", "main: no fix")]
    assert deck.where.troubles(deck.now_s) == ["position: from spare; main: no fix"]
    for second in range(int(SWITCH_BACK_S) + 1):
        deck.play([fix(0)])
        deck.hear(fix(3), "spare")
        assert (deck.position()["source"] == "main") == (second >= SWITCH_BACK_S)
    assert deck.switched[1:] == [ReceiverSwitch("main", "spare", "main has recovered")]
    assert deck.position()["switched_from"] == "spare"
    for _ in range(61):
        deck.play([fix(0)])
    assert "switched_from" not in deck.position()
    assert deck.where.troubles(deck.now_s) == []


def test_a_main_receiver_that_flickers_does_not_make_it_switch_to_and_fro() -> None:
    deck = Deck()
    deck.play([fix()])
    for second in range(120):
        deck.play([fix() if second % 20 > 10 else None])
        deck.hear(fix(3), "spare")
    assert [switched.selected for switched in deck.switched] == ["spare"]


def test_an_outage_does_not_make_the_next_one_usual() -> None:
    """The main receiver was away for an hour, said a few words, and is away again: the spare stands in."""
    deck = Deck()
    deck.play([fix()] * 20)
    for _ in range(3600):
        deck.play([fix()], "spare")
    assert [one.selected for one in deck.switched] == ["spare"]
    deck.play([fix()] * 40)
    assert [one.selected for one in deck.switched] == ["spare", "main"]
    for _ in range(20):
        deck.play([fix()], "spare")
    assert [one.selected for one in deck.switched] == ["spare", "main", "spare"]


def test_rank_is_the_order_of_the_sources_or_as_it_is_set() -> None:
    for text, first in ((CONFIG, "main"), (CONFIG + "positioning: {receivers: [spare, main]}\n", "spare")):
        deck = Deck(text)
        deck.now_s = 1.0
        deck.where.on_observation(Observation("spare", AT, 1.0, fix(3)))
        deck.where.on_observation(Observation("main", AT, 1.0, fix()))
        deck.choose()
        assert deck.position()["source"] == first


def test_a_receiver_that_is_not_there_cannot_be_ranked() -> None:
    with pytest.raises(BadConfig, match=r"no receiver 'mian'.*main"):
        Deck(CONFIG + "positioning: {receivers: [mian]}\n")


def test_a_post_is_where_it_was_surveyed_and_its_receiver_only_checks_that() -> None:
    deck = Deck(CONFIG.replace("timezone: UTC", f"lat: {LAT}, lon: {LON}, timezone: UTC"))
    assert deck.position()["mode"] == "surveyed"
    deck.play([fix(7)])
    position = deck.position()
    assert (position["lat"], position["lon"], position["age_s"]) == (LAT, LON, 0.0)
    assert position["gnss"] == {"source": "main", "mode": "3d", "off_m": 7.0, "age_s": 0.0, "trust": "good"}
    place = deck.where.alert_point(deck.now_s)
    assert place is not None
    assert place["how"] == "surveyed"
    deck.play([fix(500)] * 4)
    assert deck.position()["gnss"]["off_m"] == 7.0
    deck.play([fix(500)])
    assert deck.position()["gnss"]["off_m"] == 500.0


def test_receiver_time_is_kept_apart_and_their_offset_is_that_of_the_least_delay() -> None:
    deck = Deck()
    for delay_s in (0.4, 0.1, 0.9, 0.3):
        deck.now_s += 1
        deck.hear(fix(time=AT + timedelta(seconds=deck.now_s - 5)), delay_s=delay_s)
    assert deck.where.receivers(deck.now_s)[0]["clock_offset_s"] == -5.1


def test_what_receivers_notice_is_forgotten_after_a_while() -> None:
    deck = Deck()
    deck.hear(fix(rollover_weeks=1024))
    deck.hear(GnssState(jamming="warning", spoofing="affirmed", antenna="open"))
    assert deck.where.troubles(0.0) == [
        "main: jamming (warning)", "main: spoofing (affirmed)", "main: its antenna is open",
        "main: its date is 1024 weeks behind, and was corrected",
    ]  # fmt: skip
    deck.now_s = 61.0
    deck.hear(fix())
    assert deck.where.troubles(61.0) == []


def test_a_device_without_a_receiver_knows_nothing() -> None:
    deck = Deck()
    assert deck.where.position(5.0) is None
    assert deck.where.alert_point(5.0) is None
    assert deck.where.troubles(5.0) == []


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["main", "spare", "third"]),
            st.floats(0, 40),
            st.one_of(
                st.just(NO_FIX),
                st.builds(
                    fix,
                    st.floats(-5000, 5000),
                    hdop=st.one_of(st.none(), st.floats(0, 99)),
                    error_m=st.one_of(st.none(), st.floats(0, 500)),
                    satellites=st.one_of(st.none(), st.integers(0, 30)),
                ),
            ),
        ),
        max_size=40,
    )
)
def test_whatever_receivers_say_a_position_is_one_that_was_said_and_no_younger(
    said: list[tuple[str, float, Fix]],
) -> None:
    deck = Deck()
    when: dict[float, float] = {}
    for source, wait_s, one in said:
        deck.now_s += wait_s
        if one.lat is not None:
            when[one.lat] = deck.now_s
        deck.hear(one, source)
        position, place = deck.where.position(deck.now_s), deck.where.alert_point(deck.now_s)
        deck.where.troubles(deck.now_s)
        deck.where.receivers(deck.now_s)
        if position is not None and position.get("lat") is not None:
            assert position["age_s"] >= round(deck.now_s - when[position["lat"]], 1)
            assert position["trust"] in ("good", "low", "old")
        if place is not None:
            assert place["lat"] in when


def test_a_fix_that_comes_late_is_not_where_the_device_is_now() -> None:
    """A receiver's NAV-PVT follows half a second behind its HNR-PVT."""
    deck = Deck()
    deck.hear(fix(10, time=AT + timedelta(seconds=5)))
    deck.hear(fix(0, time=AT + timedelta(seconds=4.5)))
    assert deck.where.rejection("main") == "older than the fix before"
    assert deck.north_m() == 10
    deck.hear(fix(11, time=AT + timedelta(seconds=5.1)))
    assert deck.where.rejection("main") is None
    assert deck.north_m() == 11
    deck.hear(fix(12, time=AT - timedelta(hours=1)))  # its clock was set back: that is another matter
    assert deck.where.rejection("main") is None
    assert deck.north_m() == 12
