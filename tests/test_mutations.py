"""Each way to break the agent turns a scenario red; a run of all is ``python -m bench.mutations``."""

import pytest

from bench.mutations import MUTATIONS, Mutation, complaints_of
from tests.thorough import LONG

SOME = ("health that lies", "told under two ids")


@pytest.mark.parametrize(
    "one", [one for one in MUTATIONS if LONG or one.name in SOME], ids=lambda one: one.name
)
def test_a_broken_promise_turns_a_scenario_red(one: Mutation) -> None:
    assert complaints_of(one) != []
