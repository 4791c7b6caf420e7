"""The simulated receiver, heard by the decoders, the agent's position and its rules; and on a pty."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from agent.config.loader import parse
from agent.domain.findings import Finding
from agent.domain.observations import Observation
from agent.domain.site import Site
from agent.positioning.device_position import DevicePosition
from agent.positioning.fix_gate import JUMP_TOLD_S, FixGate
from agent.positioning.fix_quality import Positioning
from agent.rules.interference import Interference
from agent.rules.moved import Moved
from firmware_bridge.gnss.ubx import Ubx
from firmware_bridge.gnss.ubx_decoder import UbxDecoder
from firmware_bridge.nmea.nmea import Nmea, NmeaDecoder
from firmware_bridge.readings import Fix, GnssState, Value
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.wgs84 import distance_m
from simulators.devices import Receiver
from simulators.receiver import FAULTS, JUMP_M, Protocol, epoch_at, sky_at
from simulators.wire import Wire
from tests.plausible import can_be
from tests.test_whereabouts import CONFIG
from tests.waiting import until

BEGAN = datetime(2026, 11, 28, 6, tzinfo=UTC)
HERE = (32.1, 118.7)
FROM, UNTIL = 60, 120
"""While a fault lasts."""


def heard(
    fault: str, protocol: Protocol = "nmea", speed_mps: float = 0.0, until: int = 180
) -> Iterator[Observation]:
    """What the decoders make of a receiver that fails for a minute."""
    ear = LineDecoder([NmeaDecoder(date(2026, 11, 1)), UbxDecoder(date(2026, 11, 1))])
    first = epoch_at(BEGAN, FROM, lat=HERE[0], lon=HERE[1], speed_mps=speed_mps)
    for second in range(until):
        epoch = epoch_at(BEGAN, second, lat=HERE[0], lon=HERE[1], speed_mps=speed_mps)
        said = FAULTS[fault](epoch, second - FROM, first) if FROM <= second < UNTIL else epoch
        values: list[Value] = ear.feed(said.encode(protocol)) if said is not None else []
        values += ear.pause()
        for value in values:
            yield Observation(
                "main", BEGAN + timedelta(seconds=second, milliseconds=300), 1000 + second, value
            )


def fixes(fault: str, protocol: Protocol = "nmea") -> list[Fix]:
    """Those said while the fault lasts."""
    return [
        one.value
        for one in heard(fault, protocol)
        if isinstance(one.value, Fix) and FROM <= one.mono_s - 1000 < UNTIL
    ]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["nmea", "ubx"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_it_says_what_can_be(fault: str, protocol: Protocol) -> None:
    told = [one.value for one in heard(fault, protocol) if isinstance(one.value, Fix)]
    for fix in told:
        can_be(fix)
    good = [fix for fix in told if fix.lat is not None and fix.lon is not None]
    assert len(good) >= 119
    if fault not in ("jump", "spoof"):
        assert max(distance_m(HERE, (fix.lat, fix.lon)) for fix in good if fix.lat and fix.lon) < 15


def test_what_is_said_is_what_is_so() -> None:
    epoch = epoch_at(BEGAN, 7, lat=32.1, lon=118.7, speed_mps=5)
    for protocol in ("nmea", "ubx"):
        ear = LineDecoder([NmeaDecoder(), UbxDecoder()])
        told = ear.feed(epoch.encode(protocol)) + ear.pause()  # type: ignore[arg-type]  # both are
        fix = told[0]
        assert isinstance(fix, Fix)
        assert (fix.time, fix.satellites, fix.satellites_seen) == (
            epoch.fix.time,
            epoch.fix.satellites,
            len(epoch.sky),
        )
        assert (fix.lat, fix.lon) == pytest.approx((epoch.fix.lat, epoch.fix.lon), abs=1e-6)
        assert (fix.speed_mps, fix.error_m) == pytest.approx((epoch.fix.speed_mps, 2.5), abs=0.01)
        assert told[1:] == ([epoch.state] if protocol == "ubx" else [])


def test_the_sky_turns() -> None:
    now, later = sky_at(0), sky_at(3600)
    assert 15 <= len(now) <= 40
    assert all(0 < one.elevation_deg <= 90 and 0 <= one.azimuth_deg < 360 for one in now)
    assert {(one.talker, one.number) for one in now} != {(one.talker, one.number) for one in later}
    assert sky_at(0) == now


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "count", "mode"),
    [
        ("silence", 0, None),
        ("frozen", 1, "3d"),
        ("no_fix", 60, "none"),
        ("cold", 60, "none"),
        ("antenna", 60, "none"),
    ],
)
def test_lost_and_frozen(fault: str, count: int, mode: str | None) -> None:
    told = fixes(fault)
    assert (len(told), {fix.mode for fix in told}) == (count, {mode} if mode else set())


@pytest.mark.slow
def test_dates_and_times() -> None:
    rolled = [one for one in heard("rollover") if isinstance(one.value, Fix)]
    for one in rolled:
        assert one.value.time == one.at - timedelta(milliseconds=300)  # type: ignore[union-attr]  # a fix
    assert {one.value.rollover_weeks for one in rolled} == {None, 1024}  # type: ignore[union-attr]  # a fix
    assert {fix.time for fix in fixes("leap_second")} == {datetime(2026, 11, 29, tzinfo=UTC)}


def whereabouts(fault: str, speed_mps: float = 0.0) -> tuple[DevicePosition, list[float]]:
    """The agent's idea of where it is, and how far off it was in the seconds of the fault."""
    where, off_m = DevicePosition(parse(CONFIG, name="c.yaml", base=Path()).locator_settings().position), []
    for one in heard(fault, speed_mps=speed_mps, until=UNTIL):
        where.on_observation(one)
        where.select_receiver(one.mono_s)
        position = where.position(one.mono_s)
        if position is not None and one.mono_s - 1000 >= FROM and "lat" in position:
            truth = epoch_at(BEGAN, one.mono_s - 1000, lat=HERE[0], lon=HERE[1], speed_mps=speed_mps).fix
            assert truth.lat is not None
            assert truth.lon is not None
            off_m.append(distance_m((truth.lat, truth.lon), (position["lat"], position["lon"])))
    return where, off_m


def test_a_boat_that_jumps_is_believed_after_five_epochs_only() -> None:
    where, off_m = whereabouts("jump", speed_mps=8)
    assert max(off_m[:4]) < 50
    assert off_m[5] == pytest.approx(JUMP_M, abs=20)
    assert where.receivers(1120)[0]["rejected"] == {"jump": 4}
    told = where.position(1120)
    assert told is not None
    assert told["trust"] == "good"  # it may have been carried: docs/decisions/0011
    assert told["jumped_m"] == pytest.approx(2000, rel=0.2)
    assert told["jumped_s"] == pytest.approx(1120 - 1000 - FROM, abs=6)
    point = where.alert_point(1120)
    assert point is not None
    assert point["jumped_m"] == told["jumped_m"]
    assert "jumped_m" not in (where.position(1120 + JUMP_TOLD_S) or {})


def test_a_jammed_boat_says_that_its_position_is_poor_and_then_old() -> None:
    where, _ = whereabouts("jam")
    position = where.position(1119)
    assert position is not None
    assert (position["mode"], position["trust"]) == ("none", "old")
    assert where.receivers(1119)[0]["rejected"] == {"quality": 21}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "protocol", "said"),
    [
        ("jam", "ubx", "main: jamming critical"),
        ("jam", "nmea", "main: all signals fell by"),
        ("spoof", "ubx", "main: spoofing indicated"),
        ("antenna", "ubx", "main: antenna open"),
        ("stuck", "ubx", None),
        ("silence", "nmea", None),
    ],
)
def test_what_goes_wrong_raises_what_it_should(fault: str, protocol: Protocol, said: str | None) -> None:
    judge = Interference(source="main").start()
    texts = [fact.text for one in heard(fault, protocol) for fact in judge(one) if isinstance(fact, Finding)]
    assert bool(texts) == (said is not None)
    assert said is None or any(text.startswith(said) for text in texts)


@pytest.mark.slow
def test_a_post_that_is_spoofed_away_is_moved() -> None:
    rule = Moved(source="main", window=timedelta(seconds=40), hold=timedelta(seconds=5))
    judge = rule.resolve(Site(lat=HERE[0], lon=HERE[1])).start()
    found = [one.mono_s - 1000 for one in heard("spoof") for fact in judge(one) if isinstance(fact, Finding)]
    assert found
    assert FROM + 10 < found[0] < UNTIL
    assert not any(isinstance(fact, Finding) for one in heard("jam") for fact in judge(one))


@pytest.mark.parametrize("protocol", ["nmea", "ubx"])
def test_on_a_wire(protocol: Protocol, tmp_path: Path) -> None:
    async def scene() -> None:
        said: list[Value] = []
        with Wire(tmp_path / "gnss") as wire:
            receiver = Receiver(wire, lat=32.1, lon=118.7, hz=20, protocol=protocol)
            line = Nmea(port=str(wire.path), baud=115200) if protocol == "nmea" else Ubx(port=str(wire.path))
            tasks = [asyncio.ensure_future(job) for job in (receiver.run(), line.run(said.append))]  # type: ignore[arg-type]  # it answers None
            await until(lambda: sum(isinstance(one, Fix) for one in said) >= 5)
            receiver.fail("antenna")
            await until(lambda: any(isinstance(one, Fix) and one.mode == "none" for one in said))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert {one.mode for one in said if isinstance(one, Fix)} == {"3d", "none"}
        if protocol == "ubx":
            assert GnssState(jamming="ok", spoofing="none", antenna="open", jamming_pct=2.0) in said

    asyncio.run(scene())


def test_a_fault_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with (
        Wire(tmp_path / "gnss") as wire,
        pytest.raises(ValueError, match="unknown fault 'rain'; known: silence"),
    ):
        Receiver(wire, lat=0, lon=0).fail("rain")


@pytest.mark.parametrize("spoofing", ["indicated", "affirmed"])
def test_a_receiver_that_says_that_it_is_spoofed_is_not_believed(spoofing: str) -> None:
    """Its fix is as good as any by all else that it says; once it takes that back it is believed again."""
    receiver, fix = FixGate(), Fix(mode="3d", lat=HERE[0], lon=HERE[1], satellites=12, hdop=0.7, error_m=1.0)

    def hear(second: float) -> None:
        receiver.add_fix(Observation("main", BEGAN, second, fix), fix, Positioning(), 60.0)

    hear(0)
    assert (receiver.rejection, receiver.fresh(0)) == (None, True)
    receiver.add_state(GnssState(spoofing=spoofing), 1)  # type: ignore[arg-type]  # one of its words
    hear(2)
    assert receiver.rejection == f"spoofing {spoofing}"
    assert receiver.accepted is not None
    assert receiver.accepted.mono_s == 0
    assert receiver.fields(2)["trust"] == "low"
    receiver.add_state(GnssState(spoofing="none"), 3)
    hear(4)
    assert (receiver.rejection, receiver.fields(4)["trust"]) == (None, "good")
