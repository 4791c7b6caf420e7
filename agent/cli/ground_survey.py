"""``ringpost ground``: how well do these surveyed points fit a fixed camera's picture?"""

import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from agent.positioning.ground_plane import ControlPoint, GroundPlane
from agent.positioning.survey_points import POOR_PX, read_control_points
from agent.runtime.atomic_files import write_picture
from agent.runtime.error_text import describe_error
from firmware_bridge.wgs84 import metres_per_degree
from models.detection import Frame

GRID_M = (1, 2, 5, 10, 20, 50, 100, 200, 500)
LINES = 12
"""About so many lines of the grid each way."""
POINT, OFF, LINE = (0, 200, 255), (0, 0, 255), (255, 160, 60)
"""Blue, green, red."""


def survey_command(picture: Path, points: Path, annotate: Path | None, as_json: bool) -> int:
    """Prints each point's residual, and the error there. 1 where the fit is poor or impossible."""
    import cv2
    import numpy as np

    try:
        frame = cv2.imdecode(np.frombuffer(picture.read_bytes() or b"-", np.uint8), cv2.IMREAD_COLOR)
        if frame is None:
            raise ValueError(f"{picture}: no picture that OpenCV can read")
        marks = read_control_points(points)
        rows, columns = frame.shape[:2]
        outside = [mark for mark in marks if not (0 <= mark.x <= columns and 0 <= mark.y <= rows)]
        if outside:
            where = f"{outside[0].x:g}, {outside[0].y:g}"
            raise ValueError(f"{points}: {where} lies outside the picture ({columns}x{rows})")
        ground = GroundPlane(marks)
        if annotate is not None:
            _draw(np.asarray(frame, np.uint8), ground, marks, annotate)
    except (OSError, ValueError) as error:
        click.echo(f"ground: {describe_error(error)}", err=True)
        return 1
    _say(ground, marks, as_json)
    if len(marks) == 4:
        click.echo("ground: four points always fit; add a fifth to detect a mistake", err=True)
    worst = max(ground.residuals_px)
    if worst > POOR_PX:
        number = ground.residuals_px.index(worst) + 1
        click.echo(
            f"ground: a poor fit: look at point {number} first ({marks[number - 1].x:g}, "
            f"{marks[number - 1].y:g}): is it the right place, on the ground, and lat and lon not swapped?",
            err=True,
        )
        return 1
    if not as_json:
        click.echo(
            f"for the camera's configuration:  ground: {{picture: [{columns}, {rows}], points: {points}}}"
        )
    return 0


def _say(ground: GroundPlane, marks: Sequence[ControlPoint], as_json: bool) -> None:
    for number, (mark, residual) in enumerate(zip(marks, ground.residuals_px, strict=True), 1):
        place = ground.locate(mark.x, mark.y)
        error_m = round(place.error_m, 2) if place else None
        if as_json:
            fields = {"point": number, "x": mark.x, "y": mark.y, "residual_px": round(residual, 1)}
            click.echo(json.dumps(fields | ({"error_m": error_m} if place else {})))
        else:
            click.echo(
                f"{number:3}  {mark.x:6.0f} {mark.y:6.0f}  residual {residual:5.1f} px  error {error_m} m"
            )


def _draw(frame: Frame, ground: GroundPlane, marks: Sequence[ControlPoint], path: Path) -> None:
    """Writes the picture with a grid in metres, each point, and where the fit has it; people covered."""
    import cv2

    import models
    from agent.privacy.redaction import REDACTION_MIN_SCORE, find_people, redact

    drawn: Any = redact(frame, find_people(frame, models.find("default").at(REDACTION_MIN_SCORE).load()))
    thick = max(1, round(frame.shape[0] / 540))
    step, lines = _grid(ground, marks)
    for line in lines:
        for (x, y), (to_x, to_y) in pairwise(line):
            cv2.line(drawn, (round(x), round(y)), (round(to_x), round(to_y)), LINE, thick, cv2.LINE_AA)
    size = 0.5 * thick

    def write(text: str, x: float, y: float, colour: tuple[int, int, int]) -> None:
        for weight, ink in ((4 * thick, (0, 0, 0)), (thick, colour)):
            at = (round(x) + 6 * thick, round(y) - 6 * thick)
            cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, weight, cv2.LINE_AA)

    for number, (mark, residual) in enumerate(zip(marks, ground.residuals_px, strict=True), 1):
        there = ground.pixel(mark.lat, mark.lon)
        cv2.circle(drawn, (round(mark.x), round(mark.y)), 5 * thick, POINT, thick, cv2.LINE_AA)
        if there is not None:
            ends = (round(mark.x), round(mark.y)), (round(there[0]), round(there[1]))
            cv2.arrowedLine(drawn, *ends, OFF, thick, cv2.LINE_AA, tipLength=0.2)
        write(f"{number}: {residual:.1f} px", mark.x, mark.y, POINT)
    write(
        f"grid of {step} m, east and north; red: where the fit has the point",
        4,
        drawn.shape[0],
        LINE,
    )
    write_picture(path, drawn)


def _grid(ground: GroundPlane, marks: Sequence[ControlPoint]) -> tuple[int, list[list[tuple[float, float]]]]:
    """Its spacing in metres, and its lines as pixels: around the points and a little further."""
    lats, lons = [mark.lat for mark in marks], [mark.lon for mark in marks]
    east_m, north_m = metres_per_degree(lats[0])
    wide_m, tall_m = (max(lons) - min(lons)) * east_m, (max(lats) - min(lats)) * north_m
    step = next((one for one in GRID_M if max(wide_m, tall_m) / one <= LINES), GRID_M[-1])
    count_east, count_north = math.ceil(wide_m / step) + 2, math.ceil(tall_m / step) + 2

    def pixels(places: Iterator[tuple[float, float]]) -> Iterator[tuple[float, float]]:
        for east, north in places:
            lat, lon = min(lats) + (north - 1) * step / north_m, min(lons) + (east - 1) * step / east_m
            there = ground.pixel(lat, lon)
            if there is not None and max(map(abs, there)) < 20_000:
                yield there

    fine = 8
    lines = [
        list(pixels((east, part / fine) for part in range(count_north * fine + 1)))
        for east in range(count_east + 1)
    ]
    lines += [
        list(pixels((part / fine, north) for part in range(count_east * fine + 1)))
        for north in range(count_north + 1)
    ]
    return step, lines
