"""The output of ``ringpost detect``: text, JSON, COCO results, or annotated pictures."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from agent.privacy.redaction import redact
from agent.runtime.atomic_files import write_picture
from models.detection import Box, Detection, Frame


def print_objects(name: str, seen: list[Detection], as_json: bool) -> None:
    """Prints the detections of one picture."""
    if as_json:
        objects = [
            {"label": one.label, "score": round(one.score, 4), "box": [round(edge, 5) for edge in one.box]}
            for one in seen
        ]
        click.echo(json.dumps({"input": name, "objects": objects}))
        return
    click.echo(f"{name}: {'no objects' if not seen else ''}")
    for one in seen:
        left, top, right, bottom = one.box  # fractions of the picture
        click.echo(f"  {one.label:14} {one.score:.2f}  at {left:.3f} {top:.3f} {right:.3f} {bottom:.3f}")


def read_coco(path: Path) -> dict[str, Any]:
    """File names and categories of a COCO file. ValueError where the file is invalid."""
    try:
        truth = json.loads(path.read_bytes())
        images = [{"file_name": str(one["file_name"]), "id": one["id"]} for one in truth["images"]]
        categories = [{"name": str(one["name"]), "id": one["id"]} for one in truth["categories"]]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--annotations: {path} is not JSON") from error
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"--annotations: {path} is not a COCO file: no images (file_name, id) or categories (name, id)"
        ) from error
    return {"images": images, "categories": categories}


def coco_results(
    seen: list[Detection], frame: Frame, image_id: int | None, truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """COCO results: boxes as left, top, width, height in pixels; category ids by label."""
    numbers = {category["name"]: category["id"] for category in truth["categories"]}
    rows, columns = frame.shape[:2]
    for one in seen:
        if one.label in numbers:
            left, top, right, bottom = one.box
            box = [left * columns, top * rows, (right - left) * columns, (bottom - top) * rows]
            yield {
                "image_id": image_id,
                "category_id": numbers[one.label],
                "bbox": [round(edge, 2) for edge in box],
                "score": round(one.score, 5),
            }


def draw(frame: Frame, seen: list[Detection], people: Sequence[Box], path: Path) -> None:
    """Writes the picture with the boxes of ``seen``; ``people`` are always redacted."""
    import cv2

    rows, columns = frame.shape[:2]
    drawn = redact(frame, people)

    def corners(one: Detection) -> tuple[tuple[int, int], tuple[int, int]]:
        left, top, right, bottom = one.box
        return (int(left * columns), int(top * rows)), (int(right * columns), int(bottom * rows))

    for one in seen:
        first, second = corners(one)
        cv2.rectangle(drawn, first, second, (0, 200, 255), 2)
        text = f"{one.label} {one.score:.2f}"
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
