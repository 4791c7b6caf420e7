"""Frames out of cameras, streams and files. Only file with VideoCapture.

A thread of its own drains each capture, so that a frame is never old when its turn comes; it is the one that
opens and closes it. A native call that hangs can hold up that thread, never the agent. OpenCV
opens one stream after the other, so `agent.vision.knock` asks each whether it sends, first.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.vision.frameclock import FrameClock
from agent.vision.hanging import leave
from models.detection import Frame

_FPS, _POS_MSEC = 5, 0  # cv2.CAP_PROP_FPS, cv2.CAP_PROP_POS_MSEC

NO_PICTURE = "it sends, but no picture came; does it send a key frame every 2 s?"


def redacted(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    return re.sub(r"\?.*", "?…", re.sub(r"//.*@", "//", url))  # a password may hold what it should not


def is_file(url: str) -> bool:
    """Whether it plays and ends, rather than goes on for ever."""
    return Path(url).is_file()


class Drain:
    """Reads frames as fast as they come and gives them to ``take`` (number, time, frame), in its thread.

    A frame that ``wants`` (seconds to the next one) does not want is decoded, as those after it need it, but
    not converted. ``news`` is called at the end; then look at `ended` and `error`.
    """

    def __init__(
        self,
        url: str,
        take: Callable[[int, float, Frame], None],
        wants: Callable[[float], bool],
        news: Callable[[], None],
        *,
        open_s: float,
        read_s: float,
        loop: bool = False,
        paced: bool = True,
    ) -> None:
        self._url, self._take, self._wants, self._news = url, take, wants, news
        self._open_s, self._read_s = open_s, read_s
        self._loop, self._paced = loop, paced
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {redacted(url)}", daemon=True)
        self.error: OSError | None = None
        self.opened = self.ended = False
        self.frames = self.width = self.height = 0
        self.heard_s = time.monotonic()
        """When it last opened or read something."""

    def __enter__(self) -> "Drain":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Asks the thread to end; one that hangs in a native call is left behind."""
        self._stopped.set()
        leave(self._thread)

    def check(self) -> None:
        """OSError where it failed, or has said nothing for too long."""
        if self.error is not None:
            raise self.error
        limit_s = self._read_s if self.opened else self._open_s + self._read_s
        # its own time-outs come first and say more: this is for a call that hangs
        if not self.ended and time.monotonic() - self.heard_s > limit_s + 2:
            what = "no frame" if self.opened else "no answer"
            raise TimeoutError(f"{redacted(self._url)}: {what} for {limit_s:g} s")

    def _run(self) -> None:
        url = redacted(self._url)
        try:
            while not self._stopped.is_set():
                self._play()
                if not self._loop:
                    break
        except OSError as error:
            self.error = error
        except Exception as error:  # OpenCV's own errors
            self.error = OSError(f"{url}: {redacted(' '.join(str(error).split()))}")
        self.ended = True
        self._news()

    def _play(self) -> None:
        capture = open_capture(self._url, self._open_s, self._read_s)
        self.opened, self.heard_s = True, time.monotonic()
        live = not is_file(self._url)
        every_s = 0.0 if live or not self._paced else 1 / (capture.get(_FPS) or 25.0)
        clock = FrameClock(driver=device_of(self._url) is not None)
        due_s = time.monotonic()
        frames = 0
        try:
            while not self._stopped.is_set():
                asked_s = time.monotonic()
                good = capture.grab()
                gap_s, self.heard_s = time.monotonic() - self.heard_s, time.monotonic()
                if not good:
                    if live:
                        raise OSError(self._why(frames, self.heard_s - asked_s))
                    if not frames:
                        raise OSError(f"{self._url}: no frame in it")
                    return
                frames += 1
                self.frames += 1
                at_s = clock.at_s(self.heard_s, capture.get(_POS_MSEC) / 1000) if live else self.heard_s
                if self._wants(gap_s):
                    good, frame = capture.retrieve()
                    if good:
                        self.height, self.width = frame.shape[:2]
                        self._take(self.frames, at_s, frame)
                due_s += every_s
                if every_s and (ahead_s := due_s - time.monotonic()) > 0:
                    self._stopped.wait(ahead_s)
        finally:
            capture.release()

    def _why(self, frames: int, waited_s: float) -> str:
        """Why a stream gives no more frames."""
        url = redacted(self._url)
        if waited_s >= 0.9 * self._read_s:
            return f"{url}: no frame for {self._read_s:g} s: the stream hangs, or what comes can't be decoded"
        return f"{url}: " + ("the stream ended" if frames else NO_PICTURE)


def device_of(url: str) -> str | None:
    """The V4L2 device that a URL names, if it does."""
    return f"/dev/video{url}" if url.isdigit() else url if url.startswith("/dev/") else None


def open_capture(url: str, open_s: float = 5.0, read_s: float = 5.0) -> Any:
    """An open cv2.VideoCapture. OSError in one line where there is nothing to see."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # fatal only: the errors are told in our words
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it may be imported already
    device = device_of(url)
    file = device is None and "://" not in url
    if device is not None:
        if not Path(device).exists():
            raise FileNotFoundError(f"{device} is not there: the camera is unplugged, or named otherwise")
        if not os.access(device, os.R_OK | os.W_OK):
            raise PermissionError(f"{device}: no right to open it; add this user to its group (video)")
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    elif file and not Path(url).exists():
        raise FileNotFoundError(f"{url} is not there")
    else:
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(open_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(read_s * 1000),
        ]
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        if device is not None:
            raise OSError(f"{device}: no camera that gives pictures, or another program has it")
        what = "no video that can be read" if file else "it sends, but no picture can be decoded from it"
        raise OSError(f"{redacted(url)}: {what}")
    return capture


def length(path: str) -> int:
    """How many frames a file says that it has; 0 where it does not say."""
    try:
        capture = open_capture(path)
    except OSError:
        return 0
    count = int(capture.get(7))  # cv2.CAP_PROP_FRAME_COUNT
    capture.release()
    return max(0, count)


def frames(path: str) -> Iterator[tuple[int, float, Frame]]:
    """All frames of a file in order: number, seconds from its start, frame. OSError where it is no video."""
    capture = open_capture(path)
    fps = capture.get(_FPS) or 25.0
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
