"""``ringpost detect``: what does this model see in pictures, folders of pictures, or video?"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import models
from agent.vision.privacy import LEAST_SCORE, cover, knows_people, people_in
from models.detection import Detection, Frame

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".ts", ".mjpg"})
COCO_SCORE = 0.01
"""COCO counts also what is very unsure."""


def detect_command(
    inputs: Sequence[str],
    model: str,
    score: float | None,
    labels: Sequence[str] | None,
    annotate: Path | None,
    coco: Path | None,
    annotations: Path | None,
    as_json: bool,
) -> int:
    """Prints what is seen, picture by picture. 0; 1 where a picture could not be read; 2 for wrong use."""
    if (coco is None) != (annotations is None):
        click.echo("detect: --coco OUT.json and --annotations IN.json go together", err=True)
        return 2
    try:
        card = models.find(model)
        wanted = _wanted(labels, card.labels)
        truth = json.loads(annotations.read_text()) if annotations else None
        least = score if score is not None else COCO_SCORE if coco else card.score
        if annotate and not knows_people(card.labels):
            raise ValueError(f"{card.name} knows no people, so nobody can be covered: no --annotate with it")
        detect = card.at(min(least, LEAST_SCORE) if annotate else least).load()
        todo = list(_listed(inputs, truth))
    except (OSError, ValueError) as error:
        click.echo(f"detect: {error}", err=True)
        return 1
    results: list[dict[str, Any]] = []
    failed = 0
    for path, image_id in _progress(todo):
        try:
            for name, frame in _frames(path):
                everything = detect(frame)
                seen = [
                    one
                    for one in everything
                    if one.score >= least and (wanted is None or one.label in wanted)
                ]
                results += _coco(seen, frame, image_id, truth) if truth else []
                if annotate:
                    _draw(frame, seen, everything, annotate / f"{_plain(path, name)}.jpg")
                if not coco:
                    _say(name, seen, as_json)
        except (OSError, ValueError) as error:
            failed += 1
            click.echo(f"detect: {path}: {error}", err=True)
    if coco:
        coco.write_text(json.dumps(results))
        click.echo(f"{len(results)} detections in {len(todo)} pictures written to {coco}", err=True)
    return 1 if failed else 0


def _wanted(labels: Sequence[str] | None, known: Sequence[str]) -> frozenset[str] | None:
    unknown = sorted(set(labels or ()) - set(known))
    if unknown:
        raise ValueError(f"the model does not know {', '.join(unknown)}; it knows {', '.join(known)}")
    return frozenset(labels) if labels else None


def _listed(inputs: Sequence[str], truth: dict[str, Any] | None) -> Iterator[tuple[Path, int | None]]:
    """Each file to look at; of a folder its pictures and videos. With a COCO file, what that lists."""
    if truth is not None:
        folders = [Path(one) if Path(one).is_dir() else Path(one).parent for one in inputs]
        for image in truth["images"]:
            candidates = [
                folder / name
                for folder in folders
                for name in (image["file_name"], Path(image["file_name"]).name)
            ]
            yield next((path for path in candidates if path.is_file()), candidates[0]), image["id"]
        return
    for one in inputs:
        path = Path(one)
        if path.is_dir():
            found = sorted(part for part in path.rglob("*") if part.suffix.lower() in PICTURES | VIDEOS)
            if not found:
                raise FileNotFoundError(f"{path}: no pictures or videos in it")
            yield from ((part, None) for part in found)
        elif path.exists():
            yield path, None
        else:
            raise FileNotFoundError(f"{path} is not there")


def _frames(path: Path) -> Iterator[tuple[str, Frame]]:
    """A picture, or each frame of a video as ``name:number``."""
    if path.suffix.lower() in VIDEOS:
        from agent.vision.capture import frames

        for number, _, frame in frames(str(path)):
            yield f"{path}:{number:06d}", frame
        return
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("no picture that OpenCV can read")
    yield str(path), np.asarray(picture, np.uint8)


def _progress(todo: list[tuple[Path, int | None]]) -> Iterator[tuple[Path, int | None]]:
    if not sys.stderr.isatty() or len(todo) < 3:
        yield from todo
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(todo, "looking", console=Console(stderr=True))


def _say(name: str, seen: list[Detection], as_json: bool) -> None:
    if as_json:
        objects = [
            {"label": one.label, "score": round(one.score, 4), "box": [round(edge, 5) for edge in one.box]}
            for one in seen
        ]
        print(json.dumps({"input": name, "objects": objects}), flush=True)
        return
    print(f"{name}: {'nothing' if not seen else ''}")
    for one in seen:
        left, top, right, bottom = one.box  # fractions of the picture
        print(f"  {one.label:14} {one.score:.2f}  at {left:.3f} {top:.3f} {right:.3f} {bottom:.3f}")


def _coco(
    seen: list[Detection], frame: Frame, image_id: int | None, truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Results as COCO wants them: box as left, top, width, height in pixels; categories by their names."""
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


def _plain(path: Path, name: str) -> str:
    """A file name for a picture, or for each frame of a video."""
    return path.stem + name.removeprefix(str(path)).replace(":", "-")


def _draw(frame: Frame, seen: list[Detection], everything: Sequence[Detection], path: Path) -> None:
    """Writes the picture with the boxes of ``seen``; everybody is covered, whether asked for or not."""
    import cv2

    rows, columns = frame.shape[:2]
    drawn = cover(frame, people_in(everything))

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
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), drawn):
        raise OSError(f"{path}: could not be written")
