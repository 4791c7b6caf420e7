"""Surveyed points of a camera's picture, from a CSV file."""

import csv
import math
from io import StringIO
from pathlib import Path

from agent.positioning.ground_plane import Mark
from agent.runtime.atomic_files import text_of
from firmware_bridge.regular_files import KIB, read_regular

MOST_BYTES = 256 * KIB
COLUMNS = ("x", "y", "lat", "lon")
POOR_PX = 10.0
"""A fit whose worst residual is larger is poor."""


def read_marks(path: Path) -> list[Mark]:
    """Marks from a CSV file with the columns x,y (pixels) and lat,lon. ValueError names file and line."""
    rows = csv.DictReader(StringIO(text_of(path, read_regular(path, MOST_BYTES)), newline=""))
    marks = []
    try:
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}:1: the columns {','.join(COLUMNS)} are wanted")
        for row in rows:
            try:
                x, y, lat, lon = (float(row[name]) for name in COLUMNS)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}:{rows.line_num}: four numbers {','.join(COLUMNS)}") from error
            if not (math.isfinite(x) and math.isfinite(y) and abs(lat) < 90 and abs(lon) <= 180):
                raise ValueError(f"{path}:{rows.line_num}: no pixel and place")
            marks.append(Mark(x, y, lat, lon))
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num + 1}: no CSV: {error}") from error
    return marks
