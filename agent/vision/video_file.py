"""Frames of a video file in order, for the command line and benchmarks."""

from collections.abc import Iterator

from agent.vision.capture import open_file
from agent.vision.capture_properties import FPS, FRAME_COUNT
from models.detection import Frame


def frame_count(path: str) -> int:
    """The number of frames in a file's header; 0 where it is missing."""
    try:
        capture = open_file(path)
    except OSError:
        return 0
    count = int(capture.get(FRAME_COUNT))
    capture.release()
    return max(0, count)


def frames(path: str) -> Iterator[tuple[int, float, Frame]]:
    """All frames of a file in order: number, seconds from its start, frame. OSError: not a video."""
    capture = open_file(path)
    fps = capture.get(FPS) or 25.0
    try:
        number = 0
        while True:
            good, frame = capture.read()
            if not good:
                break
            yield number, number / fps, frame
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise OSError(f"{path}: it contains no frame")
