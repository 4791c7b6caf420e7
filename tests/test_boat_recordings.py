"""Every recording of a boat or of AIS: each position report, each value, each field that gpsd prints."""

from pathlib import Path

import pytest

from tests.boat_recordings import (
    ais_recordings,
    ais_score,
    boat_recordings,
    boat_score,
    gpsd_recordings,
    gpsd_says,
    heard,
    same_report,
    we_say,
)  # fmt: skip

AIS, BOATS = ais_recordings(), boat_recordings()
pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not AIS, reason="needs the recordings beside this folder: ../shared/data"),
]


@pytest.mark.parametrize("path", AIS, ids=lambda path: path.stem)
def test_position_reports(path: Path) -> None:
    told = ais_score(path)
    assert (told.found, told.false) == (told.expected, 0)


@pytest.mark.parametrize("path", gpsd_recordings(), ids=lambda path: path.stem)
def test_every_field_is_what_gpsd_prints(path: Path) -> None:
    theirs, ours = gpsd_says(path), we_say(path)
    assert len(theirs) > 10
    assert [one for one in theirs if not any(same_report(one, other) for other in ours)] == []
    single = [one for one in ours if one["type"] != 24]  # gpsd prints type 24 only once both parts are there
    assert [one for one in single if not any(same_report(one, other) for other in theirs)] == []


@pytest.mark.parametrize("path", BOATS, ids=lambda path: path.stem)
def test_boat_quantities(path: Path) -> None:
    for quantity, expected, told in boat_score(path):
        assert told == expected, quantity


@pytest.mark.parametrize("path", [*AIS, *BOATS], ids=lambda path: path.stem)
def test_it_does_not_matter_how_the_bytes_arrive(path: Path) -> None:
    assert heard(path, 13) == heard(path, 4096)
