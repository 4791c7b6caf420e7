"""What a detector finds in each frame of a scene, cached by scene and detector; and the runs over it."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.scenes import BUILD, FPS, VERSION
from bench.scenes.render import Renderer
from bench.scenes.script import Script, script
from bench.scenes.sprites import Picture

HERE = Path(__file__).parent
Row = list[Any]
"""A detection: label, score, box."""


class Process:
    """A helper of this folder, run with the code of a checkout."""

    def __init__(self, checkout: Path, helper: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        command = [sys.executable, "-P", str(HERE / helper), *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=checkout
        )

    def ask(self, *parts: bytes) -> Any:
        """Sends ``parts``; the JSON of the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for part in parts:
            self._process.stdin.write(part)
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise SystemExit(f"bench.scenes: {self._process.args} ended with {self._process.wait()}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Detector(Process):
    """The detector ``model`` of a checkout, at the lowest useful score."""

    def __init__(self, checkout: Path, model: str) -> None:
        super().__init__(checkout, "worker.py", model)

    def __call__(self, frame: Picture) -> list[Row]:
        found: list[Row] = self.ask(f"{frame.shape[0]} {frame.shape[1]}\n".encode(), frame.tobytes())
        return found


def live(scene: Script, detector: Detector, frames: range) -> list[list[Row]]:
    """The detections of ``frames``, each one rendered and examined anew."""
    renderer, shown = Renderer(scene), scene.content()
    return [detector(renderer.frame(shown[number])) for number in frames]


def cached_path(seed: int, name: str) -> Path:
    """The cache of a scene under the detector called ``name``."""
    return BUILD / f"{name}-v{VERSION}" / f"{seed}.json.gz"


def cached(seed: int, name: str) -> list[list[Row]] | None:
    """The detections by frame from the cache; None where they are not in it."""
    path = cached_path(seed, name)
    if not path.is_file():
        return None
    with gzip.open(path, "rt") as file:
        by_content: dict[str, list[Row]] = json.load(file)
    return [by_content[str(content)] for content in script(seed).content()]


def fill(seeds: Sequence[int], detectors: dict[str, Detector]) -> None:
    """Renders what is missing once, and examines it with each detector."""
    for seed in seeds:
        missing = {name: one for name, one in detectors.items() if not cached_path(seed, name).is_file()}
        if not missing:
            continue
        scene = script(seed)
        renderer = Renderer(scene)
        found: dict[str, dict[int, list[Row]]] = {name: {} for name in missing}
        for content in sorted(set(scene.content())):
            frame = renderer.frame(content)
            for name, detector in missing.items():
                found[name][content] = detector(frame)
        for name, rows in found.items():
            path = cached_path(seed, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with gzip.open(part, "wt") as file:
                json.dump(rows, file)
            part.rename(path)
        print(f"{scene.name}: {len(set(scene.content()))} frames", file=sys.stderr, flush=True)


def judged(judge: Process, configuration: str, frames: list[list[Row]], score: float) -> list[dict[str, Any]]:
    """The alerts of a checkout's rules over detections."""
    job = {"configuration": configuration, "frames": frames, "score": score, "fps": FPS}
    told: list[dict[str, Any]] = judge.ask(json.dumps(job).encode() + b"\n")
    return told
