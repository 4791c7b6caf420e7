"""``ringpost ground``: fits surveyed points to the picture of a fixed camera."""

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
from models.picture import decode_picture

GRID_M = (1, 2, 5, 10, 20, 50, 100, 200, 500)
LINES = 12
"""Target number of grid lines in each direction."""
POINT, OFF, LINE = (0, 200, 255), (0, 0, 255), (255, 160, 60)
"""Blue, green, red."""


def survey_command(picture: Path, points: Path, annotate: Path | None, as_json: bool) -> int:
    """Prints residual and error of each point. 1 where the fit is poor or impossible."""
    import numpy as np

    try:
        try:
            frame = decode_picture(picture.read_bytes())
        except ValueError as error:
            raise ValueError(f"{picture}: {error}") from error
        control_points = read_control_points(points)
        rows, columns = frame.shape[:2]
        outside = [
            point for point in control_points if not (0 <= point.x <= columns and 0 <= point.y <= rows)
        ]
        if outside:
            where = f"{outside[0].x:g}, {outside[0].y:g}"
            raise ValueError(f"{points}: {where} is outside the picture ({columns}x{rows})")
        ground = GroundPlane(control_points)
        if annotate is not None:
            _draw(np.asarray(frame, np.uint8), ground, control_points, annotate)
    except (OSError, ValueError) as error:
        click.echo(f"ground: {describe_error(error)}", err=True)
        return 1
    _print_residuals(ground, control_points, as_json)
    if len(control_points) == 4:
        click.echo("ground: four points always fit; add a fifth to detect a mistake", err=True)
    worst = max(ground.residuals_px)
    if worst > POOR_PX:
        number = ground.residuals_px.index(worst) + 1
        click.echo(
            f"ground: poor fit: check point {number} first ({control_points[number - 1].x:g}, "
            f"{control_points[number - 1].y:g}): right place, on the ground, lat and lon not swapped?",
            err=True,
        )
        return 1
    if not as_json:
        click.echo(
            f"for the camera configuration:  ground: {{picture: [{columns}, {rows}], points: {points}}}"
        )
    return 0


def _print_residuals(ground: GroundPlane, control_points: Sequence[ControlPoint], as_json: bool) -> None:
    for number, (point, residual) in enumerate(zip(control_points, ground.residuals_px, strict=True), 1):
        place = ground.locate(point.x, point.y)
        error_m = round(place.error_m, 2) if place else None
        if as_json:
            fields = {"point": number, "x": point.x, "y": point.y, "residual_px": round(residual, 1)}
            click.echo(json.dumps(fields | ({"error_m": error_m} if place else {})))
        else:
            click.echo(
                f"{number:3}  {point.x:6.0f} {point.y:6.0f}  residual {residual:5.1f} px  error {error_m} m"
            )


def _draw(frame: Frame, ground: GroundPlane, control_points: Sequence[ControlPoint], path: Path) -> None:
    """Writes the picture with a grid in metres, each point and its fitted position; people are redacted."""
    import cv2

    import models
    from agent.privacy.redaction import REDACTION_MIN_SCORE, find_people, redact

    drawn: Any = redact(frame, find_people(frame, models.find("default").at(REDACTION_MIN_SCORE).load()))
    thick = max(1, round(frame.shape[0] / 540))
    step, lines = ground_grid(ground, control_points)
    for line in lines:
        for (x, y), (to_x, to_y) in pairwise(line):
            cv2.line(drawn, (round(x), round(y)), (round(to_x), round(to_y)), LINE, thick, cv2.LINE_AA)
    size = 0.5 * thick

    def write(text: str, x: float, y: float, colour: tuple[int, int, int]) -> None:
        for weight, ink in ((4 * thick, (0, 0, 0)), (thick, colour)):
            at = (round(x) + 6 * thick, round(y) - 6 * thick)
            cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, weight, cv2.LINE_AA)

    for number, (point, residual) in enumerate(zip(control_points, ground.residuals_px, strict=True), 1):
        fitted = ground.pixel(point.lat, point.lon)
        cv2.circle(drawn, (round(point.x), round(point.y)), 5 * thick, POINT, thick, cv2.LINE_AA)
        if fitted is not None:
            ends = (round(point.x), round(point.y)), (round(fitted[0]), round(fitted[1]))
            cv2.arrowedLine(drawn, *ends, OFF, thick, cv2.LINE_AA, tipLength=0.2)
        write(f"{number}: {residual:.1f} px", point.x, point.y, POINT)
    write(
        f"grid of {step} m, east and north; red: fitted position",
        4,
        drawn.shape[0],
        LINE,
    )
    write_picture(path, drawn)


def ground_grid(
    ground: GroundPlane, control_points: Sequence[ControlPoint]
) -> tuple[int, list[list[tuple[float, float]]]]:
    """Grid spacing in metres, and grid lines in pixels; the grid extends a little beyond the points."""
    lats, lons = [point.lat for point in control_points], [point.lon for point in control_points]
    east_m, north_m = metres_per_degree(lats[0])
    wide_m, tall_m = (max(lons) - min(lons)) * east_m, (max(lats) - min(lats)) * north_m
    step = next((spacing for spacing in GRID_M if max(wide_m, tall_m) / spacing <= LINES), GRID_M[-1])
    count_east, count_north = math.ceil(wide_m / step) + 2, math.ceil(tall_m / step) + 2

    def pixels(places: Iterator[tuple[float, float]]) -> Iterator[tuple[float, float]]:
        for east, north in places:
            lat, lon = min(lats) + (north - 1) * step / north_m, min(lons) + (east - 1) * step / east_m
            fitted = ground.pixel(lat, lon)
            if fitted is not None and max(map(abs, fitted)) < 20_000:
                yield fitted

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
