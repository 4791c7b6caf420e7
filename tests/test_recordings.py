"""Every GNSS recording: each expected fix, and none that the receiver did not declare valid."""

from pathlib import Path

import pytest

from tests.recordings import fixes, nmea_recordings, score

RECORDINGS = nmea_recordings()
needs_shared = pytest.mark.skipif(not RECORDINGS, reason="the recordings of ../shared are not here")


@pytest.mark.needs_shared
@needs_shared
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    result = score(path)
    assert (result.found, result.false) == (result.expected, 0)


@pytest.mark.needs_shared
@needs_shared
def test_it_does_not_matter_how_the_bytes_arrive() -> None:
    path = next(path for path in RECORDINGS if path.stem == "ublox-8")
    assert fixes(path, 1) == fixes(path, 7) == fixes(path, 100_000)
