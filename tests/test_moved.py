"""The rules `moved` and `interference`, judged by lists of observations."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent.domain.findings import Finding
from agent.domain.observations import Observation
from agent.domain.site import Site
from agent.rules import Rule
from firmware_bridge.readings import Fix, GnssState, Reading, Value
from firmware_bridge.wgs84 import metres_per_degree

START = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1162, 118.7404
DEGREE_M = metres_per_degree(LAT)[1]
MOVED = {"kind": "moved", "source": "gnss"}
INTERFERENCE = {"kind": "interference", "source": "gnss"}


def at(second: float, value: Value, source: str = "gnss") -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def fix(north_m: float, **more: Any) -> Fix:
    known: dict[str, Any] = {"mode": "3d", "satellites": 9, "hdop": 0.9} | more
    return Fix(lat=LAT + north_m / DEGREE_M, lon=LON, **known)


def judge(
    config: dict[str, Any], observations: Iterable[Observation]
) -> Iterator[tuple[float, Finding | None]]:
    """The second and the finding of each observation that the rule has a word on; None: it is over."""
    rule = TypeAdapter(Rule).validate_python(config).resolve(Site(lat=LAT, lon=LON))
    decide = rule.start()
    for observation in observations:
        for fact in decide(observation):
            yield observation.mono_s - 1000, fact if isinstance(fact, Finding) else None


def first(config: dict[str, Any], observations: Iterable[Observation]) -> tuple[float, Finding] | None:
    return next(((second, fact) for second, fact in judge(config, observations) if fact is not None), None)


def post(
    noise_m: float, moves_at: float, by_m: float, until: int = 3600, wander_m: float = 0.0
) -> Iterator[Observation]:
    """A receiver at a post, that is moved at a second."""
    noise = random.Random(7)
    wander = 0.0
    for second in range(until):
        wander = 0.98 * wander + noise.gauss(0, wander_m * 0.2)
        yield at(second, fix((by_m if second >= moves_at else 0.0) + noise.gauss(0, noise_m) + wander))


def test_a_post_that_stands_is_never_moved() -> None:
    assert first(MOVED, post(3, 9999, 0)) is None
    assert first(MOVED, post(8, 9999, 0, wander_m=8)) is None


def test_a_post_that_was_pushed_is_told_when_the_median_has_come_after() -> None:
    found = first(MOVED, post(3, 1000, 60))
    assert found is not None
    second, finding = found
    assert 1300 + 55 <= second <= 1300 + 80
    assert finding.text.startswith("gnss is 6")
    assert finding.since == START + timedelta(seconds=second - 60)
    assert finding.point is not None
    assert finding.point.lat == pytest.approx(LAT + 60 / DEGREE_M, abs=2 / DEGREE_M)


def test_one_that_is_carried_off_is_told_at_once() -> None:
    found = first(MOVED, post(3, 1000, 800))
    assert found is not None
    assert 1060 <= found[0] <= 1100


def test_it_is_over_when_it_is_back() -> None:
    out = [at(second, fix(100)) for second in range(200)]
    back = [at(second, fix(1)) for second in range(200, 600)]
    told = list(judge(MOVED | {"window": "2m"}, out + back))
    assert next(second for second, fact in told if fact is not None) == 120
    assert told[-1][1] is None
    assert 255 < next(second for second, fact in told if fact is None and second > 120) < 265


def test_what_is_poor_or_from_elsewhere_moves_nothing() -> None:
    poor = [replace(at(second, fix(900)), doubt="3 satellites") for second in range(600)]
    other = [at(second, fix(900), "spare") for second in range(300)]
    assert list(judge(MOVED, [*poor, *other, at(599, Fix(mode="none"))])) == []


def test_a_few_reflections_move_nothing() -> None:
    jumping = [at(second, fix(90 if second % 100 < 40 else 2)) for second in range(2000)]
    assert first(MOVED, jumping) is None


def test_a_post_must_have_been_surveyed() -> None:
    with pytest.raises(ValueError, match="where the post should be"):
        TypeAdapter(Rule).validate_python(MOVED).resolve(Site())


def test_what_a_receiver_says_of_jamming_spoofing_and_its_antenna() -> None:
    told = list(
        judge(
            INTERFERENCE,
            [
                at(0, GnssState(jamming="ok", antenna="ok")),
                at(1, GnssState(jamming="critical", antenna="ok")),
                at(2, GnssState(spoofing="indicated")),
                at(4, GnssState(jamming="critical", antenna="open")),
                at(5, GnssState(jamming="ok", spoofing="indicated")),
                at(9, GnssState(antenna="ok", spoofing="none")),
                at(9, GnssState(jamming="critical"), "spare"),
                at(9, Reading(quantity="x", value=1, unit="m")),
            ],
        )
    )
    said = [(second, fact.key, fact.text) for second, fact in told if fact is not None]
    assert said == [(4, "jamming", "gnss: jamming critical"), (5, "spoofing", "gnss: spoofing indicated")]
    assert [second for second, fact in told if fact is None] == [0, 0, 1, 5, 9, 9]


def sky(levels: Iterable[float | None]) -> Iterator[Observation]:
    for second, level in enumerate(levels):
        yield at(second, fix(0, cn0_dbhz=level))


def test_signals_that_fall_together_are_told_after_a_while() -> None:
    found = first(INTERFERENCE, sky([42.0] * 100 + [27.0] * 60))
    assert found is not None
    assert (found[0], found[1].text) == (130, "gnss: all signals fell by 15 dB")
    lasting = list(judge(INTERFERENCE, sky([42.0] * 100 + [27.0] * 3000 + [41.0])))
    assert sum(fact is not None for _, fact in lasting) == 2970
    assert lasting[-1][1] is None


@pytest.mark.parametrize(
    "levels",
    [
        [42.0] * 100 + [27.0] * 20 + [42.0] * 20,  # a bridge
        [42.0] * 30 + [27.0] * 100,  # nobody knows yet what is usual
        [42.0] * 100 + [None] * 100,
        [42.0] * 100 + [35.0] * 100,
    ],
)
def test_signals_that_do_not_tell_of_interference(levels: list[float | None]) -> None:
    assert first(INTERFERENCE, sky(levels)) is None


def test_signals_can_be_left_out() -> None:
    assert first(INTERFERENCE | {"signal_drop_db": None}, sky([42.0] * 100 + [20.0] * 100)) is None
