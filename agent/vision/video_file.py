"""Frames of a video file, in order."""

from collections.abc import Iterator

from agent.vision.capture import open_file
from agent.vision.capture_properties import FPS, FRAME_COUNT
from models.detection import Frame


def length(path: str) -> int:
    """How many frames a file says that it has; 0 where it does not say."""
    try:
        capture = open_file(path)
    except OSError:
        return 0
    count = int(capture.get(FRAME_COUNT))
    capture.release()
    return max(0, count)


def frames(path: str) -> Iterator[tuple[int, float, Frame]]:
    """All frames of a file in order: number, seconds from its start, frame. OSError where it is no video."""
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
        raise OSError(f"{path}: no frame in it")
