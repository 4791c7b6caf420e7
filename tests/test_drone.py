"""The simulated drone's mission, heard by our own reader: clean, lossy, noisy, out of reach, and on a pty."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pymavlink", reason="needs the extra radio: pip install -e .[radio]")

from agent.domain.observations import Observation, Tick
from agent.rules.drone_battery import DroneBattery
from agent.rules.drone_lost import DroneLost
from firmware_bridge.drone_readings import Capture, Drone, StatusText
from firmware_bridge.mavlink.mavlink import Mavlink, MavlinkDecoder
from firmware_bridge.readings import LineState, Reading
from firmware_bridge.serial.line_decoder import LineDecoder
from simulators.drone import Radio
from simulators.line_faults import corrupt
from simulators.wire import Wire
from simulators.world.mission import Mission
from tests.waiting import play, until

MISSION = Mission(32.0603, 118.7969)
HOME = {"lat": 32.0603, "lon": 118.7969}
MISSION_S = 90


def fly(
    radio: Radio, chance: random.Random | None = None, far_after_s: float = 1e9, **harm: float
) -> tuple[LineDecoder, list[tuple[int, Any]]]:
    """The whole mission in no time: the ear, and what it heard with the tenth of the second."""
    clock = [0.0]
    ear = LineDecoder([MavlinkDecoder(clock=lambda: clock[0])])
    heard: list[tuple[int, Any]] = []
    for tick in range(MISSION_S * 10):
        clock[0] = tick / 10
        radio.far = clock[0] >= far_after_s
        said = radio.step(clock[0])
        heard += [
            (tick, value) for value in ear.feed(said if chance is None else corrupt(said, chance, **harm))
        ]
        heard += [(tick, value) for value in ear.pause()]
    return ear, heard


def test_a_mission_is_told_as_it_was_flown() -> None:
    radio = Radio(**HOME, seed=3)
    ear, heard = fly(radio)
    state = ear.state()
    assert state.good["mavlink"] == radio.sent + MISSION_S
    assert (state.bad, state.lost, state.skipped_bytes) == ({}, 0, 0)
    drones = [(tick, value) for tick, value in heard if isinstance(value, Drone)]
    for tick, drone in drones:
        if drone.lat is None or drone.height_m is None:  # before its first position of its own
            assert tick == 0
            continue
        near = [MISSION.at(other / 10) for other in range(tick - 3, tick + 1)]
        assert any(abs(drone.lat - one.lat) < 2e-7 and abs(drone.lon - one.lon) < 2e-7 for one in near)
        assert any(drone.height_m == pytest.approx(one.height_m, abs=0.01) for one in near)
    modes = [drone.mode for _, drone in drones]
    assert list(dict.fromkeys(modes)) == ["LOITER", "GUIDED", "AUTO", "RTL", "LAND"]
    armed = [tick / 10 for tick, drone in drones if drone.armed]
    assert armed[0] == MISSION.takes_off_s
    assert not drones[-1][1].armed
    assert [value.text for _, value in heard if isinstance(value, StatusText)] == [
        "Failsafe: battery 1 is low at 25 percent, returning to launch"
    ]
    assert {value.gimbal_pitch_deg for tick, value in drones if tick} == {-45.0}
    assert any(isinstance(value, Capture) and value.pitch_deg == -45 for _, value in heard)
    assert {value.quantity for _, value in heard if isinstance(value, Reading)} >= {
        "radio_rssi",
        "radio_remote_rssi",
    }


def test_the_same_seed_says_the_same() -> None:
    assert Radio(**HOME, seed=5, loss=0.2).step(20) == Radio(**HOME, seed=5, loss=0.2).step(20)
    assert Radio(**HOME, seed=5, loss=0.2).step(20) != Radio(**HOME, seed=6, loss=0.2).step(20)


def test_loss_is_told_and_loses_no_state() -> None:
    _, heard = fly(Radio(**HOME, seed=1, loss=0.12))
    drones = [value for _, value in heard if isinstance(value, Drone)]
    assert all(drone.state == "live" for drone in drones)
    assert drones[-1].loss_pct == pytest.approx(12, abs=3)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [{"flips": 1e-3}, {"drops": 1e-3}, {"noise": 2e-3}])
def test_a_noisy_line_gives_what_is_whole_and_nothing_false(harm: dict[str, float]) -> None:
    radio = Radio(**HOME, seed=2)
    ear, heard = fly(radio, random.Random(11), **harm)
    assert ear.state().good["mavlink"] > 0.9 * radio.sent
    drones = [value for _, value in heard if isinstance(value, Drone)]
    assert {drone.system for drone in drones} == {1}
    places = [drone for drone in drones if drone.lat is not None]
    for drone in places:
        assert abs(drone.lat - HOME["lat"]) < 0.003
        assert abs(drone.lon - HOME["lon"]) < 0.003
    assert len(places) > 0.9 * MISSION_S * 10 / 3


def test_the_rules_tell_of_its_battery_and_of_its_loss() -> None:
    from tests.test_drone_rules import seen

    battery, lost = DroneBattery(source="radio").start(), DroneLost(source="radio").start()
    texts: dict[str, str] = {}
    _, heard = fly(Radio(**HOME, seed=2), far_after_s=MISSION.low_s + 10)
    observations: list[Observation] = [seen(tick / 10, value) for tick, value in heard]
    observations += [seen(second + 0.05, Tick(), "clock") for second in range(MISSION_S)]
    for observation in sorted(observations, key=lambda one: one.mono_s):
        for fact in (*battery(observation), *lost(observation)):
            texts[fact.key] = getattr(fact, "text", "over")
            if "below 25 %" in texts[fact.key]:
                texts["low"] = texts[fact.key]
    assert "RTL" in texts["low"]
    assert "m from home" in texts["low"]
    assert "not heard for" in texts["1"]
    assert "last position 60 m above home" in texts["1"]


def test_it_is_heard_through_a_pty_and_told_lost_when_it_flies_out_of_reach(tmp_path: Path) -> None:
    said: list[Any] = []

    async def scene() -> None:
        with Wire(tmp_path / "radio") as wire:
            radio = Radio(**HOME, seed=4)
            line = Mavlink(port=str(wire.path), lost_after_s=1)
            task = asyncio.ensure_future(line.run(said.append))
            await until(wire.ready)
            second = 0.0

            async def until_told(state: str) -> None:
                def fly() -> None:
                    nonlocal second
                    second += 0.1
                    wire.write(radio.step(second))

                await until(
                    lambda: any(isinstance(one, Drone) and one.state == state for one in said),
                    doing=fly,
                    every_s=0.05,
                )

            await until_told("live")
            radio.far = True
            await until_told("lost")
            task.cancel()
            await asyncio.wait([task])
            assert wire.read() == b""  # it only listens

    play(scene)
    last = next(one for one in said if isinstance(one, Drone) and one.state == "lost")
    assert last.lat == pytest.approx(HOME["lat"], abs=1e-4)
    assert last.position_age_s is not None
    assert last.position_age_s >= 1
    assert next(one for one in reversed(said) if isinstance(one, LineState)).bad == {}
