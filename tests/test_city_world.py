"""The invented city: as many as told, the same for a seed, each with a valid configuration, boats on the river."""

from collections import Counter
from itertools import pairwise

import pytest

from agent.config.model import Config
from firmware_bridge.wgs84 import distance_m
from simulators.world.city import GROUPS, MIDDLE, RIVER_M, TOTAL, City, make_city, river_at

SMALL: City = make_city(3, 0.01, cameras=1.0)


def test_the_city_has_the_devices_of_the_numbers() -> None:
    counts = Counter(name.rpartition("-")[0] for name in make_city(1).devices)
    assert [counts[group.name] for group in GROUPS] == [33, 9, 38, 33, 486, 191, 4, 8, 20, 1032]
    assert sum(counts.values()) == TOTAL == 1854


def test_the_same_seed_is_the_same_city() -> None:
    assert make_city(3, 0.01, cameras=1.0) == SMALL != make_city(4, 0.01, cameras=1.0)


@pytest.mark.parametrize("name", SMALL.devices)
def test_each_configuration_is_valid(name: str) -> None:
    config = {
        "schema_version": 1,
        "device": name,
        "broker": {"url": "mqtt://127.0.0.1"},
        **SMALL.devices[name].config,
    }
    assert Config.model_validate(config).device == name


def test_boats_stay_on_the_river_and_posts_in_the_city() -> None:
    river = [river_at(step * 100.0) for step in range(int(RIVER_M / 100))]
    assert sum(distance_m(one, other) for one, other in pairwise(river)) > RIVER_M
    world = SMALL.world(3)
    for name, device in SMALL.devices.items():
        at = world.motion(name, 0).position
        assert distance_m(at, MIDDLE) < 52_000
        if device.moves is not None:
            for second in range(0, 8000, 500):
                place = world.motion(name, second).position
                assert min(distance_m(place, bank) for bank in river[::5]) < 800


def test_it_reads_as_the_devices_of_a_scenario() -> None:
    written = SMALL.scenario_devices()
    assert written["boat-0001"]["moves"] == "boat-0001"
    assert "moves" not in written["gate-0001"]
