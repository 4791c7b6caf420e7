"""The history as stretches of observations without a gap, with the ticks that were left out. Pure."""

import math
from collections.abc import Iterable, Iterator
from datetime import timedelta

from agent.domain.observations import Observation, Tick
from agent.replay.history_block import Block, RaisedAlert, observation_of

TICK_S = 1.0
LONGEST_GAP_S = 60.0
"""After a longer gap, as after a restart of the agent, a new stretch begins: nothing is known about it."""


def stretches(blocks: Iterable[Block], raised: list[RaisedAlert]) -> Iterator[Iterator[Observation]]:
    """Each stretch once, in order; take all of one before the next. Adds the alerts of the blocks to
    ``raised`` on the way.
    """
    waiting = iter(blocks)
    block = next(waiting, None)
    while block is not None:
        following: list[Block | None] = [None]
        yield _ticking(_one(block, waiting, following, raised))
        block = following[0]


def _one(
    block: Block, waiting: Iterator[Block], following: list[Block | None], raised: list[RaisedAlert]
) -> Iterator[Observation]:
    """The observations of ``block`` and of those that continue it; leaves the next one in ``following``."""
    run, ends_s = block.run, -math.inf
    present: Block | None = block
    while present is not None:
        if present.run != run or (ends_s > -math.inf and present.mono_s - ends_s > LONGEST_GAP_S):
            following[0] = present
            return
        raised += present.alerts
        for row in present.rows:
            observation = observation_of(present, row)
            ends_s = max(ends_s, observation.mono_s)
            yield observation
        present = next(waiting, None)


def _ticking(observations: Iterator[Observation]) -> Iterator[Observation]:
    """The observations with a tick each second in place of the few ticks that were kept."""
    tick_s = math.inf
    for one in observations:
        tick_s = one.mono_s if tick_s == math.inf else max(tick_s, one.mono_s - LONGEST_GAP_S)
        while tick_s <= one.mono_s:
            yield Observation("clock", one.at - timedelta(seconds=one.mono_s - tick_s), tick_s, Tick())
            tick_s += TICK_S
        if not isinstance(one.value, Tick):
            yield one
