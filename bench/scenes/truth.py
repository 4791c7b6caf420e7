"""The events that a script contains for each rule, from its geometry alone. No code of the agent's rules.

Definitions (as an operator would count): an event begins when the condition of its rule is met by somebody
who can be seen (`VISIBLE` of the body, not behind another or a post, at least half inside the picture), and
lasts as long as it goes on; pauses of less than `JOINED_S` belong to it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.domain.geometry import inside
from bench.scenes import FPS, HEIGHT, WIDTH
from bench.scenes.places import Place
from bench.scenes.script import FRAMES, Actor, At, Script

VISIBLE = 0.4
JOINED_S = 13.0
"""Grace and hold-off: within them one alert is right for both."""
DWELL_S, STILL_S, HOLD_S, MORE_THAN, AGAINST = 20.0, 30.0, 10.0, 1, 0.05
SHORTEST_S = {"zone_enter": 1.0, "person_in_water": 2.0, "beyond_railing": 0.6, "wrong_way": 1.0}
"""A shorter visit is no event that must be found, and an alert on it is not false either."""
VEHICLES = ("car", "bus", "truck")


@dataclass(frozen=True)
class Event:
    """An event of a rule: from ``at_s`` on it should be told; until ``ends_s`` an alert is right.

    ``begins_s``: when the condition begins, before any waiting time; an alert from then on is not false.
    """

    rule: str
    kind: str
    at_s: float
    ends_s: float
    begins_s: float
    must: bool = True


def events(script: Script) -> list[Event]:
    """All events of a script, for the rules of `configuration`."""
    place = script.place
    zones, line = place.zones(), place.line()
    people = [one for one in script.actors if one.label == "person" and one.aboard is None]
    boats = [one for one in script.actors if one.label == "boat"]
    vehicles = [one for one in script.actors if one.label in VEHICLES]
    seen = visibility(script)

    def within(actor: Actor, zone: str, blind: bool = False) -> list[bool]:
        return [
            at is not None and inside((at.x, at.y), zones[zone]) and (blind or seen[actor.number][number])
            for number, at in enumerate(actor.path)
        ]

    found: list[Event] = []
    if place.water:
        found += _lasting("water", "person_in_water", [within(one, "water") for one in people])
        found += _lasting("boat", "zone_enter", [within(one, "fairway") for one in boats])
        anchored = [_stands(one, within(one, "fairway", True)) for one in boats]
        found += _lasting("anchors", "stationary", anchored, after_s=STILL_S)
        found += _crossings("boat-line", boats, seen, place)
        return found
    floor = [within(one, "floor") for one in people]
    present = [within(one, "floor", blind=True) for one in people]
    found += _lasting("enter", "zone_enter", floor)
    found += _lasting("dwell", "zone_dwell", present, after_s=DWELL_S)
    found += _lasting("beyond", "beyond_railing", [within(one, "beyond") for one in people])
    crowd = [sum(row) > MORE_THAN for row in zip(*floor, strict=True)] if floor else []
    found += _lasting("crowd", "count", [crowd] if crowd else [], after_s=HOLD_S)
    found += _lasting(
        "parked",
        "stationary",
        [_stands(one, within(one, "floor", True)) for one in vehicles],
        after_s=STILL_S,
    )
    found += _lasting("wrong-way", "wrong_way", [_against(one, within(one, "floor")) for one in people])
    return found + _crossings("line", people, seen, place, line)


def count_at(script: Script, number: int) -> int:
    """How many visible people are on the floor in a frame."""
    seen, zone = visibility(script), script.place.zones()["floor"]
    return sum(
        (at := one.path[number]) is not None and inside((at.x, at.y), zone) and seen[one.number][number]
        for one in script.actors
        if one.label == "person"
    )


def visibility(script: Script) -> dict[int, list[bool]]:
    """By actor: whether it can be seen in each frame."""
    return {
        actor.number: [
            at is not None and _share(script, actor, at, number) >= VISIBLE
            for number, at in enumerate(actor.path)
        ]
        for actor in script.actors
    }


def _columns(script: Script, actor: Actor, at: At) -> tuple[float, float]:
    wide = script.place.height(at.y, actor.metres) * HEIGHT / WIDTH
    wide *= 0.35 if actor.label == "person" else 1.5
    return at.x - wide / 2, at.x + wide / 2


def _share(script: Script, actor: Actor, at: At, number: int) -> float:
    """The share of its columns that is in the picture and in front of all else."""
    left, right = _columns(script, actor, at)
    hidden = [(occluder.left, occluder.right) for occluder in script.occluders if occluder.y > at.y]
    for other in script.actors:
        place = other.path[number]
        if other is not actor and place is not None and place.y > at.y and other.aboard is None:
            hidden.append(_columns(script, other, place))
    marks = [left + (right - left) * (step + 0.5) / 20 for step in range(20)]
    return sum(0 <= mark <= 1 and not any(a <= mark <= b for a, b in hidden) for mark in marks) / 20


def _lasting(rule: str, kind: str, holds: Sequence[Sequence[bool]], after_s: float = 0.0) -> list[Event]:
    """Events from when any of ``holds`` has lasted for ``after_s``; overlapping ones are one."""
    spans: list[tuple[float, float, float, bool]] = []
    for one in holds:
        for start, end in _runs(one, 2.0 if after_s else 0.6):
            if end - start >= after_s:
                must = end - start >= max(SHORTEST_S.get(kind, 0.0), after_s + 1 if after_s else 0.0)
                spans.append((start + after_s, end, start, must))
    spans.sort()
    joined: list[tuple[float, float, float, bool]] = []
    for at_s, end_s, begin_s, must in spans:
        if joined and at_s - joined[-1][1] <= JOINED_S and (must or not joined[-1][3]) is must:
            last = joined[-1]
            joined[-1] = (last[0], max(last[1], end_s), min(last[2], begin_s), last[3] or must)
        else:
            joined.append((at_s, end_s, begin_s, must))
    return [Event(rule, kind, at_s, end_s, begin_s, must) for at_s, end_s, begin_s, must in joined]


def _runs(holds: Sequence[bool], pause_s: float) -> list[tuple[float, float]]:
    """Where ``holds`` is true, over pauses of up to ``pause_s``, in seconds."""
    found: list[list[float]] = []
    for number, one in enumerate(holds):
        if one:
            at_s = number / FPS
            if found and at_s - found[-1][1] <= pause_s:
                found[-1][1] = at_s
            else:
                found.append([at_s, at_s])
    return [(start, end) for start, end in found]


def _stands(actor: Actor, here: Sequence[bool]) -> list[bool]:
    return [
        one and (at := actor.path[number]) is not None and not at.moves for number, one in enumerate(here)
    ]


def _against(actor: Actor, here: Sequence[bool]) -> list[bool]:
    """Whether it has gone left by `AGAINST` of the picture within ten seconds, on the floor."""
    holds = [False] * FRAMES
    for number in range(FRAMES):
        before = [
            at.x
            for past in range(max(0, number - 10 * FPS), number)
            if here[past] and (at := actor.path[past])
        ]
        now = actor.path[number]
        holds[number] = bool(here[number] and now is not None and before and max(before) - now.x >= AGAINST)
    return holds


def _crossings(
    rule: str,
    actors: Sequence[Actor],
    seen: dict[int, list[bool]],
    place: Place,
    line: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> list[Event]:
    x = (line or place.line())[0][0]
    top, bottom = sorted(end[1] for end in (line or place.line()))
    found = []
    for actor in actors:
        for number in range(1, FRAMES):
            before, now = actor.path[number - 1], actor.path[number]
            if before is None or now is None or (before.x - x) * (now.x - x) >= 0:
                continue
            if top <= now.y <= bottom and seen[actor.number][number]:
                at_s = number / FPS
                found.append(Event(rule, "line_cross", at_s, at_s + 6, at_s - 1))
    found.sort(key=lambda one: one.at_s)
    return found


Settings: TypeAlias = Mapping[str, Mapping[str, object]]
"""Keys of rules by kind of rule; ``*`` for all."""


Tries: TypeAlias = Sequence[tuple[str, str, str]]
"""Settings to compare in one run: kind of rule, key, value."""


def configuration(script: Script, settings: Settings | None = None, tries: Tries = ()) -> str:
    """The configuration under which a scene is judged, as YAML: rules as they are by default, or changed.

    For each one of ``tries`` the rules of its kind are there once more, called ``NAME-tNUMBER``.
    """
    place = script.place
    zones = "\n".join(
        f"      {name}: [{', '.join(f'[{x}, {y}]' for x, y in corners)}]"
        for name, corners in place.zones().items()
    )
    line = f"[[{place.line()[0][0]}, {place.line()[0][1]}], [{place.line()[1][0]}, {place.line()[1][1]}]]"
    if place.water:
        rules = f"""\
  water: {{kind: person_in_water, camera: cam, zone: water}}
  boat: {{kind: zone_enter, camera: cam, zone: fairway, labels: [boat]}}
  anchors: {{kind: stationary, camera: cam, zone: fairway, labels: [boat], after: 30s}}
  boat-line: {{kind: line_cross, camera: cam, line: {line}, labels: [boat]}}"""
    else:
        rules = f"""\
  enter: {{kind: zone_enter, camera: cam, zone: floor}}
  dwell: {{kind: zone_dwell, camera: cam, zone: floor, dwell: 20s}}
  beyond: {{kind: beyond_railing, camera: cam, zone: beyond}}
  crowd: {{kind: count, camera: cam, zone: floor, more_than: {MORE_THAN}, hold: 10s}}
  parked: {{kind: stationary, camera: cam, zone: floor, labels: [car, bus, truck], after: 30s}}
  wrong-way: {{kind: wrong_way, camera: cam, zone: floor, flow: [[0.1, 0.5], [0.9, 0.5]]}}
  line: {{kind: line_cross, camera: cam, line: {line}}}"""
    lines = [_with(line, settings or {}) for line in rules.splitlines()]
    for number, (kind, key, value) in enumerate(tries):
        lines += [
            _with(line, {kind: {key: value}}).replace(":", f"-t{number}:", 1)
            for line in lines[: len(rules.splitlines())]
            if f"kind: {kind}," in line
        ]
    rules = "\n".join(lines)
    return camera_configuration(zones, rules)


def camera_configuration(zones: str, rules: str) -> str:
    """A device with one camera, its zones and rules as YAML lines."""
    return f"""\
schema_version: 1
device: bench
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bench, post: p, timezone: UTC}}
broker: {{url: "mqtt://127.0.0.1:9"}}
sources:
  cam:
    kind: camera
    url: x.mp4
    purpose: a measurement
    zones:
{zones}
rules:
{rules}
"""


def _with(line: str, settings: Settings) -> str:
    kind = line.split("kind: ")[1].split(",", maxsplit=1)[0]
    for key, value in {**settings.get("*", {}), **settings.get(kind, {})}.items():
        line = re.sub(rf", {key}: [^,}}\[]+", "", line).rstrip("}") + f", {key}: {value}}}"
    return line
