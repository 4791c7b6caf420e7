"""Sightings as a camera tells them, and what rules say to them, for tests."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from agent.domain.findings import Cleared, Finding
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.zones import Corner, zones_of
from agent.rules import Rule

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
ZONES: dict[str, Sequence[Corner]] = {
    "left": [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)],
    "low": [(0.0, 0.6), (1.0, 0.6), (1.0, 1.0), (0.0, 1.0)],
}


def thing(
    x: float, y: float, *, track: int = 1, label: str = "person", score: float = 0.8, tall: float = 0.2
) -> SeenObject:
    """An object whose foot stands at ``x``, ``y``; half as wide as it is tall."""
    return SeenObject(track=track, label=label, score=score, box=(x - tall / 4, y - tall, x + tall / 4, y))


def see(
    second: float, *things: SeenObject, moves: bool = False, zones: Mapping[str, Sequence[Corner]] = ZONES
) -> Observation:
    """What ``cam1`` sees at a second."""
    objects = tuple(
        SeenObject(
            track=one.track,
            label=one.label,
            score=one.score,
            box=one.box,
            zones=zones_of(one.box, zones),
        )
        for one in things
    )
    value = Sighting(frame=round(second * 5), objects=objects, delay_s=0.04, camera_moves=moves)
    return Observation("cam1", START + timedelta(seconds=second), 1000 + second, value)


def tick(second: float) -> Observation:
    return Observation("clock", START + timedelta(seconds=second), 1000 + second, Tick())


def say(source: str, second: float, value: Any) -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def facts(
    config: Mapping[str, Any], observations: Iterable[Observation]
) -> list[tuple[float, Finding | Cleared]]:
    """All that the rule says, with the second."""
    decide = TypeAdapter(Rule).validate_python(config).start()
    return [(round(one.mono_s - 1000, 2), fact) for one in observations for fact in decide(one)]


def judge(config: Mapping[str, Any], observations: Iterable[Observation]) -> list[tuple[float, str]]:
    """(second, text, or "over" with its reason), where the answer about a key changes in kind or in count."""
    told: dict[str, Any] = {}
    said = []
    for second, fact in facts(config, observations):
        state = fact.count if isinstance(fact, Finding) else "over"
        before = told.get(fact.key, "over")
        told[fact.key] = state
        if state == before or (isinstance(state, int) and isinstance(before, int)):
            continue
        text = fact.text if isinstance(fact, Finding) else f"over {fact.reason or ''}".strip()
        said.append((second, text))
    return said
