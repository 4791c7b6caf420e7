"""Opens cameras, streams and files with OpenCV. The only file with VideoCapture.

OpenCV opens one stream after the other, so `stream_probe` first checks that a stream sends. FFmpeg itself
opens regular files and our own relay on the loopback only: each connection to a camera is made in Python.
"""

import io
import math
import os
import stat
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.host.clock import monotonic_s
from agent.runtime.error_text import error_reason
from agent.vision.camera_url import (
    MAX_PIXELS,
    NO_TRUST,
    Trust,
    device_path,
    redacted_url,
    source_kind,
    too_large_text,
)
from agent.vision.capture_properties import FRAME_HEIGHT, FRAME_WIDTH
from agent.vision.http_camera import HttpByteStream, HttpJpegSource, open_http_camera
from agent.vision.opencv import load_opencv
from agent.vision.rtsp_relay import RtspRelay
from agent.vision.udp_camera import UdpByteStream
from agent.vision.v4l2_mode import V4l2Mode, granted_mode

OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
STREAM_FORMATS = "rtsp,mpegts,flv,h264,hevc,mpeg,mpegvideo,matroska"
FILE_FORMATS = "avi,flv,h264,hevc,ivf,matroska,mov,mpeg,mpegts,mpegvideo,m4v,mjpeg,mpjpeg,ogg"
"""Demuxers that decode one byte stream: none that opens further files, or draws text."""
V4L2_MAJOR = 81
_open_lock = threading.Lock()

UNDECODABLE = "it sends, but no picture can be decoded from it"


class CameraCapture:
    """An open camera or file: a cv2.VideoCapture together with its byte stream or relay."""

    def __init__(
        self,
        capture: Any,
        *,
        feed: UdpByteStream | HttpByteStream | None = None,
        relay: RtspRelay | None = None,
        read_s: float = 5.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._max_pixels, self._error = max_pixels, ""
        self._capture, self._feed, self._relay, self._read_s = capture, feed, relay, read_s
        self.granted: str | None = None
        """V4L2: the mode that the driver granted."""

    @property
    def lost(self) -> tuple[int, float]:
        """Number of lost packets so far, and time of the last loss (monotonic)."""
        return (
            (self._feed.lost, self._feed.lost_s) if isinstance(self._feed, UdpByteStream) else (0, -math.inf)
        )

    @property
    def error(self) -> str | None:
        """Why there are no more frames, where the reason is known."""
        if self._error:
            return self._error
        if self._relay is not None and self._relay.error:
            return self._relay.error
        return self._capture.error if isinstance(self._capture, HttpJpegSource) else None

    def grab(self) -> bool:
        """Whether the next frame came, within the read timeout."""
        if self._feed is not None:
            self._feed.until_s = monotonic_s() + self._read_s
        return bool(self._capture.grab())

    def retrieve(self) -> tuple[bool, Any]:
        """The frame grabbed last; False where it can't be decoded."""
        good, frame = self._capture.retrieve()
        if good and frame.shape[0] * frame.shape[1] > self._max_pixels:  # the stream changed its size
            self._error = too_large_text(frame.shape[1], frame.shape[0], self._max_pixels)
            return False, None
        return bool(good), frame

    def read(self) -> tuple[bool, Any]:
        """`grab` and `retrieve`."""
        return self.retrieve() if self.grab() else (False, None)

    def get(self, key: int) -> float:
        """A property by its number (`agent.vision.capture_properties`)."""
        return float(self._capture.get(key))

    def abort(self) -> None:
        """Ends a `grab` that waits for an HTTP or UDP camera; called from another thread."""
        for source in (self._feed, self._capture):
            if isinstance(source, UdpByteStream | HttpByteStream | HttpJpegSource):
                source.abort()

    def release(self) -> None:
        """Closes it; the byte stream first, so that no read blocks."""
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
    mode: V4l2Mode | None = None,
    fps: float = 5.0,
    max_pixels: int = MAX_PIXELS,
) -> CameraCapture:
    """Opens a camera. OSError: one line saying why it delivers nothing, or that ``url`` is not allowed.

    ``fps``: request rate for a camera that sends one picture per request."""
    try:
        kind = source_kind(url)
    except ValueError as error:
        raise OSError(str(error)) from None
    if kind == "file":
        return open_file(url, max_pixels)
    if kind == "device":
        return _open_device(device_path(url), mode, max_pixels)
    try:
        scheme = urlsplit(url).scheme
        if scheme in ("rtsp", "rtsps"):
            return _open_rtsp(url, open_s, read_s, trust, max_pixels)
        if scheme not in ("http", "https"):
            return _open_bytes(UdpByteStream(url, open_s, read_s), open_s, read_s, max_pixels)
        source = open_http_camera(url, open_s, read_s, trust, fps, max_pixels)
        if isinstance(source, HttpJpegSource):
            return CameraCapture(source, max_pixels=max_pixels)
        return _open_bytes(source, open_s, read_s, max_pixels)
    except ValueError as error:
        raise OSError(f"{redacted_url(url)}: {error}") from None
    except OSError as error:
        raise OSError(f"{redacted_url(url)}: {error_reason(error)}") from None


def open_file(path: str, max_pixels: int = MAX_PIXELS) -> CameraCapture:
    """Opens a video file. OSError: one line saying why it can't be read."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise OSError(f"{path} is not a regular file")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} not found") from None
    options = {"format_whitelist": FILE_FORMATS, "protocol_whitelist": "file"}
    try:
        capture = _ffmpeg(f"file:{Path(path).resolve()}", options, max_pixels)
    except OSError as error:
        raise OSError(f"{path}: {error}") from None
    if not capture.isOpened():
        raise OSError(f"{redacted_url(path)}: not a readable video")
    return CameraCapture(capture, max_pixels=max_pixels)


def decode_last(data: bytes, codec: str, count: int, max_pixels: int, within_s: float) -> tuple[Any, int]:
    """The last of ``count`` pictures of H.264 or H.265 (Annex B), and its number from 1 on: an earlier one
    where time runs out, or some are damaged.

    Blocking. OSError: nothing in it can be decoded, or its pictures are too large.
    """
    demuxer, until_s = {"H264": "h264", "H265": "hevc"}[codec], monotonic_s() + within_s
    options = {"format_whitelist": demuxer, "protocol_whitelist": "none"}
    while count > 0:
        source = io.BytesIO(data)  # OpenCV holds no reference to it, and reads it until it is released
        capture, grabbed = _ffmpeg(source, options, max_pixels), 0
        try:
            while capture.isOpened() and grabbed < count and capture.grab():
                grabbed += 1
                count = grabbed if monotonic_s() > until_s else count
            if grabbed == count:  # after a failed grab there is nothing to retrieve, and OpenCV would crash
                good, frame = capture.retrieve()
                if good:
                    return frame, grabbed
                break
        finally:
            capture.release()
        count = grabbed  # some are damaged
    raise OSError(UNDECODABLE)


def _open_bytes(
    feed: UdpByteStream | HttpByteStream, open_s: float, read_s: float, max_pixels: int
) -> CameraCapture:
    options = {"format_whitelist": STREAM_FORMATS, "protocol_whitelist": "none"}
    try:
        with feed.at_most(open_s + read_s) if isinstance(feed, HttpByteStream) else nullcontext():
            capture = _ffmpeg(feed, options, max_pixels)
    except BaseException:
        feed.close()
        raise
    if not capture.isOpened():
        feed.close()
        raise OSError(UNDECODABLE)
    return CameraCapture(capture, feed=feed, read_s=read_s, max_pixels=max_pixels)


def _open_rtsp(url: str, open_s: float, read_s: float, trust: Trust, max_pixels: int) -> CameraCapture:
    relay = RtspRelay(url, open_s, read_s, trust)
    options = {
        "input_format": "rtsp",
        "format_whitelist": STREAM_FORMATS,
        "protocol_whitelist": "tcp",
        "rtsp_transport": "tcp",
    }
    try:
        capture = _ffmpeg(relay.url, options, max_pixels, open_s, read_s)
    except BaseException:
        relay.close()
        raise
    if not capture.isOpened():
        relay.close()
        raise OSError(relay.error or UNDECODABLE)
    return CameraCapture(capture, relay=relay, max_pixels=max_pixels)


def _open_device(device: str, mode: V4l2Mode | None, max_pixels: int) -> CameraCapture:
    try:
        status = Path(device).stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{device} not found: the camera is unplugged, or has another name") from None
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != V4L2_MAJOR:
        raise OSError(f"{device} is not a camera (video4linux device)")
    if not os.access(device, os.R_OK | os.W_OK):
        raise PermissionError(f"{device}: no permission to open it; add this user to its group (video)")
    cv2 = load_opencv()
    asked = mode or V4l2Mode()
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2, asked.parameters())
    if not capture.isOpened():
        capture.release()
        raise OSError(f"{device}: the camera delivers no pictures, or another program uses it")
    _check_size(capture, max_pixels)
    opened = CameraCapture(capture, max_pixels=max_pixels)
    opened.granted = granted_mode(capture.get)
    return opened


def _ffmpeg(
    source: Any, options: dict[str, str], max_pixels: int, open_s: float = 5.0, read_s: float = 5.0
) -> Any:
    """A cv2.VideoCapture of FFmpeg. OpenCV takes FFmpeg's ``options`` from the environment only."""
    cv2 = load_opencv()
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        int(open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        int(read_s * 1000),
        cv2.CAP_PROP_N_THREADS,
        1,
    ]
    with _open_lock:
        os.environ[OPTIONS] = "|".join(f"{name};{value}" for name, value in options.items())
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    if capture.isOpened():
        _check_size(capture, max_pixels)
    return capture


def _check_size(capture: Any, max_pixels: int) -> None:
    """OSError, and the capture is closed, where its pictures are larger than ``max_pixels``."""
    width, height = (int(capture.get(key)) for key in (FRAME_WIDTH, FRAME_HEIGHT))
    if width * height > max_pixels:
        capture.release()
        raise OSError(too_large_text(width, height, max_pixels))
