"""The scenario of a city: its devices, and what befalls them, by seed. Pure."""

import random
from collections.abc import Iterator
from typing import Any

from simulators.world.city import make_city

Step = dict[str, Any]
CUT_SHARE, POWER_SHARE, KILL_SHARE, CABLE_SHARE, PRESS_SHARE = 0.10, 0.03, 0.02, 0.02, 0.30
"""How many of the devices lose their link, their power, their process, a cable; and are pressed."""
FAULTS_BEGIN, FAULTS_END = 0.05, 0.6
"""Shares of the duration between which all faults lie: after them there is time to heal."""
RESTARTS = (0.2, 0.45)
"""When the broker restarts, as a share of the duration; the second time without its sessions."""
CENTRE_WORKERS, CENTRE_DOWN = 3, 0.5
"""The processes of the centre, and when all of them are away."""
ROLLING_RESTARTS = ((0.3, 12.0), (0.38, 36.0))
"""When they are restarted one after the other, and for how long: in the second, the registrar is away for
longer than its lease."""
LINKS = ("link.down", "link.half_open", "link.latency")


def city_scenario(seed: int, share: float, duration_s: float) -> dict[str, Any]:
    """The tree of a scenario file with ``share`` of each group of devices."""
    city = make_city(seed, share)
    names = list(city.devices)
    return {
        "schema": "ringpost-scenario/1",
        "name": "city",
        "seed": seed,
        "duration": f"{duration_s:g}s",
        "centre": {"workers": CENTRE_WORKERS},
        "world": city.settings.model_dump(mode="json", exclude_defaults=True),
        "devices": city.scenario_devices(),
        "timeline": sorted(timeline(names, seed, duration_s), key=lambda step: float(step["at"][:-1])),
    }


def timeline(names: list[str], seed: int, duration_s: float) -> Iterator[Step]:
    """What happens to the devices, the broker and the centre. No device has two faults at a time."""
    chance = random.Random(f"plan {seed}")
    begin_s, end_s = FAULTS_BEGIN * duration_s, FAULTS_END * duration_s

    def when(longest_s: float) -> Step:
        for_s = round(chance.uniform(0.2, 1.0) * min(longest_s, 0.3 * duration_s), 1)
        at_s = round(chance.uniform(begin_s, end_s - for_s), 1)
        return {"at": f"{at_s:g}s", "for": f"{for_s:g}s"}

    struck = chance.sample(names, len(names))
    for share, longest_s, faults in (
        (CUT_SHARE, 90.0, LINKS),
        (POWER_SHARE, 60.0, ("power.cut",)),
        (KILL_SHARE, 30.0, ("process.kill",)),
        (CABLE_SHARE, 60.0, ("line.unplug",)),
    ):
        for _ in range(max(1, round(share * len(names)))):
            fault, device = chance.choice(faults), struck.pop()
            source = {"source": "board"} if fault.startswith("line.") else {}
            yield {**when(longest_s), "device": device, "fault": fault, **source}
    for device in chance.sample(names, max(1, round(PRESS_SHARE * len(names)))):
        yield {**when(8.0), "device": device, "press": "board.panic_button"}
    for number, share in enumerate(RESTARTS):
        fault = "broker.session_lost" if number else "broker.restart"
        yield {"at": f"{share * duration_s:g}s", "fault": fault}
    for share, longest_s in ROLLING_RESTARTS:
        for_s = min(longest_s, 0.06 * duration_s)
        yield {"at": f"{share * duration_s:g}s", "for": f"{for_s:g}s", "fault": "centre.rolling_restart"}
    yield {"at": f"{CENTRE_DOWN * duration_s:g}s", "for": "3s", "fault": "centre.down"}
