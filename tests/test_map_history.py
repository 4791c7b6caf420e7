"""The last hours: what the centre had at a moment, and where a device was."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from centre.map.force import TrackPoint
from centre.map.history import History, thinned
from tests.map_rows import BIRTH, NOON, later, write


def fix(lat: float, **more: Any) -> dict[str, Any]:
    return {"lat": lat, "lon": 118.0, "mode": "3d", "trust": "good", "age_s": 0, "stale_after_s": 15, **more}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    alert = {
        "alert_id": "a1",
        "phase": "new",
        "severity": "critical",
        "text": "help",
        "since": "2026-11-30T12:05:00Z",
    }
    path = tmp_path / "c.db"
    rows: list[tuple[str, str, float, dict[str, Any]]] = [
        ("boat-7", "birth", 0, BIRTH),
        *(("boat-7", "position", 60.0 * minute, fix(32 + minute / 1000)) for minute in range(10)),
        ("post-1", "birth", 200, BIRTH | {"kind": "metro_post"}),
        ("boat-7", "alert", 300, {"alert": alert}),
        ("boat-7", "alert", 420, {"alert": alert | {"phase": "end", "reason": "cleared"}}),
    ]
    write(path, sorted(rows, key=lambda row: row[2]))
    return path


def test_the_situation_at_a_moment(db: Path) -> None:
    history = History(db)
    seen = {}
    for at_s in (-1, 130, 1000):
        situation = history.situation_at(later(at_s))
        boat = situation.forces.get("boat-7")
        seen[at_s] = (
            len(situation.forces),
            None if boat is None or boat.position is None else round(boat.position.lat, 3),
            [alert.state for alert in situation.alerts.all()],
        )
    assert seen == {-1: (0, None, []), 130: (1, 32.002, []), 1000: (2, 32.009, ["ended"])}
    assert history.situation_at(later(130)) is history.situation_at(later(131))
    history.close()


def test_a_track(db: Path) -> None:
    history = History(db)
    track = history.track("boat-7", later(60), later(300))
    assert [round(point.lat, 3) for point in track] == [32.001, 32.002, 32.003, 32.004, 32.005]
    few = [point.at for point in history.track("boat-7", later(0), later(9999), most=3)]
    assert (few[0], len(few), few[-1]) == (later(0), 3, later(540))
    assert history.track("post-1", later(0), later(9999)) == []
    history.close()


@pytest.mark.parametrize(("count", "most"), [(0, 10), (10, 10), (11, 10), (1000, 7), (3, 2)])
def test_thinning_keeps_both_ends(count: int, most: int) -> None:
    points = [TrackPoint(0, number, NOON + timedelta(seconds=number)) for number in range(count)]
    found = thinned(points, most)
    assert len(found) == min(count, most)
    assert found[:1] + found[-1:] == points[:1] + points[-1:]
