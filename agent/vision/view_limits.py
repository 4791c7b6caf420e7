"""What the default detector can't see in a zone: people who are too small, vehicles from steeply above.

The limits are those of the default model, measured: docs/cameras.md, "What it detects".
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agent.positioning.apparent_size import ZoneView
from models.fit import input_size

LEAST_PERSON_PX = 32
"""Height of a person at the network's input below which the default model misses most."""
STEEPEST_VEHICLE_DEG = 45
"""Angle below the horizontal beyond which the default model misses most vehicles."""
VEHICLES = frozenset({"car", "motorcycle", "bus", "truck"})
ENLARGED = 2.0
"""Regions and tiles are enlarged by at most this factor: more shows no more."""
DEFAULT_AREA = 416 * 416
"""Pixels of the default model's input."""
USUAL_FRAME = (1280, 720)
"""Width and height where the configuration does not say them."""


@dataclass(frozen=True, slots=True)
class ViewLimit:
    """What the detector misses, and the remedy: a text with ``{names}`` for ``values``."""

    text: str
    values: Mapping[str, int]

    def __str__(self) -> str:
        return self.text.format(**self.values)


def view_limits(
    view: ZoneView,
    frame_size: tuple[int, int],
    labels: Collection[str],
    *,
    area: int = DEFAULT_AREA,
    closer: float | None = 1.0,
) -> Iterator[ViewLimit]:
    """The limits that a zone's view exceeds, for rules about ``labels``.

    ``frame_size``: width and height in pixels; ``area``: pixels of the network's input. ``closer``: how much
    larger parts of the frame are examined (tiles), or None for full resolution (regions).
    """
    if "person" in labels:
        yield from _too_small(view, _scale(frame_size, area, closer), closer)
    if VEHICLES & set(labels) and view.steepest_deg > STEEPEST_VEHICLE_DEG:
        yield ViewLimit(
            "vehicles are seen from up to {deg}° above, and the default model misses most beyond {most}°:"
            " mount the camera lower, or use a model trained on such views",
            {"deg": round(view.steepest_deg), "most": STEEPEST_VEHICLE_DEG},
        )


def _scale(frame_size: tuple[int, int], area: int, closer: float | None) -> float:
    """Pixels that the network sees for each pixel of the frame."""
    columns, rows = frame_size
    width, height = input_size(columns, rows, area)
    scale = min(width / columns, height / rows)
    return max(scale, ENLARGED) if closer is None else min(max(scale, ENLARGED), scale * closer)


def _too_small(view: ZoneView, scale: float, closer: float | None) -> Iterator[ViewLimit]:
    if math.isinf(view.farthest_m):
        yield ViewLimit(
            "the zone reaches the horizon, and the default model misses people less than {least} pixels high"
            " at its input: end the zone nearer",
            {"least": LEAST_PERSON_PX},
        )
        return
    height_px = round(view.far_px * scale)
    if height_px >= LEAST_PERSON_PX:
        return
    if closer is None:
        yield ViewLimit(
            "people at the far end are {px} pixels high even in full resolution, and the default model misses"
            " most below {least}: end the zone nearer, zoom in, or set the camera to a larger picture",
            {"px": height_px, "least": LEAST_PERSON_PX},
        )
    else:
        yield ViewLimit(
            "people at the far end are {px} pixels high at the detector's input, and the default model misses"
            " most below {least}: use regions or tiles of the detector, crop, or zoom in",
            {"px": height_px, "least": LEAST_PERSON_PX},
        )
