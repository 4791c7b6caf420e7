"""The real clips of ``../shared`` with events labelled by eye (to about a second): few, but not composed.

``boats_pan_synthetic`` is left out: its camera turns, so that zones have no place.
"""

import gzip
import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from bench.scenes import BUILD, FPS, VERSION, VISION
from bench.scenes.detections import Detector, Row
from bench.scenes.truth import Event, camera_configuration

WHOLE = "[[0, 0], [1, 0], [1, 1], [0, 1]]"


@dataclass(frozen=True)
class Clip:
    """A clip, its zones and rules as YAML, and its events."""

    name: str
    seconds: float
    zones: str
    rules: str
    events: tuple[Event, ...]

    def configuration(self) -> str:
        """The configuration under which it is judged."""
        return camera_configuration(self.zones, self.rules)


CLIPS = (
    Clip(
        "vtest",
        79.5,
        f"      all: {WHOLE}\n      lawn: [[0, 0.62], [0.3, 0.62], [0.62, 0.85], [0.66, 1], [0, 1]]",
        "  enter: {kind: zone_enter, camera: cam, zone: lawn}\n"
        "  dwell: {kind: zone_dwell, camera: cam, zone: lawn, dwell: 15s}\n"
        "  crowd: {kind: count, camera: cam, zone: all, more_than: 5, hold: 5s}",
        (
            Event("enter", "zone_enter", 51.5, 76, 51.5),
            Event("dwell", "zone_dwell", 66.5, 74, 51.5),
            Event("crowd", "count", 9, 38, 4),
            Event("crowd", "count", 55, 80, 47),
        ),
    ),
    Clip(
        "one-by-one-person-detection",
        139.4,
        "      floor: [[0.2, 0.55], [0.9, 0.55], [0.9, 1], [0.2, 1]]",
        "  enter: {kind: zone_enter, camera: cam, zone: floor}\n"
        "  dwell: {kind: zone_dwell, camera: cam, zone: floor, dwell: 10s}\n"
        "  line: {kind: line_cross, camera: cam, line: [[0.75, 0.4], [0.75, 1]], to: left}",
        (
            Event("enter", "zone_enter", 7, 136, 6),
            Event("dwell", "zone_dwell", 18, 136, 7),
            *(Event("line", "line_cross", at_s, at_s + 6, at_s - 2) for at_s in (20, 44, 69, 86, 119, 135.2)),
        ),
    ),
    Clip(
        "car-detection",
        30.2,
        f"      all: {WHOLE}",
        "  line: {kind: line_cross, camera: cam, line: [[0, 0.5], [1, 0.5]], labels: [car, truck, bus]}",
        tuple(Event("line", "line_cross", at_s, at_s + 6, at_s - 2) for at_s in (7.0, 15.7, 17.6, 26.1)),
    ),
    Clip(
        "boat_crossing_synthetic",
        12.0,
        "      fairway: [[0.3, 0.4], [0.7, 0.4], [0.7, 0.9], [0.3, 0.9]]",
        "  enter: {kind: zone_enter, camera: cam, zone: fairway, labels: [boat]}\n"
        "  line: {kind: line_cross, camera: cam, line: [[0.5, 0.4], [0.5, 0.9]], labels: [boat]}",
        (
            Event("enter", "zone_enter", 3.8, 11.6, 3.8),
            Event("line", "line_cross", 5.3, 11, 4),
            Event("line", "line_cross", 9.6, 16, 8),
        ),
    ),
)


def found_in(clip: Clip, detector: Detector | None, name: str) -> list[list[Row]] | None:
    """Its detections at `FPS`, from the cache or from ``detector``; None where there is neither."""
    path = BUILD / f"{name}-v{VERSION}" / f"{clip.name}.json.gz"
    if path.is_file():
        with gzip.open(path, "rt") as file:
            kept: list[list[Row]] = json.load(file)
            return kept
    if detector is None:
        return None
    video: Any = cv2.VideoCapture(str(VISION / "clips" / f"{clip.name}.mp4"))
    step = video.get(cv2.CAP_PROP_FPS) / FPS
    frames: list[list[Row]] = []
    number = 0
    while video.grab():
        if number >= round(len(frames) * step):
            frames.append(detector(np.asarray(video.retrieve()[1], np.uint8)))
        number += 1
    video.release()
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        json.dump(frames, file)
    return frames
