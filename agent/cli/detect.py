"""``ringpost detect``: runs a detector on pictures, directories of pictures, or video."""

import json
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import models
from agent.cli.detect_input import VIDEO_SUFFIXES, InputFile, InputFrame, decode_files, list_files
from agent.cli.detect_output import coco_results, draw, print_objects, read_coco
from agent.cli.zone_drawing import Drawn, read_camera
from agent.host.clock import monotonic_s
from agent.privacy.redaction import REDACTION_MIN_SCORE, detects_people, find_people, person_boxes
from agent.runtime.atomic_files import PICTURE_SUFFIXES, write_durably
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_USAGE
from agent.runtime.native_calls import call_within
from agent.runtime.sanitize import raw_stream
from agent.vision.detector import max_load_s
from models.card import Card, Input
from models.detection import Detect, Detection, Frame
from models.session import Loaded, providers_in
from models.tiles import inference_count, tiled

COCO_THRESHOLD = 0.01
"""The COCO metric needs detections of low confidence as well."""
PARALLEL = len(os.sched_getaffinity(0))
"""Number of pictures processed in parallel."""


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """The options of the command; ``score`` None: the threshold of the model card."""

    model: str = "default"
    score: float | None = None
    labels: Sequence[str] | None = None
    annotate: Path | None = None
    """A directory, or a .jpg or .png for the only picture."""
    config: Path | None = None
    camera: str | None = None
    """Of ``config``; its zones and rules are drawn."""
    coco: Path | None = None
    annotations: Path | None = None
    as_json: bool = False
    tiles: str = "1x1"
    overlap: float = 0.2
    providers: str = ""


@dataclass(frozen=True)
class _Job:
    """The loaded model, the files, and what to report of each."""

    loaded: Loaded
    input: Input
    detect: Detect
    files: list[InputFile]
    threshold: float
    labels: frozenset[str] | None
    coco: dict[str, Any] | None
    shapes: tuple[Drawn, ...] = ()

    def network(self, frame: Frame) -> dict[str, Any]:
        """The size at which the network examines ``frame`` as a whole, and what is around it."""
        width, height = self.loaded.input_size(frame.shape[1], frame.shape[0])
        return {"size": f"{width}x{height}", "resize": self.input.resize, "pad": self.input.pad}

    def selected(self, detections: Sequence[Detection]) -> list[Detection]:
        return [
            detection
            for detection in detections
            if detection.score >= self.threshold and (self.labels is None or detection.label in self.labels)
        ]


def detect_command(inputs: Sequence[str], options: DetectOptions) -> int:
    """Prints the objects of each picture. 0; 1 where a picture can't be decoded; 2 for wrong options."""
    if (options.coco is None) != (options.annotations is None):
        click.echo("detect: --coco OUT.json and --annotations IN.json go together", err=True)
        return EX_USAGE
    try:
        job = _prepare(inputs, options)
    except (OSError, ValueError) as error:
        click.echo(f"detect: {describe_error(error)}", err=True)
        return 1
    results: list[dict[str, Any]] = []
    drawn: dict[Path, Path] = {}
    sizes: set[str] = set()
    failed = count = 0
    began_s = monotonic_s()
    for frame, detections in _with_progress(_infer(decode_files(job.files), job.detect), job.files):
        if frame.frame is None:
            failed += 1
            click.echo(f"detect: {frame.file.path}: {frame.error}", err=True)
            continue
        count += 1
        network = job.network(frame.frame)
        sizes.add(network["size"])
        selected = job.selected(detections)
        if options.annotate:
            try:
                people = (*person_boxes(detections), *find_people(frame.frame, job.loaded))
                path = options.annotate
                if not is_picture_file(path):
                    path /= _output_path(frame, drawn)
                draw(frame.frame, selected, people, path, job.shapes)
            except (OSError, ValueError) as error:
                click.echo(f"detect: {describe_error(error)}", err=True)
                return 1
        if job.coco:
            results += coco_results(selected, frame.frame, frame.file.image_id, job.coco)
        else:
            print_objects(frame.name, selected, options.as_json, network)
    if options.coco:
        try:
            write_durably(options.coco, json.dumps(results).encode())
        except OSError as error:
            click.echo(f"detect: {options.coco}: {error_reason(error)}", err=True)
            return 1
        click.echo(
            f"{len(results)} detections in {len(job.files)} pictures written to {options.coco}", err=True
        )
    if count > 1:
        each_ms = (monotonic_s() - began_s) * 1000 / count
        inferences = inference_count(options.tiles)
        per_picture = f", {inferences} inferences each" if inferences > 1 else ""
        text = f"{count} pictures, {each_ms:.0f} ms each, {PARALLEL} in parallel{per_picture}"
        click.echo(f"detect: {text}, input {', '.join(sorted(sizes)[:4])}, pad {job.input.pad}", err=True)
    return 1 if failed else 0


def _prepare(inputs: Sequence[str], options: DetectOptions) -> _Job:
    """Loads the model and lists the files. OSError or ValueError where an option can't be met."""
    if options.config is not None and options.annotate is None:
        raise ValueError("--config: needs --annotate, which says where the pictures go")
    shapes = () if options.config is None else read_camera(options.config, options.camera)
    card = models.find(options.model)
    card = card.on(providers_in(options.providers) or card.providers)
    labels = _selected_labels(options.labels, card.labels)
    coco = read_coco(options.annotations) if options.annotations else None
    _check_writable(options.coco)
    files = list(list_files(inputs, coco))
    several = len(files) != 1 or files[0].path.suffix.lower() in VIDEO_SUFFIXES
    if options.annotate is not None and is_picture_file(options.annotate) and several:
        raise ValueError(f"--annotate: {options.annotate} is one picture; name a directory for several")
    threshold = _threshold(card, options)
    if options.annotate and not detects_people(card):
        raise ValueError(
            f"{card.name} detects no people, so it can't redact them: --annotate needs a model that does"
            " (people: [LABEL] in the card names the labels of people)"
        )
    # Redaction covers people below the threshold of the report, too.
    card = card.at(min(threshold, REDACTION_MIN_SCORE) if options.annotate else threshold)
    loaded = call_within(max_load_s(card.providers), card.load, f"loading {card.name}")
    if loaded.note:
        click.echo(f"detect: {loaded.note}", err=True)
    detect = tiled(loaded, options.tiles, options.overlap)
    return _Job(loaded, card.input, detect, files, threshold, labels, coco, shapes)


def is_picture_file(path: Path) -> bool:
    """Whether ``--annotate`` names a file for one picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()


def _threshold(card: Card, options: DetectOptions) -> float:
    if options.score is not None:
        return options.score
    return COCO_THRESHOLD if options.coco else card.score


def _infer(
    frames: Iterator[InputFrame], detect: Detect
) -> Iterator[tuple[InputFrame, tuple[Detection, ...]]]:
    """Each picture with its detections, in order; ``PARALLEL`` pictures run concurrently."""
    pending: deque[tuple[InputFrame, Future[tuple[Detection, ...]] | None]] = deque()
    with ThreadPoolExecutor(PARALLEL) as threads:
        for frame in frames:
            future = threads.submit(detect, frame.frame) if frame.frame is not None else None
            pending.append((frame, future))
            if len(pending) > PARALLEL:
                yield _result(*pending.popleft())
        while pending:
            yield _result(*pending.popleft())


def _result(
    frame: InputFrame, future: Future[tuple[Detection, ...]] | None
) -> tuple[InputFrame, tuple[Detection, ...]]:
    try:
        return frame, future.result() if future is not None else ()
    except ValueError as error:
        return InputFrame(frame.file, frame.name, None, str(error)), ()


def _check_writable(path: Path | None) -> None:
    """Checks the output path before the work starts. OSError or ValueError."""
    if path is None:
        return
    if path.exists() and not path.is_file():
        raise ValueError(f"--coco: {path} is not a file")
    if not os.access(path.parent, os.W_OK):
        raise OSError(f"--coco: directory {path.parent} not found or not writable")


def _selected_labels(labels: Sequence[str] | None, known: Sequence[str]) -> frozenset[str] | None:
    unknown = sorted(set(labels or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown labels: {', '.join(unknown)}; the model has: {', '.join(known)}")
    return frozenset(labels) if labels else None


def _with_progress(
    results: Iterator[tuple[InputFrame, tuple[Detection, ...]]], files: Sequence[InputFile]
) -> Iterator[tuple[InputFrame, tuple[Detection, ...]]]:
    """The same items, with a progress bar on a terminal."""
    videos = [str(file.path) for file in files if file.path.suffix.lower() in VIDEO_SUFFIXES]
    if not sys.stderr.isatty() or (len(files) < 3 and not videos):
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    from agent.vision.video_file import frame_count

    total = len(files) - len(videos) + sum(map(frame_count, videos))
    yield from track(results, "detecting", total=total, console=Console(file=raw_stream(sys.stderr)))


def _output_path(frame: InputFrame, drawn: dict[Path, Path]) -> Path:
    """Path of an annotated picture: that of its file below the input; with the frame number for video.

    ``drawn`` maps each path to its source, so that files that differ only in their suffix are both kept.
    """
    path = frame.file.path.relative_to(frame.file.root)
    number = frame.name.removeprefix(str(frame.file.path)).replace(":", "-")
    candidate = path.with_name(f"{path.stem}{number}.jpg")
    if drawn.setdefault(candidate, frame.file.path) != frame.file.path:
        return path.with_name(f"{path.name}{number}.jpg")
    return candidate
