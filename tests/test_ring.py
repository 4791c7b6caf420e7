"""What is kept on disk, and what goes when: by age, by size, and never below the free space that is asked for."""

import os
import shutil
import time
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.evidence.clip_store import ClipStore
from agent.evidence.settings import Evidence

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
BASE_S = time.monotonic()
Usage = namedtuple("Usage", "total used free")


def ring(folder: Path, **fields: Any) -> ClipStore:
    return ClipStore(
        folder,
        Evidence.model_validate(
            {"ring": "60s", "before": "10s", "after": "10s", "least_free_mb": 0} | fields
        ),
    )


def play(kept: ClipStore, first: int, last: int, camera: str = "cam1", size: int = 1000) -> None:
    """One frame each second, from when these tests began."""
    for second in range(first, last):
        kept.write(camera, second, START + timedelta(seconds=second), BASE_S + second, b"x" * size)


def keep(kept: ClipStore, alert_id: str, second: int, camera: str = "cam1") -> None:
    kept.request_clip(camera, alert_id, BASE_S + second)


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("-")[2]) for path in folder.glob("*.jpg"))


def test_the_ring_holds_its_seconds_and_no_more(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    play(kept, 0, 200)
    assert numbers(tmp_path / "cam1" / "ring") == list(range(139, 200))


def test_the_ring_holds_half_of_its_bytes_and_no_more(tmp_path: Path) -> None:
    kept = ring(tmp_path, max_mb=8)
    play(kept, 0, 50, size=200_000)
    assert len(numbers(tmp_path / "cam1" / "ring")) == 20


def test_a_clip_has_what_was_before_and_after_and_outlives_the_ring(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    play(kept, 0, 30)
    keep(kept, "a1", 29)
    assert kept.is_growing("a1")
    play(kept, 30, 200)
    assert not kept.is_growing("a1")
    camera, pictures = kept.clip("a1") or ("", [])
    assert (camera, [number for number, _ in pictures]) == ("cam1", list(range(2, 23)))
    assert numbers(tmp_path / "cam1" / "clips" / "a1") == list(range(19, 40))
    assert kept.clip("a2") is None


def test_a_clip_is_made_also_where_no_frame_comes_any_more(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    play(kept, -20, 0)
    keep(kept, "a1", 0)
    kept.prune()
    assert len((kept.clip("a1") or ("", []))[1]) == 10


@pytest.mark.parametrize("alert_id", ["..", "../ring", ".", "", "a1/../../x", "\0"])
def test_a_name_from_outside_opens_no_other_folder(alert_id: str, tmp_path: Path) -> None:
    kept = ring(tmp_path)
    play(kept, 0, 5)
    keep(kept, "a1", 5)
    play(kept, 5, 10)
    assert kept.clip(alert_id) is None


def age(clip: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(clip, (then, then))


def clips(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cam1" / "clips").glob("*"))


def some_clips(folder: Path, hours: dict[str, float], size: int = 1_000_000) -> None:
    """Clips that were made so many hours ago."""
    for name, old in hours.items():
        clip = folder / "cam1" / "clips" / name
        clip.mkdir(parents=True)
        (clip / "20261128T060000.000000-1.jpg").write_bytes(b"x" * size)
        age(clip, old)


def test_after_keep_most_a_clip_goes_whatever_the_room_also_of_a_camera_that_is_no_more(
    tmp_path: Path,
) -> None:
    some_clips(tmp_path, {"old": 73, "young": 71, "future": -5})
    ring(tmp_path).prune()
    assert clips(tmp_path) == ["future", "young"]


def test_for_want_of_room_the_oldest_go_that_are_older_than_keep_least(tmp_path: Path) -> None:
    kept = ring(tmp_path, max_mb=8)
    some_clips(tmp_path, {"a": 60, "b": 50, "c": 40, "d": 1}, size=3_000_000)
    kept.prune()
    assert clips(tmp_path) == ["c", "d"]
    assert kept.trouble is None


def test_clips_younger_than_keep_least_stay_and_new_ones_are_not_kept_and_that_is_said(
    tmp_path: Path,
) -> None:
    kept = ring(tmp_path, max_mb=8)
    some_clips(tmp_path, dict.fromkeys("abc", 2), size=3_000_000)
    keep(kept, "new", 10)
    play(kept, 0, 20)
    assert clips(tmp_path) == ["a", "b", "c"]
    assert "no new clips of cam1" in (kept.trouble or "")
    for name in "abc":
        age(tmp_path / "cam1" / "clips" / name, 30)
    keep(kept, "newer", 110)
    play(kept, 100, 120)
    assert clips(tmp_path) == ["b", "c", "newer"]
    assert kept.trouble is None


def test_a_clock_that_is_set_makes_no_clip_old_and_none_young_for_ever(tmp_path: Path) -> None:
    """A box that starts in 1970 and hears the time an hour later; and one whose clips are from 2038."""
    kept = ring(tmp_path)
    keep(kept, "a1", 5)
    play(kept, 0, 10)
    age(tmp_path / "cam1" / "clips" / "a1", 56 * 365 * 24)
    some_clips(tmp_path, {"future": -12 * 365 * 24})
    kept.prune()
    assert clips(tmp_path) == ["a1", "future"]
    for name in ("a1", "future"):
        assert abs(time.time() - (tmp_path / "cam1" / "clips" / name).stat().st_mtime) < 60


def test_a_memory_card_without_links_holds_clips_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    kept = ring(tmp_path)
    keep(kept, "a1", 5)
    play(kept, 0, 10)
    assert numbers(tmp_path / "cam1" / "clips" / "a1") == list(range(10))


def test_nothing_is_written_where_the_disk_has_too_little_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ring(tmp_path, least_free_mb=500)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 0, 499_000_000))
    play(kept, 0, 5)
    assert numbers(tmp_path / "cam1" / "ring") == []
    assert kept.trouble == "nothing is recorded: 499 MB free, evidence.least_free_mb is 500"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 0, 501_000_000))
    play(kept, 5, 8)
    assert numbers(tmp_path / "cam1" / "ring") == [5, 6, 7]
    assert kept.trouble is None


def test_of_a_frame_that_does_not_fit_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ring(tmp_path)
    play(kept, 0, 1)
    write = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        play(kept, 1, 2)
    assert numbers(tmp_path / "cam1" / "ring") == [0]


def test_what_an_earlier_run_left_is_part_of_the_ring_for_its_seconds(tmp_path: Path) -> None:
    play(ring(tmp_path), 0, 10)
    kept = ring(tmp_path)
    keep(kept, "a1", 3)
    play(kept, 2, 5)
    assert set(range(5)) <= set(numbers(tmp_path / "cam1" / "clips" / "a1"))
    play(kept, 100, 102)
    assert numbers(tmp_path / "cam1" / "ring") == [100, 101]


def test_each_camera_has_its_own(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    keep(kept, "a1", 5, "cam2")
    play(kept, 0, 10, "cam1")
    assert kept.clip("a1") is None
    play(kept, 0, 10, "cam2")
    assert (kept.clip("a1") or ("",))[0] == "cam2"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ring": "5s", "before": "10s"}, "before is longer than ring"),
        ({"keep_least": "4d"}, "keep_least is longer than keep_most"),
        ({"picture_kb": 5}, "greater than or equal to 16"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evidence.model_validate(fields)
