"""The plot of ``ringpost read``: the track in metres, and satellites and HDOP over time.

A PNG file, or text of braille dots for a terminal.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from agent.runtime.atomic_files import write_picture
from firmware_bridge.readings import Fix, Value
from firmware_bridge.wgs84 import metres_per_degree

XY: TypeAlias = tuple[float, float]
TERMINAL = "-"
MOST_FIXES = 100_000
"""A longer track is thinned: every second fix goes, and then the next ones by half as well."""
STEPS_M = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
WIDE, TALL, SKY, EDGE = 960, 720, 160, 40
"""Pixels of the PNG, of its strip for the sky, and of the margin."""
COLUMNS, ROWS = 72, 24
TRACK_INK, SEEN_INK, USED_INK, HDOP_INK, GRID_INK, TEXT_INK = (
    (178, 114, 0), (200, 200, 200), (115, 158, 0), (0, 94, 213), (230, 230, 230), (60, 60, 60),
)  # fmt: skip
"""Blue, green, red."""


@dataclass(slots=True)
class Plot:
    """Collects fixes; `save` draws them."""

    fixes: list[Fix] = field(default_factory=list)
    _every: int = 1
    _count: int = 0

    def add(self, value: Value) -> None:
        """Takes a value; only fixes are drawn."""
        if not isinstance(value, Fix):
            return
        self._count += 1
        if self._count % self._every == 0:
            self.fixes.append(value)
        if len(self.fixes) >= MOST_FIXES:
            del self.fixes[::2]
            self._every *= 2

    def track(self) -> list[XY]:
        """Metres east and north of the median of the positions. ValueError without a position."""
        places = [(fix.lat, fix.lon) for fix in self.fixes if fix.lat is not None and fix.lon is not None]
        if not places:
            raise ValueError("nothing to draw: no fix has a position")
        lat = statistics.median(place[0] for place in places)
        lon = statistics.median(place[1] for place in places)
        east_m, north_m = metres_per_degree(lat)
        return [((one[1] - lon) * east_m, (one[0] - lat) * north_m) for one in places]

    def save(self, target: str) -> str | None:
        """Writes the PNG at ``target``, or gives the text for a terminal where that is ``-``.

        OSError; ValueError where there is no position, or the file is no .png or .jpg.
        """
        track = self.track()
        if target == TERMINAL:
            return "\n".join(self._text(track))
        write_picture(Path(target), self._picture(track))
        return None

    def _text(self, track: Sequence[XY]) -> list[str]:
        _, reach = grid_step(track)
        lines = braille(track, reach, COLUMNS, ROWS)
        east = max(x for x, _ in track) - min(x for x, _ in track)
        north = max(y for _, y in track) - min(y for _, y in track)
        return [
            *lines,
            f"track: {len(track)} fixes over {east:.0f} x {north:.0f} m, north is up",
            *self._sky(),
        ]

    def _sky(self) -> list[str]:
        """One line for each: satellites used and seen, HDOP, as blocks over time."""
        rows = []
        for name, values in self.series().items():
            known = [one for one in values if one is not None]
            if known:
                rows.append(f"{name:16} {blocks(values, COLUMNS - 32)} {min(known):g} to {max(known):g}")
        return rows

    def series(self) -> dict[str, list[float | None]]:
        """By name: a value for each fix."""
        return {
            "satellites used": [_float(fix.satellites) for fix in self.fixes],
            "satellites seen": [_float(fix.satellites_seen) for fix in self.fixes],
            "HDOP": [_float(fix.hdop) for fix in self.fixes],
        }

    def _picture(self, track: Sequence[XY]) -> Any:
        import cv2
        import numpy as np

        picture: Any = np.full((TALL, WIDE, 3), 255, np.uint8)
        step, reach = grid_step(track)
        middle = (WIDE // 2, (TALL - SKY) // 2)
        scale = ((TALL - SKY) / 2 - EDGE) / reach

        def pixel(place: XY) -> tuple[int, int]:
            return round(middle[0] + place[0] * scale), round(middle[1] - place[1] * scale)

        for number in range(-int(reach * 2 // step), int(reach * 2 // step) + 1):
            across, down = pixel((number * step, number * step))
            cv2.line(picture, (across, 0), (across, TALL - SKY), GRID_INK, 1)
            cv2.line(picture, (0, down), (WIDE, down), GRID_INK, 1)
        cv2.rectangle(picture, (0, TALL - SKY), (WIDE, TALL), (255, 255, 255), -1)
        points = np.array([pixel(place) for place in track], np.int32)
        cv2.polylines(picture, [points], isClosed=False, color=TRACK_INK, thickness=2, lineType=cv2.LINE_AA)
        for point, ink in ((points[0], (0, 158, 115)), (points[-1], (0, 94, 213))):
            cv2.circle(picture, point.tolist(), 6, ink, -1, cv2.LINE_AA)
        _label(picture, f"grid of {step} m, north is up; {len(track)} fixes, the last one is red", 8, 20)
        self._draw_sky(picture)
        return picture

    def _draw_sky(self, picture: Any) -> None:
        import cv2
        import numpy as np

        inks = (USED_INK, SEEN_INK, HDOP_INK)
        for number, ((name, values), ink) in enumerate(zip(self.series().items(), inks, strict=True)):
            known = [one for one in values if one is not None]
            if not known:
                continue
            top, most = max(known), max(1, len(values) - 1)
            points = [
                (EDGE + index * (WIDE - 2 * EDGE) / most, TALL - 12 - one / (top or 1) * (SKY - 50))
                for index, one in enumerate(values)
                if one is not None
            ]
            drawn = np.rint(points).astype(np.int32)
            cv2.polylines(picture, [drawn], isClosed=False, color=ink, thickness=2, lineType=cv2.LINE_AA)
            text = f"{name}: {min(known):g} to {max(known):g}"
            cv2.circle(picture, (EDGE + 300 * number, TALL - SKY + 12), 5, ink, -1)
            _label(picture, text, EDGE + 300 * number + 12, TALL - SKY + 17)


def _label(picture: Any, text: str, left: int, top: int) -> None:
    import cv2

    cv2.putText(picture, text, (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT_INK, 1, cv2.LINE_AA)


def _float(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def grid_step(track: Sequence[XY]) -> tuple[int, float]:
    """The spacing of the grid, and the greatest distance from the middle in east or north, in metres."""
    reach = max(1.0, *(abs(part) for place in track for part in place))
    return next((step for step in STEPS_M if reach / step <= 5), STEPS_M[-1]), reach


def braille(track: Sequence[XY], reach: float, columns: int, rows: int) -> list[str]:
    """The track as lines of braille characters, each 2 x 4 dots; dots are as wide as they are high."""
    wide, tall = columns * 2, rows * 4
    scale = (min(wide, tall) - 1) / (2 * reach)
    cells = [[0] * columns for _ in range(rows)]
    weights = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    for east, north in _dense(track, 0.5 / scale):
        x, y = round(wide / 2 + east * scale), round((tall - 1) / 2 - north * scale)
        if 0 <= x < wide and 0 <= y < tall:
            cells[y // 4][x // 2] |= weights[y % 4][x % 2]
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]


def _dense(track: Sequence[XY], step: float) -> list[XY]:
    """The track with points in between, ``step`` metres apart at most."""
    dense = [track[0]]
    for (x, y), (to_x, to_y) in pairwise(track):
        parts = min(1000, max(1, math.ceil(math.hypot(to_x - x, to_y - y) / step)))
        dense += [
            (x + (to_x - x) * part / parts, y + (to_y - y) * part / parts) for part in range(1, parts + 1)
        ]
    return dense


def blocks(values: Sequence[float | None], columns: int) -> str:
    """The values over time as ``columns`` blocks of eight heights; a space where there is none."""
    known = [one for one in values if one is not None]
    top = max(known) or 1.0
    text = ""
    for column in range(columns):
        first = column * len(values) // columns
        part = [
            one
            for one in values[first : max(first + 1, (column + 1) * len(values) // columns)]
            if one is not None
        ]
        text += "▁▂▃▄▅▆▇█"[min(7, int(7 * max(0.0, statistics.fmean(part)) / top))] if part else " "
    return text
