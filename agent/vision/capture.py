"""Frames out of cameras, streams and files. Only file with VideoCapture.

A thread of its own drains each capture, so that a frame is never old when its turn comes; it is the one that
opens and closes it. A native call that hangs can hold up that thread, never the agent. OpenCV
opens one stream after the other, so `stream_probe` asks each whether it sends, first. FFmpeg itself
opens regular files and our own relay on the loopback: each connection to a camera is made in Python.
"""

import ctypes
import math
import os
import re
import stat
import threading
import time
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.runtime.error_text import error_reason
from agent.vision.camera_url import MAX_PIXELS, NO_TRUST, Trust, device_of, kind_of, redacted, too_large
from agent.vision.capture_properties import FRAME_HEIGHT, FRAME_WIDTH
from agent.vision.http_camera import HttpBytes, HttpPictures, http_source
from agent.vision.rtsp_relay import Relay
from agent.vision.udp_camera import UdpBytes
from agent.vision.v4l2_mode import Mode, granted

OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
STREAM_FORMATS = "rtsp,mpegts,flv,h264,hevc,mpeg,mpegvideo,matroska"
FILE_FORMATS = "avi,flv,h264,hevc,ivf,matroska,mov,mpeg,mpegts,mpegvideo,m4v,mjpeg,mpjpeg,ogg"
"""Demuxers that read pictures out of one stream of bytes: none that opens further files, or draws text."""
V4L2_MAJOR = 81
_opening = threading.Lock()

UNDECODABLE = "it sends, but no picture can be decoded from it"


class Capture:
    """An open camera or file: what a cv2.VideoCapture does, with what feeds it."""

    def __init__(
        self,
        capture: Any,
        *,
        feed: UdpBytes | HttpBytes | None = None,
        relay: Relay | None = None,
        read_s: float = 5.0,
    ) -> None:
        self._capture, self._feed, self._relay, self._read_s = capture, feed, relay, read_s
        self.granted: str | None = None
        """Of V4L2: size, pixel format and rate that the driver agreed to."""

    @property
    def lost(self) -> tuple[int, float]:
        """How many packets were lost on the way so far, and when the last (monotonic seconds)."""
        return (self._feed.lost, self._feed.lost_s) if isinstance(self._feed, UdpBytes) else (0, -math.inf)

    @property
    def error(self) -> str | None:
        """Why there are no more frames, where that is known."""
        if self._relay is not None and self._relay.error:
            return self._relay.error
        return self._capture.error if isinstance(self._capture, HttpPictures) else None

    def grab(self) -> bool:
        """Whether a next frame came, within the read limit."""
        if self._feed is not None:
            self._feed.until_s = time.monotonic() + self._read_s
        return bool(self._capture.grab())

    def retrieve(self) -> tuple[bool, Any]:
        """The frame that was grabbed last; False where it can't be decoded."""
        good, frame = self._capture.retrieve()
        return bool(good), frame

    def read(self) -> tuple[bool, Any]:
        """`grab` and `retrieve`."""
        return self.retrieve() if self.grab() else (False, None)

    def get(self, key: int) -> float:
        """A property by its number in OpenCV."""
        return float(self._capture.get(key))

    def abort(self) -> None:
        """Ends a `grab` that waits for an HTTP camera, from another thread."""
        for one in (self._feed, self._capture):
            if isinstance(one, HttpBytes | HttpPictures):
                one.abort()

    def release(self) -> None:
        """Ends it. A feed is closed first, so that nothing waits in it."""
        if self._feed is not None:
            self._feed.close()
        self._capture.release()
        if self._relay is not None:
            self._relay.close()


def open_capture(
    url: str,
    open_s: float = 5.0,
    read_s: float = 5.0,
    *,
    trust: Trust = NO_TRUST,
    mode: Mode | None = None,
    fps: float = 5.0,
) -> Capture:
    """An open camera. OSError in one line where there is nothing to see, or ``url`` may not be opened.

    ``fps`` is how often a camera is asked that gives one picture a request.
    """
    try:
        kind = kind_of(url)
    except ValueError as error:
        raise OSError(str(error)) from None
    if kind == "file":
        return open_file(url)
    if kind == "device":
        return _open_device(device_of(url), mode)
    try:
        scheme = urlsplit(url).scheme
        if scheme in ("rtsp", "rtsps"):
            return _open_rtsp(url, open_s, read_s, trust)
        feed: UdpBytes | HttpBytes | HttpPictures
        if scheme in ("http", "https"):
            feed = http_source(url, open_s, read_s, trust, fps)
        else:
            feed = UdpBytes(url, open_s, read_s)
        if isinstance(feed, HttpPictures):
            return Capture(feed)
        options = {"format_whitelist": STREAM_FORMATS, "protocol_whitelist": "none"}
        try:
            with feed.at_most(open_s + read_s) if isinstance(feed, HttpBytes) else nullcontext():
                capture = _ffmpeg(feed, options)
        except BaseException:
            feed.close()
            raise
        if not capture.isOpened():
            feed.close()
            raise OSError(UNDECODABLE)
        return Capture(capture, feed=feed, read_s=read_s)
    except ValueError as error:
        raise OSError(f"{redacted(url)}: {error}") from None
    except OSError as error:
        raise OSError(f"{redacted(url)}: {error_reason(error)}") from None


def open_file(path: str) -> Capture:
    """A video in a regular file. OSError in one line where it is none."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise OSError(f"{path} is no regular file")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there") from None
    options = {"format_whitelist": FILE_FORMATS, "protocol_whitelist": "file"}
    try:
        capture = _ffmpeg(f"file:{Path(path).resolve()}", options)
    except OSError as error:
        raise OSError(f"{path}: {error}") from None
    if not capture.isOpened():
        raise OSError(f"{redacted(path)}: no video that can be read")
    return Capture(capture)


def _open_rtsp(url: str, open_s: float, read_s: float, trust: Trust) -> Capture:
    relay = Relay(url, open_s, read_s, trust)
    options = {
        "input_format": "rtsp",
        "format_whitelist": STREAM_FORMATS,
        "protocol_whitelist": "tcp",
        "rtsp_transport": "tcp",
    }
    try:
        capture = _ffmpeg(relay.url, options, open_s, read_s)
    except BaseException:
        relay.close()
        raise
    if not capture.isOpened():
        relay.close()
        raise OSError(relay.error or UNDECODABLE)
    return Capture(capture, relay=relay)


def _open_device(device: str, mode: Mode | None) -> Capture:
    try:
        status = Path(device).stat()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{device} is not there: the camera is unplugged, or named otherwise"
        ) from None
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != V4L2_MAJOR:
        raise OSError(f"{device} is no camera: it is not a video4linux device")
    if not os.access(device, os.R_OK | os.W_OK):
        raise PermissionError(f"{device}: no right to open it; add this user to its group (video)")
    cv2 = _cv2()
    asked = mode or Mode()
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2, asked.parameters())
    if not capture.isOpened():
        capture.release()
        raise OSError(f"{device}: no camera that gives pictures, or another program has it")
    opened = Capture(capture)
    opened.granted = granted(capture.get)
    return opened


def _ffmpeg(source: Any, options: dict[str, str], open_s: float = 5.0, read_s: float = 5.0) -> Any:
    """A cv2.VideoCapture by FFmpeg, with its ``options``, which it takes from the environment only."""
    cv2 = _cv2()
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        int(open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        int(read_s * 1000),
        cv2.CAP_PROP_N_THREADS,
        1,
    ]
    with _opening:
        os.environ[OPTIONS] = "|".join(f"{name};{value}" for name, value in options.items())
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    width, height = (
        (int(capture.get(key)) for key in (FRAME_WIDTH, FRAME_HEIGHT)) if capture.isOpened() else (0, 0)
    )
    if width * height > MAX_PIXELS:
        capture.release()
        raise OSError(too_large(width, height))
    return capture


@cache
def _cv2() -> Any:
    """OpenCV, quiet, in one thread, with a limit to what its FFmpeg may take for one plane of a picture."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # fatal only: the errors are told in our words
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it may be imported already
    loaded = re.search(r"/\S*libavutil[^\s/]*\.so[^\s/]*$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    if loaded:
        limit = ctypes.CDLL(loaded[0]).av_max_alloc
        limit.argtypes, limit.restype = [ctypes.c_size_t], None
        limit(3 * MAX_PIXELS + 1024 * 1024)
    return cv2
