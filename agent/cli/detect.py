"""``ringpost detect``: what does this model see in pictures, folders of pictures, or video?"""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

import models
from agent.cli.detect_input import VIDEOS, File, Shown, _listed, _shown
from agent.cli.detect_output import draw, read_truth, results, say
from agent.privacy.redaction import REDACTION_MIN_SCORE, detects_people, find_people, person_boxes
from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.native_calls import call_within
from agent.runtime.sanitize import terminal
from agent.vision.detector import load_s
from models.detection import Detect, Detection
from models.session import providers_in
from models.tiles import looks, tiled

COCO_SCORE = 0.01
"""COCO counts also what is very unsure."""
BESIDE = len(os.sched_getaffinity(0))
"""So many pictures are looked at side by side."""


def detect_command(
    inputs: Sequence[str],
    model: str,
    score: float | None,
    labels: Sequence[str] | None,
    annotate: Path | None,
    coco: Path | None,
    annotations: Path | None,
    as_json: bool,
    tiles: str = "1x1",
    overlap: float = 0.2,
    providers: str = "",
) -> int:
    """Prints what is seen, picture by picture. 0; 1 where a picture could not be read; 2 for wrong use."""
    if (coco is None) != (annotations is None):
        click.echo("detect: --coco OUT.json and --annotations IN.json go together", err=True)
        return 2
    try:
        card = models.find(model)
        card = card.on(providers_in(providers) or card.providers)
        wanted = _wanted(labels, card.labels)
        truth = read_truth(annotations) if annotations else None
        _may_write(coco)
        least = score if score is not None else COCO_SCORE if coco else card.score
        if annotate and not detects_people(card):
            raise ValueError(
                f"{card.name} knows no people, so nobody can be covered: no --annotate with it"
                " (people: [LABEL] in its card says which of its labels mean people)"
            )
        card = card.at(min(least, REDACTION_MIN_SCORE) if annotate else least)
        loaded = call_within(load_s(card.providers), card.load, f"loading {card.name}")
        if loaded.note:
            click.echo(f"detect: {loaded.note}", err=True)
        detect = tiled(loaded, tiles, overlap)
        todo = list(_listed(inputs, truth))
    except (OSError, ValueError) as error:
        click.echo(f"detect: {describe_error(error)}", err=True)
        return 1
    found: list[dict[str, Any]] = []
    drawn: dict[Path, Path] = {}
    failed = count = 0
    began_s = time.monotonic()
    for shown, everything in _progress(_look(_shown(todo), detect), todo):
        if shown.frame is None:
            failed += 1
            click.echo(f"detect: {shown.file.path}: {shown.error}", err=True)
            continue
        count += 1
        seen = [one for one in everything if one.score >= least and (wanted is None or one.label in wanted)]
        found += results(seen, shown.frame, shown.file.image_id, truth) if truth else []
        try:
            if annotate:
                people = (*person_boxes(everything), *find_people(shown.frame, loaded))
                draw(shown.frame, seen, people, annotate / _beside(shown, drawn))
        except (OSError, ValueError) as error:
            click.echo(f"detect: {describe_error(error)}", err=True)
            return 1
        if not coco:
            say(shown.name, seen, as_json)
    if coco:
        try:
            write_durably(coco, json.dumps(found).encode())
        except OSError as error:
            click.echo(f"detect: {coco}: {error_reason(error)}", err=True)
            return 1
        click.echo(f"{len(found)} detections in {len(todo)} pictures written to {coco}", err=True)
    if count > 1:
        each_ms = (time.monotonic() - began_s) * 1000 / count
        often = f", {looks(tiles)} looks for each" if looks(tiles) > 1 else ""
        click.echo(f"detect: {count} pictures, {each_ms:.0f} ms each, {BESIDE} side by side{often}", err=True)
    return 1 if failed else 0


def _look(shown: Iterator[Shown], detect: Detect) -> Iterator[tuple[Shown, tuple[Detection, ...]]]:
    """Each picture with what is in it, in order; a few are looked at side by side."""
    ahead: deque[tuple[Shown, Future[tuple[Detection, ...]] | None]] = deque()
    with ThreadPoolExecutor(BESIDE) as threads:
        for one in shown:
            ahead.append((one, threads.submit(detect, one.frame) if one.frame is not None else None))
            if len(ahead) > BESIDE:
                yield _result(*ahead.popleft())
        while ahead:
            yield _result(*ahead.popleft())


def _result(
    shown: Shown, looking: Future[tuple[Detection, ...]] | None
) -> tuple[Shown, tuple[Detection, ...]]:
    try:
        return shown, looking.result() if looking is not None else ()
    except ValueError as error:
        return Shown(shown.file, shown.name, None, str(error)), ()


def _may_write(path: Path | None) -> None:
    """Said before the work, not after it: a file can't be written there. OSError or ValueError."""
    if path is None:
        return
    if path.exists() and not path.is_file():
        raise ValueError(f"--coco: {path} is no file")
    if not os.access(path.parent, os.W_OK):
        raise OSError(f"--coco: {path.parent} is not there, or gives no right to write")


def _wanted(labels: Sequence[str] | None, known: Sequence[str]) -> frozenset[str] | None:
    unknown = sorted(set(labels or ()) - set(known))
    if unknown:
        raise ValueError(f"the model does not know {', '.join(unknown)}; it knows {', '.join(known)}")
    return frozenset(labels) if labels else None


def _progress(
    looked: Iterator[tuple[Shown, tuple[Detection, ...]]], todo: Sequence[File]
) -> Iterator[tuple[Shown, tuple[Detection, ...]]]:
    """The same, with a bar on a terminal that counts pictures and frames."""
    videos = sum(file.path.suffix.lower() in VIDEOS for file in todo)
    if not sys.stderr.isatty() or (len(todo) < 3 and not videos):
        yield from looked
        return
    from rich.console import Console
    from rich.progress import track

    from agent.vision.video_file import length

    total = (
        len(todo) - videos + sum(length(str(one.path)) for one in todo if one.path.suffix.lower() in VIDEOS)
    )
    yield from track(looked, "looking", total=total, console=Console(file=terminal(sys.stderr)))


def _beside(shown: Shown, drawn: dict[Path, Path]) -> Path:
    """Where a drawn picture goes: as its file lies below its input; for a video with the frame's number.

    ``drawn`` remembers whose each name is: of two files that differ in their ending, both are kept.
    """
    path = shown.file.path.relative_to(shown.file.root)
    number = shown.name.removeprefix(str(shown.file.path)).replace(":", "-")
    mine = path.with_name(f"{path.stem}{number}.jpg")
    if drawn.setdefault(mine, shown.file.path) != shown.file.path:
        return path.with_name(f"{path.name}{number}.jpg")
    return mine
