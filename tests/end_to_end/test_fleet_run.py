"""A small fleet for real: three agents in one process, twenty thin clients, a storm. Nothing is lost.

In a short run tests/test_fleet_result.py holds the counting, tests/test_virtual.py the agents in one process.
"""

import json

import pytest
from click.testing import CliRunner

from simulators.broker import mosquitto_path
from simulators.fleet.verb import fleet
from tests.thorough import only_long

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(mosquitto_path() is None, reason="needs mosquitto: apt-get install mosquitto"),
    only_long,
]


def test_a_small_fleet_loses_nothing_in_a_storm() -> None:
    words = ["--agents", "3", "--thin", "20", "--minutes", "0.3", "--press-every", "3", "--storm", "--json"]
    done = CliRunner().invoke(fleet, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["presses"] == found["taken"] == found["committed"] > 3
    assert found["thin"]["clients"] == 20
    assert found["storm"]["links_back"] == found["storm"]["links_lost"] == 3
