"""Draws the zones, lines and rules of a camera's configuration into a picture of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.loader import read
from agent.config.model import Config
from agent.domain.zones import Corner
from agent.runtime.atomic_files import write_beside
from models.detection import Frame
from models.picture import decode_picture

ZONE, LINE, BLACK = (233, 180, 86), (167, 121, 204), (0, 0, 0)
"""Blue, green, red."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A zone or line with the rules about it."""

    name: str
    corners: tuple[Corner, ...]
    closed: bool
    rules: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its name and the rules, such as ``gate: at-gate (zone_dwell)``."""
        return self.name + (f": {', '.join(self.rules)}" if self.rules else "")


def read_camera(file: Path, camera: str | None) -> tuple[Drawn, ...]:
    """Zones and lines of a camera; ``camera`` None: of the only one. BadConfig, OSError; ValueError where it
    is unknown or there are several."""
    config = read(file)
    cameras = config.cameras()
    name = camera if camera is not None else next(iter(cameras), "")
    if name not in cameras or (camera is None and len(cameras) > 1):
        what = f"no camera {camera!r}" if camera is not None else "which camera?"
        raise ValueError(f"{file}: {what}; cameras: {', '.join(cameras) or 'none'}")
    return drawn_of(config, name)


def drawn_of(config: Config, camera: str) -> tuple[Drawn, ...]:
    """Zones and lines of a camera, with their rules."""
    rules: dict[str, list[str]] = {}
    lines: list[Drawn] = []
    for name, rule in config.rules.items():
        reference = rule.camera_reference()
        if reference is None or reference.camera != camera:
            continue
        for zone in reference.zones:
            rules.setdefault(zone.name, []).append(f"{name} ({rule.kind})")
        if (line := rule.picture_line) is not None:
            lines.append(Drawn(f"{name} ({rule.kind})", tuple(line), closed=False, rules=()))
    zones = [
        Drawn(name, tuple(corners), closed=True, rules=tuple(rules.get(name, ())))
        for name, corners in config.cameras()[camera].zones.items()
    ]
    return (*zones, *lines)


def draw_zones(picture: Frame, shapes: Sequence[Drawn]) -> Frame:
    """A copy of ``picture`` with the outlines and names of ``shapes``."""
    import cv2
    import numpy as np

    drawn: Any = picture.copy()
    rows, columns = drawn.shape[:2]
    thick = max(1, round(rows / 360))
    size = 0.45 * max(1.0, rows / 540)
    for shape in shapes:
        points = np.rint([[x * columns, y * rows] for x, y in shape.corners]).astype(np.int32)
        colour = ZONE if shape.closed else LINE
        for weight, ink in ((thick + 2, BLACK), (thick, colour)):
            cv2.polylines(drawn, [points], shape.closed, ink, weight, cv2.LINE_AA)
        if not shape.closed:
            start, end = points[0].tolist(), points[-1].tolist()
            cv2.arrowedLine(drawn, start, end, colour, thick, cv2.LINE_AA, tipLength=0.04)
        left, top = min(points.tolist(), key=lambda point: point[1] + 0.3 * point[0])
        _write(drawn, _plain(shape.label), left + 4 * thick, top + round(34 * size), size, colour, thick)
    return np.asarray(drawn, np.uint8)


def _plain(text: str) -> str:
    """OpenCV's fonts have ASCII only."""
    return text.encode("ascii", "replace").decode()


def _write(
    drawn: Any, text: str, left: int, top: int, size: float, colour: tuple[int, int, int], thick: int
) -> None:
    import cv2

    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    at = (max(2, min(left, drawn.shape[1] - wide - 2)), max(round(24 * size), min(top, drawn.shape[0] - 4)))
    for weight, ink in ((thick + 3, BLACK), (thick, colour)):
        cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, weight, cv2.LINE_AA)


def save_with_zones(jpeg: bytes, shapes: Sequence[Drawn], path: Path) -> Path:
    """Saves a picture that came from a device, redacted there, with ``shapes`` drawn; the path that it has.

    OSError; ValueError where it is no picture.
    """
    import cv2

    try:
        frame = decode_picture(jpeg)
    except ValueError as error:
        raise ValueError("the device sent no picture that OpenCV can decode") from error
    good, data = cv2.imencode(".jpg", draw_zones(frame, shapes))
    if not good:
        raise ValueError("the picture can't be encoded")
    return write_beside(path, data.tobytes())
