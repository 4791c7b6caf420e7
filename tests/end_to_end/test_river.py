"""A boat's line on a real pty: fixes, instruments and AIS mixed on it, and what noise leaves of them."""

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.readings import Fix, LineState, Reading, Vessel
from simulators.boat import instruments_at
from simulators.devices import Boat
from simulators.line_faults import corrupt
from simulators.wire import Wire
from simulators.world.incidents import COLLIDER
from tests.waiting import until

pytestmark = pytest.mark.end_to_end
FIXES = 5


def is_complete(heard: list[Any], noise: float) -> bool:
    """Whether some seconds of the line were heard: fixes, vessels, and the state of the line that noise leaves."""
    fixes = [one for one in heard if isinstance(one, Fix)]
    vessels = [one for one in heard if isinstance(one, Vessel)]
    quantities = {one.quantity for one in heard if isinstance(one, Reading)}
    states = [one for one in heard if isinstance(one, LineState)]
    return (
        len(fixes) >= FIXES
        and len({one.mmsi for one in vessels}) >= 8
        and (noise > 0 or any(one.mmsi == COLLIDER and one.lat is not None for one in vessels))
        and len(quantities) == len({one.quantity for one in instruments_at(0)})
        and bool(states and states[-1].bad) == bool(noise)
    )


async def listen(folder: Path, noise: float, heard: list[Any]) -> None:
    with Wire(folder / "boat") as wire:
        boat = Boat(wire, lat=32.095, lon=118.73, seed=2, gnss=True)
        boat.line_fault = partial(corrupt, chance=random.Random(1), flips=noise, drops=noise)
        line = Nmea(port=str(wire.path), baud=38400)
        tasks = [asyncio.ensure_future(line.run(heard.append))]
        await until(wire.ready)
        tasks.append(asyncio.ensure_future(boat.run()))
        await until(lambda: is_complete(heard, noise))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_everything_that_is_said_on_a_boats_line_is_heard(tmp_path: Path, noise: float) -> None:
    heard: list[Any] = []
    asyncio.run(listen(tmp_path, noise, heard))
    fixes = [one for one in heard if isinstance(one, Fix)]
    assert all(abs((one.lat or 0) - 32.095) < 1e-3 for one in fixes)
    quantities = {one.quantity for one in heard if isinstance(one, Reading)}
    assert quantities == {one.quantity for one in instruments_at(0)}
    vessels = [one for one in heard if isinstance(one, Vessel)]
    assert any(one.mmsi == COLLIDER and one.lat is not None for one in vessels) or noise
    assert len({one.mmsi for one in vessels}) >= 8
    state = next(one for one in reversed(heard) if isinstance(one, LineState))
    assert bool(state.bad) == bool(noise)
