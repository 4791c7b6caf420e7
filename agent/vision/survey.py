"""``ringpost ground``: how well do these surveyed points fit a fixed camera's picture?"""

import csv
import json
import math
from pathlib import Path

import click

from agent.vision.ground import Ground, Mark

COLUMNS = ("x", "y", "lat", "lon")
POOR_PX = 10.0


def read_marks(path: Path) -> list[Mark]:
    """Marks from a CSV file with the columns x,y (pixels) and lat,lon. ValueError names file and line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}:1: the columns {','.join(COLUMNS)} are wanted")
        marks = []
        for row in rows:
            try:
                x, y, lat, lon = (float(row[name]) for name in COLUMNS)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}:{rows.line_num}: four numbers {','.join(COLUMNS)}") from error
            if not (math.isfinite(x) and math.isfinite(y) and abs(lat) < 90 and abs(lon) <= 180):
                raise ValueError(f"{path}:{rows.line_num}: {x}, {y}, {lat}, {lon} is no pixel and place")
            marks.append(Mark(x, y, lat, lon))
    return marks


def survey_command(picture: Path, points: Path, as_json: bool) -> int:
    """Prints each point's residual, and the error there. 1 where the fit is poor or impossible."""
    import cv2
    import numpy as np

    try:
        frame = cv2.imdecode(np.frombuffer(picture.read_bytes() or b"-", np.uint8), cv2.IMREAD_COLOR)
        if frame is None:
            raise ValueError(f"{picture}: no picture that OpenCV can read")
        marks = read_marks(points)
        rows, columns = frame.shape[:2]
        outside = [mark for mark in marks if not (0 <= mark.x <= columns and 0 <= mark.y <= rows)]
        if outside:
            where = f"{outside[0].x:g}, {outside[0].y:g}"
            raise ValueError(f"{points}: {where} lies outside the picture ({columns}x{rows})")
        ground = Ground(marks)
    except (OSError, ValueError) as error:
        click.echo(f"ground: {error}", err=True)
        return 1
    for mark, residual in zip(marks, ground.residuals_px, strict=True):
        place = ground.locate(mark.x, mark.y)
        error_m = round(place.error_m, 2) if place else None
        if as_json:
            fields = {"x": mark.x, "y": mark.y, "residual_px": round(residual, 1)}
            click.echo(json.dumps(fields | ({"error_m": error_m} if place else {})))
        else:
            click.echo(f"{mark.x:7.0f} {mark.y:7.0f}  residual {residual:5.1f} px  error {error_m} m")
    if len(marks) == 4:
        click.echo("ground: four points always fit: add a fifth to see a mistake", err=True)
    if max(ground.residuals_px) > POOR_PX:
        worst = marks[ground.residuals_px.index(max(ground.residuals_px))]
        click.echo(f"ground: a poor fit: look at the point {worst.x:g}, {worst.y:g} first", err=True)
        return 1
    return 0
