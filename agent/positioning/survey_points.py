"""Reads the surveyed points of a camera's picture from a CSV file."""

import csv
import math
from io import StringIO
from pathlib import Path

from agent.positioning.ground_plane import ControlPoint
from agent.runtime.atomic_files import decode_utf8
from firmware_bridge.regular_files import KIB, read_regular

MAX_BYTES = 256 * KIB
COLUMNS = ("x", "y", "lat", "lon")
POOR_PX = 10.0
"""A fit with a larger residual is poor."""


def read_control_points(path: Path) -> list[ControlPoint]:
    """Control points from a CSV file with columns x,y (pixels), lat,lon. ValueError names file and line."""
    rows = csv.DictReader(StringIO(decode_utf8(path, read_regular(path, MAX_BYTES)), newline=""))
    points = []
    try:
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}:1: the columns {','.join(COLUMNS)} are required")
        for row in rows:
            try:
                x, y, lat, lon = (float(row[name]) for name in COLUMNS)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}:{rows.line_num}: four numbers are required: {','.join(COLUMNS)}"
                ) from error
            if not (math.isfinite(x) and math.isfinite(y) and abs(lat) < 90 and abs(lon) <= 180):
                raise ValueError(f"{path}:{rows.line_num}: not a pixel and a position")
            points.append(ControlPoint(x, y, lat, lon))
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num + 1}: not valid CSV: {error}") from error
    return points
