"""Makes the observations of the cases that nobody recorded: ``python -m tests.replay.make`` writes them.

Each is a function of a seed, so that what a case contains can be read here. The cases that a camera recorded
have only their files.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.domain.observations import CameraState, Observation, SeenObject, Sighting, Tick
from agent.replay.recording import RecordingHeader, line_of
from firmware_bridge.readings import Fix

FOLDER = Path(__file__).parent
NIGHT = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)  # 02:00 in China
FPS = 2
Seen = tuple[SeenObject, ...]


def thing(
    x: float, y: float, *, track: int, tall: float = 0.3, score: float = 0.7, label: str = "person"
) -> SeenObject:
    """An object whose foot stands at ``x``, ``y``."""
    box = (round(x - tall / 6, 3), round(y - tall, 3), round(x + tall / 6, 3), round(y, 3))
    return SeenObject(track=track, label=label, score=round(score, 2), box=box)


def film(frames: Iterable[Seen | None], begin: datetime = NIGHT, **more: Any) -> Iterator[Observation]:
    """``cam1``'s sightings, and a tick each second; None is a frame that never came."""
    for number, seen in enumerate(frames):
        now_s = number / FPS
        at = begin + timedelta(seconds=now_s)
        if number % FPS == 0:
            yield Observation("clock", at, 100 + now_s, Tick())
        if seen is not None:
            yield Observation(
                "cam1", at, 100 + now_s, Sighting(frame=number + 1, objects=seen, delay_s=0.05, **more)
            )


def false_people_in_the_rain() -> Iterator[Observation]:
    """Three minutes of leaves, drops on the lens and headlights; then a man walks to the rail and stays."""
    chance = random.Random(14157)
    frames: list[Seen] = []
    leaf, leaf_seen = 1000, -100
    for number in range(210 * FPS):
        seen: list[SeenObject] = []
        if (
            chance.random() < 0.15
        ):  # leaves, now and then a person: a track from the second time within 4 s on
            if number - leaf_seen <= 4 * FPS:
                seen.append(thing(0.30, 0.70, track=leaf, score=chance.uniform(0.4, 0.6)))
            else:
                leaf += 1
            leaf_seen = number
        if chance.random() < 0.3:  # a drop: small, somewhere, for a frame
            drop = thing(chance.uniform(0.2, 0.5), chance.uniform(0.5, 0.9), track=2000 + number, tall=0.03)
            seen.append(drop)
        if number % 90 < 6:  # headlights: half the picture, for three seconds
            seen.append(thing(0.4, 0.98, track=3000 + number // 90, tall=0.9, score=0.6))
        if number >= 180 * FPS:
            step = min(number - 180 * FPS, 20)
            seen.append(thing(0.8 - 0.02 * step, 0.8, track=7, score=chance.uniform(0.5, 0.8)))
        frames.append(tuple(seen))
    return film(frames)


def one_person_many_tracks() -> Iterator[Observation]:
    """One man at the edge of a zone for a minute: nine track numbers, hidden now and then, his foot trembles."""
    chance = random.Random(481)
    frames: list[Seen] = []
    for number in range(60 * FPS):
        hidden = number % 25 in (20, 21, 22)
        x = 0.58 + chance.choice((-0.01, 0.0, 0.0, 0.01, 0.03))
        frames.append(
            () if hidden else (thing(x, 0.8, track=1 + number // 14, score=chance.uniform(0.45, 0.8)),)
        )
    return film([*frames, *[()] * (30 * FPS)])


def false_person_that_sticks() -> Iterator[Observation]:
    """A coat on a fence is a person for half a minute; the detector then sees it once in eight seconds."""
    coat = thing(0.4, 0.7, track=5, score=0.45)
    frames: list[Seen] = [(coat,)] * (30 * FPS)
    frames += [(coat,) if number % (8 * FPS) == 0 else () for number in range(300 * FPS)]
    return film(frames)


def camera_goes_dead() -> Iterator[Observation]:
    """A man at the rail; then no frame comes any more, while the camera goes on telling its frame rate."""
    frames: list[Seen | None] = [(thing(0.4, 0.8, track=3),)] * (30 * FPS) + [None] * (400 * FPS)
    for observation in film(frames):
        yield observation
        if isinstance(observation.value, Tick) and int(observation.mono_s) % 5 == 0:
            state = CameraState(frames=60, skipped=0, width=1280, height=720, fps=5.0)
            yield Observation("cam1", observation.at, observation.mono_s, state)


def day_and_night() -> Iterator[Observation]:
    """The same doubtful man, half a minute each, at noon, at night, and at noon of a holiday; China time."""
    nobody: list[Seen] = [()] * (30 * FPS)
    for begin_s, begin in enumerate(
        (
            datetime(2026, 9, 29, 4, 0, tzinfo=UTC),  # Tuesday 12:00
            datetime(2026, 9, 29, 15, 0, tzinfo=UTC),  # Tuesday 23:00
            datetime(2026, 10, 1, 4, 0, tzinfo=UTC),  # National Day 12:00
        )
    ):
        man: list[Seen] = [(thing(0.4, 0.8, track=begin_s + 1, score=0.55),)] * (30 * FPS)
        for one in film([*man, *nobody], begin):
            yield Observation(one.source, one.at, one.mono_s + 100_000 * begin_s, one.value)


def anchor_watch_without_position() -> Iterator[Observation]:
    """A boat at anchor; the receiver goes on without a fix for two minutes; when it is back the boat has drifted."""
    for second in range(400):
        at = NIGHT + timedelta(seconds=second)
        drift_m = 5.0 if second < 120 else 5.0 + (second - 120) * 0.6
        fix = Fix(mode="3d", lat=round(32.06 + drift_m / 110_900, 6), lon=118.72, error_m=2.5)
        yield Observation("clock", at, 100.0 + second, Tick())
        yield Observation("gnss", at, 100.2 + second, Fix(mode="none") if 150 <= second < 270 else fix)


def wrong_time_at_boot() -> Iterator[Observation]:
    """The clock says 1970 until it is set, while somebody stands at the rail."""
    frames: list[Seen] = [(thing(0.4, 0.8, track=3),)] * (60 * FPS) + [()] * (30 * FPS)
    for one in film(frames):
        unset = one.mono_s < 130
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=one.mono_s) if unset else one.at
        yield Observation(one.source, at, one.mono_s, one.value)


def over_the_railing() -> Iterator[Observation]:
    """A man comes to a bridge's railing, stays, climbs over, and is pulled back."""
    places: list[tuple[float, float]] = [(0.9 - 0.02 * n, 0.85) for n in range(16)]
    places += [(0.58, 0.82)] * (30 * FPS) + [(0.56 - 0.02 * n, 0.78) for n in range(4)]
    places += [(0.47, 0.76)] * (20 * FPS) + [(0.60 + 0.02 * n, 0.85) for n in range(15)]
    return film([(thing(x, y, track=4),) for x, y in places] + [()] * (20 * FPS))


CASES: tuple[Callable[[], Iterator[Observation]], ...] = (
    false_people_in_the_rain,
    one_person_many_tracks,
    false_person_that_sticks,
    camera_goes_dead,
    day_and_night,
    anchor_watch_without_position,
    wrong_time_at_boot,
    over_the_railing,
)


def text_of(case: Callable[[], Iterator[Observation]]) -> bytes:
    """The recording of a case."""
    header = RecordingHeader(device="replay", config=Path("config.yaml"), at=NIGHT)
    return b"".join(line + b"\n" for line in (header.model_dump_json().encode(), *map(line_of, case())))


if __name__ == "__main__":
    for case in CASES:
        (FOLDER / case.__name__).mkdir(exist_ok=True)
        (FOLDER / case.__name__ / "observations.jsonl").write_bytes(text_of(case))
