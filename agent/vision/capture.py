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
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.runtime.native_calls import abandon
from agent.vision.camera_url import MAX_PIXELS, NO_TRUST, Trust, device_of, kind_of
from agent.vision.frame_timestamps import FrameClock
from agent.vision.http_camera import HttpBytes, HttpPictures, http_source, too_large
from agent.vision.rtsp_relay import Relay
from agent.vision.udp_camera import UdpBytes
from models.detection import Frame

_FPS, _POS_MSEC = 5, 0  # cv2.CAP_PROP_FPS, cv2.CAP_PROP_POS_MSEC

OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
STREAM_FORMATS = "rtsp,mpegts,flv,h264,hevc,mpeg,mpegvideo,matroska"
FILE_FORMATS = "avi,flv,h264,hevc,ivf,matroska,mov,mpeg,mpegts,mpegvideo,m4v,mjpeg,mpjpeg,ogg"
"""Demuxers that read pictures out of one stream of bytes: none that opens further files, or draws text."""
V4L2_MAJOR = 81
DAMAGE_S = 3.0
"""So long after a loss pictures may be damaged: until the next key frame, and some for what is buffered."""
_opening = threading.Lock()

UNDECODABLE = "it sends, but no picture can be decoded from it"
NO_PICTURE = "it sends, but no picture came; does it send a key frame every 2 s?"


def redacted(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    return re.sub(r"\?.*", "?…", re.sub(r"//.*@", "//", url))  # a password may hold what it should not


def is_file(url: str) -> bool:
    """Whether it plays and ends, rather than goes on for ever."""
    return kind_of(url) == "file"


@dataclass(frozen=True, slots=True)
class Mode:
    """What a V4L2 camera is asked for; None leaves it to the driver."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def parameters(self) -> list[int]:
        """Pairs of property and value, as OpenCV wants them: the format first, as the driver does."""
        fourcc = self.pixel_format and int.from_bytes(self.pixel_format.ljust(4).encode(), "little")
        rate = self.fps and round(self.fps)
        wanted = ((6, fourcc), (3, self.width), (4, self.height), (_FPS, rate))
        return [number for key, value in wanted if value for number in (key, value)]

    def missed(self, given: str | None) -> str | None:
        """What was asked for and not granted, in words."""
        size = f"{self.width}x{self.height}" if self.width else None
        wanted = [one for one in (size, self.pixel_format) if one]
        if given is None or all(one in given.split() for one in wanted):
            return None
        return f"asked for {' '.join(wanted)}, the camera gives {given}"


def granted(get: Callable[[int], float]) -> str:
    """What a V4L2 driver agreed to, such as ``1280x720 MJPG 30 fps``."""
    code = int(get(6)).to_bytes(4, "little", signed=True).decode("latin-1")
    name = "".join(letter for letter in code if letter.isalnum()) or "?"
    return f"{get(3):.0f}x{get(4):.0f} {name} {get(_FPS):g} fps"


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
        trust: Trust = NO_TRUST,
        mode: Mode | None = None,
        fps: float = 5.0,
    ) -> None:
        self._url, self._take, self._wants, self._news = url, take, wants, news
        self._open_s, self._read_s = open_s, read_s
        self._loop, self._paced = loop, paced
        self._trust, self._mode, self._fps = trust, mode, fps
        self._stopped = threading.Event()
        self._capture: Capture | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera {redacted(url)}", daemon=True)
        self.error: OSError | None = None
        self.opened = self.ended = False
        self.frames = self.width = self.height = 0
        self.granted: str | None = None
        self.lost = 0
        """Packets that were lost on the way, where that can be known; the last at ``lost_s``."""
        self.lost_s = -math.inf
        self.heard_s = time.monotonic()
        """When it last opened or read something."""

    def __enter__(self) -> "Drain":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Asks the thread to end; one that hangs in a native call is left behind."""
        self._stopped.set()
        if self._capture is not None:
            self._capture.abort()
        abandon(self._thread)

    def damaged(self, at_s: float) -> bool:
        """Whether a frame of this monotonic time may show damage, as something of it was lost on the way."""
        return at_s - self.lost_s < DAMAGE_S

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
        live = kind_of(self._url) != "file"
        capture = open_capture(
            self._url, self._open_s, self._read_s, trust=self._trust, mode=self._mode, fps=self._fps
        )
        self._capture = capture
        self.opened, self.heard_s = True, time.monotonic()
        self.granted = capture.granted
        every_s = 0.0 if live or not self._paced else 1 / (capture.get(_FPS) or 25.0)
        clock = FrameClock(driver=kind_of(self._url) == "device")
        due_s = decoded_s = time.monotonic()
        frames = 0
        try:
            while not self._stopped.is_set():
                asked_s = time.monotonic()
                good = capture.grab()
                gap_s, self.heard_s = time.monotonic() - self.heard_s, time.monotonic()
                if not good:
                    if live:
                        raise OSError(self._why(frames, self.heard_s - asked_s, capture.error))
                    if not frames:
                        raise OSError(f"{self._url}: no frame in it")
                    return
                frames += 1
                self.frames += 1
                self.lost, self.lost_s = capture.lost
                at_s = clock.at_s(self.heard_s, capture.get(_POS_MSEC) / 1000) if live else self.heard_s
                if self._wants(gap_s):
                    good, frame = capture.retrieve()
                    if good:
                        decoded_s = self.heard_s
                        self.height, self.width = frame.shape[:2]
                        self._take(self.frames, at_s, frame)
                    elif self.heard_s - decoded_s > self._read_s:
                        raise OSError(f"{redacted(self._url)}: what comes can't be decoded")
                due_s += every_s
                if every_s and (ahead_s := due_s - time.monotonic()) > 0:
                    self._stopped.wait(ahead_s)
        finally:
            capture.release()

    def _why(self, frames: int, waited_s: float, error: str | None) -> str:
        """Why a stream gives no more frames."""
        url = redacted(self._url)
        if error:
            return f"{url}: {error}"
        if waited_s >= 0.9 * self._read_s:
            return f"{url}: no frame for {self._read_s:g} s: the stream hangs, or what comes can't be decoded"
        return f"{url}: " + ("the stream ended" if frames else NO_PICTURE)


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
        return getattr(self._capture, "error", None)

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
        raise OSError(f"{redacted(url)}: {error.strerror or error}") from None


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
    width, height = (int(capture.get(key)) for key in (3, 4)) if capture.isOpened() else (0, 0)
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


def length(path: str) -> int:
    """How many frames a file says that it has; 0 where it does not say."""
    try:
        capture = open_file(path)
    except OSError:
        return 0
    count = int(capture.get(7))  # cv2.CAP_PROP_FRAME_COUNT
    capture.release()
    return max(0, count)


def frames(path: str) -> Iterator[tuple[int, float, Frame]]:
    """All frames of a file in order: number, seconds from its start, frame. OSError where it is no video."""
    capture = open_file(path)
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
