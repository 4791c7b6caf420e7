"""The truth of a run, beside what devices report: where everything is each second, and what happens."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from simulators.run_record import RunRecord
from simulators.world.tracks import Motion
from simulators.world.world import World


def truth_at(world: World, second: int) -> Iterator[dict[str, Any]]:
    """The facts of a second; a device that stands is told in the first one only."""
    for name in world.devices:
        if second == 0 or not world.stands(name):
            yield {"device": name, **_fields(world.motion(name, second))}
    for one in world.objects(second):
        phase = {} if one.phase is None else {"phase": one.phase}
        yield {"object": one.name, "kind": one.kind, **phase, **_fields(one.motion)}


async def keep_truth(
    world: World, record: RunRecord, sleep_until: Callable[[float], Awaitable[None]]
) -> None:
    """Writes the truth into ``record`` until it is cancelled; ``sleep_until``: of the stage."""
    events = [one for one in world.events() if one[0] >= 0]
    second = 0
    while True:
        while events and events[0][0] <= second:
            at_s, fields = events.pop(0)
            await sleep_until(at_s)
            record.truth.append({"t": round(at_s, 6), **fields})
        await sleep_until(second)
        record.truth += [{"t": float(second), **fields} for fields in truth_at(world, second)]
        second += 1


def _fields(motion: Motion) -> dict[str, Any]:
    return {
        "lat": round(motion.lat, 7),
        "lon": round(motion.lon, 7),
        "speed_mps": round(motion.speed_mps, 2),
        "course_deg": round(motion.course_deg, 1),
    }
