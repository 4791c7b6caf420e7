"""The output of ``ringpost detect``: text, JSON, COCO results, or annotated pictures."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli.zone_drawing import Drawn, draw_zones
from agent.privacy.redaction import redact
from agent.runtime.atomic_files import write_picture
from models.detection import Box, Detection, Frame


def print_objects(name: str, detections: list[Detection], as_json: bool, network: dict[str, Any]) -> None:
    """Prints the detections of one picture; with ``as_json`` the size of the network's input, too."""
    if as_json:
        objects = [
            {
                "label": detection.label,
                "score": round(detection.score, 4),
                "box": [round(edge, 5) for edge in detection.box],
            }
            for detection in detections
        ]
        click.echo(json.dumps({"input": name, "network": network, "objects": objects}))
        return
    click.echo(f"{name}: {'no objects' if not detections else ''}")
    for detection in detections:
        left, top, right, bottom = detection.box  # fractions of the picture
        click.echo(
            f"  {detection.label:14} {detection.score:.2f}  at {left:.3f} {top:.3f} {right:.3f} {bottom:.3f}"
        )


def read_coco(path: Path) -> dict[str, Any]:
    """File names and categories of a COCO file. ValueError where the file is invalid."""
    try:
        coco = json.loads(path.read_bytes())
        images = [{"file_name": str(image["file_name"]), "id": image["id"]} for image in coco["images"]]
        categories = [
            {"name": str(category["name"]), "id": category["id"]} for category in coco["categories"]
        ]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--annotations: {path} is not JSON") from error
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"--annotations: {path} is not a COCO file: no images (file_name, id) or categories (name, id)"
        ) from error
    return {"images": images, "categories": categories}


def coco_results(
    detections: list[Detection], frame: Frame, image_id: int | None, coco: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """COCO results: boxes as left, top, width, height in pixels; category ids by label."""
    numbers = {category["name"]: category["id"] for category in coco["categories"]}
    rows, columns = frame.shape[:2]
    for detection in detections:
        if detection.label in numbers:
            left, top, right, bottom = detection.box
            box = [left * columns, top * rows, (right - left) * columns, (bottom - top) * rows]
            yield {
                "image_id": image_id,
                "category_id": numbers[detection.label],
                "bbox": [round(edge, 2) for edge in box],
                "score": round(detection.score, 5),
            }


def draw(
    frame: Frame,
    detections: list[Detection],
    people: Sequence[Box],
    path: Path,
    shapes: Sequence[Drawn] = (),
) -> None:
    """Writes the picture with the boxes of ``detections`` and ``shapes``; ``people`` are always redacted."""
    import cv2

    rows, columns = frame.shape[:2]
    drawn = draw_zones(redact(frame, people), shapes)

    def corners(detection: Detection) -> tuple[tuple[int, int], tuple[int, int]]:
        left, top, right, bottom = detection.box
        return (int(left * columns), int(top * rows)), (int(right * columns), int(bottom * rows))

    for detection in detections:
        first, second = corners(detection)
        cv2.rectangle(drawn, first, second, (0, 200, 255), 2)
        text = f"{detection.label} {detection.score:.2f}"
        cv2.putText(
            drawn,
            text,
            (first[0] + 3, max(12, first[1] + 14)),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.45,
            (0, 200, 255),
            1,
        )
    write_picture(path, drawn)
