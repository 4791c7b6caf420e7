"""The table of recordings: fixes expected, found, false. ``python -m bench.recordings``."""

from tests.recordings import nmea_recordings, score

if __name__ == "__main__":
    rows = [score(path) for path in nmea_recordings()]
    for row in rows:
        counts = f"expected {row.expected:4}  found {row.found:4}  reported {row.reported:4}"
        print(f"{row.name:32} {counts}  false {row.false}")
    expected, found, false = (
        sum(getattr(row, name) for row in rows) for name in ("expected", "found", "false")
    )
    print(f"{len(rows)} recordings: recall {found}/{expected}, {false} false")
