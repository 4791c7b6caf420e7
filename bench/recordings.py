"""How completely all real recordings are decoded: ``python -m bench.recordings [FOLDER] [KIND…]``.

FOLDER has ``nmea/``, ``ubx/``, ``boat/``, … as in the data set. Each kind is one function here; the exit code
is 1 if a row is not ``fine``.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import recordings
from tests.boat_recordings import ais_recordings, ais_score, boat_recordings, boat_score
from tests.mavlink_recordings import mavlink_recordings, mavlink_score


@dataclass(frozen=True)
class Row:
    """Of one recording: values ``expected``, ``found`` of them, and ``wrong`` ones that were not expected."""

    recording: str
    expected: int
    found: int
    wrong: int = 0
    note: str = ""
    least: float = 1.0
    """The share of the expected values that must be found."""

    @property
    def fine(self) -> bool:
        return self.found >= self.least * self.expected and not self.wrong


def gnss(folder: Path) -> Iterator[Row]:
    """Fixes: each that gpsd reports, none that the receiver did not declare valid, and none twice."""
    for path in recordings.gnss_recordings(folder):
        told = recordings.score(path)
        twice = f", {told.twice} twice" if told.twice else ""
        yield Row(
            told.name, told.expected, told.found, told.false + told.twice, f"{told.reported} told{twice}"
        )


def ais(folder: Path) -> Iterator[Row]:
    """AIS position reports that gpsd and pyais agree on, and those reported beyond them."""
    for path in ais_recordings(folder):
        told = ais_score(path)
        yield Row(told.name, told.expected, told.found, told.false, f"{told.reported} told")


def boat(folder: Path) -> Iterator[Row]:
    """Values of each quantity, where their number, first, last, least, most and mean agree."""
    for path in boat_recordings(folder):
        for quantity, expected, found in boat_score(path):
            yield Row(path.stem[:24], expected, found, max(0, found - expected), quantity)


def mavlink(folder: Path) -> Iterator[Row]:
    """Messages by type and source, vehicles, positions, texts and batteries, as pymavlink read them."""
    for path in mavlink_recordings(folder):
        for told in mavlink_score(path):
            yield Row(
                path.stem[:20] + ", " + told.what, told.expected, told.found, told.wrong, least=told.least
            )


# Add yours: a function like `gnss`, and its line here. Its counting belongs into tests/, for pytest to use.
KINDS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "gnss": gnss,
    "ais": ais,
    "boat": boat,
    "mavlink": mavlink,
}


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]) if arguments and arguments[0] not in KINDS else recordings.SHARED
    wanted = [one for one in arguments if one in KINDS] or list(KINDS)
    bad = 0
    for kind in wanted:
        rows = list(KINDS[kind](folder))
        print(f"{kind:34} expected    found  wrong")
        for row in rows:
            mark = "" if row.fine else "  <--"
            print(f"  {row.recording:32} {row.expected:8} {row.found:8} {row.wrong:6}  {row.note}{mark}")
        expected, found, wrong = (
            sum(getattr(row, name) for row in rows) for name in ("expected", "found", "wrong")
        )
        recall = f"recall {found / expected:.4f}" if expected else "nothing expected"
        print(f"{kind}: {len(rows)} recordings, {recall} ({found} of {expected}), {wrong} wrong\n")
        bad += sum(not row.fine for row in rows)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
