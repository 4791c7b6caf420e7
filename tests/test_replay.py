"""Field reports, replayed: recorded observations, a configuration, and the alerts that there must be.

Each folder of ``tests/replay`` is one case: ``config.yaml`` (the complaint in its first lines),
``observations.jsonl`` and ``expected.txt``, what `ringpost replay` prints but for updates. To change what is
expected is to edit that file.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config.loader import read
from agent.domain.message import encode
from agent.domain.observations import Observation, Sighting
from agent.replay.recording import Recording
from agent.replay.replay import line, replay
from tests.replay.make import CASES, text_of

CASE_FOLDERS = sorted(path.parent for path in (Path(__file__).parent / "replay").glob("*/config.yaml"))


def observations(folder: Path) -> Iterator[Observation]:
    return Recording(folder / "observations.jsonl").observations()


def told(folder: Path, what: Iterator[Observation] | None = None) -> list[str]:
    """What is printed of a case, but for updates."""
    alerts = replay(read(folder / "config.yaml"), observations(folder) if what is None else what)
    messages = (json.loads(encode({"at": alert.at, "alert": fields})) for alert, fields in alerts)
    return [line(message) for message in messages if message["alert"]["phase"] != "update"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", CASE_FOLDERS, ids=lambda folder: folder.name)
def test_a_field_report_has_the_alerts_that_it_must(folder: Path) -> None:
    assert told(folder) == (folder / "expected.txt").read_text().splitlines()


@pytest.mark.parametrize("folder", CASE_FOLDERS, ids=lambda folder: folder.name)
def test_a_case_says_what_it_is_about(folder: Path) -> None:
    about = [text for text in (folder / "config.yaml").read_text().splitlines() if text.startswith("#")]
    assert len(about) >= 3
    assert about[0].startswith(("# Made by make.py", "# Recorded with `ringpost record`"))
    assert any("Must" in text for text in about)


@pytest.mark.slow
@pytest.mark.parametrize("folder", CASE_FOLDERS, ids=lambda folder: folder.name)
def test_no_alert_is_told_twice(folder: Path) -> None:
    """Of each rule, at most one is active at a time for each key, and each that ended began."""
    active: Counter[str] = Counter()
    for alert, _ in replay(read(folder / "config.yaml"), observations(folder)):
        active[alert.alert_id] += {"new": 1, "update": 0, "end": -1}[alert.phase]
        assert active[alert.alert_id] in (0, 1)
        assert alert.phase == "new" or alert.alert_id in active


@pytest.mark.slow
@pytest.mark.parametrize("folder", CASE_FOLDERS, ids=lambda folder: folder.name)
def test_the_monotonic_clock_may_begin_anywhere(folder: Path) -> None:
    shifted = (replace(one, mono_s=one.mono_s + 1_000_000) for one in observations(folder))
    assert told(folder, shifted) == told(folder)


def test_a_clock_that_is_set_ahead_by_a_year_changes_no_alert_but_its_time() -> None:
    folder = next(one for one in CASE_FOLDERS if one.name == "over_the_railing")
    later = (replace(one, at=one.at + timedelta(days=365)) for one in observations(folder))
    assert [text[24:] for text in told(folder, later)] == [text[24:] for text in told(folder)]


def test_with_three_frames_the_rain_would_be_a_person() -> None:
    """So `zone_enter` waits for five, though synthetic scenes have nothing against three (decision 0073)."""
    folder = next(one for one in CASE_FOLDERS if one.name == "false_people_in_the_rain")
    config = read(folder / "config.yaml")
    hasty = config.rules["rail"].model_copy(update={"frames": 3})
    config = config.model_copy(update={"rules": {"rail": hasty}})
    new = [alert.at for alert, _ in replay(config, observations(folder)) if alert.phase == "new"]
    assert len(new) == 2


def test_without_the_word_of_the_camera_that_it_moves_boats_would_cross() -> None:
    """So the case is not empty: it is the flag that keeps it quiet."""
    folder = next(one for one in CASE_FOLDERS if one.name == "camera_turns")

    def silent() -> Iterator[Observation]:
        for one in observations(folder):
            value = one.value
            yield (
                replace(one, value=replace(value, camera_moves=False)) if isinstance(value, Sighting) else one
            )

    assert any("crossed" in text for text in told(folder, silent()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_was_made_is_what_make_makes(case) -> None:
    made = Path(__file__).parent / "replay" / case.__name__ / "observations.jsonl"
    assert made.read_bytes() == text_of(case)
