"""Opens cameras, streams and files with OpenCV. The only file with VideoCapture.

OpenCV opens one stream after the other, so `stream_probe` first checks that a stream sends. FFmpeg itself
opens regular files and our own relay on the loopback only: each connection to a camera is made in Python.
"""

import io
import os
import stat
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.host.clock import monotonic_s
from agent.runtime.error_text import error_reason
from agent.vision.camera_capture import CameraCapture
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
from agent.vision.hardware_decoding import CPU, attempts
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


def open_capture(
    url: str,
    open_s: float = 5.0,
    read_s: float = 5.0,
    *,
    trust: Trust = NO_TRUST,
    mode: V4l2Mode | None = None,
    fps: float = 5.0,
    max_pixels: int = MAX_PIXELS,
    decode: str = CPU,
) -> CameraCapture:
    """Opens a camera. OSError: one line saying why it delivers nothing, or that ``url`` is not allowed.

    ``fps``: request rate for a camera that sends one picture per request. ``decode``: the decoder of RTSP.
    """
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
            return _open_rtsp(url, open_s, read_s, trust, max_pixels, decode)
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


def _open_rtsp(
    url: str, open_s: float, read_s: float, trust: Trust, max_pixels: int, decode: str
) -> CameraCapture:
    options = {
        "input_format": "rtsp",
        "format_whitelist": STREAM_FORMATS,
        "protocol_whitelist": "tcp",
        "rtsp_transport": "tcp",
        "fpsprobesize": "0",  # else FFmpeg counts 20 frames first, for a rate that is not used
    }
    for decoder in attempts(decode, url):
        relay = RtspRelay(url, open_s, read_s, trust)
        more = options | dict(decoder.options)
        try:
            capture = _ffmpeg(relay.url, more, max_pixels, open_s, read_s, decoder.acceleration)
        except BaseException:
            relay.close()
            raise
        if capture.isOpened():
            return CameraCapture(capture, relay=relay, max_pixels=max_pixels, decoder=decoder.name)
        relay.close()
        if relay.error:
            raise OSError(relay.error)
    raise OSError(UNDECODABLE)


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
    source: Any,
    options: dict[str, str],
    max_pixels: int,
    open_s: float = 5.0,
    read_s: float = 5.0,
    acceleration: int = 0,
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
    if acceleration:
        limits += [cv2.CAP_PROP_HW_ACCELERATION, acceleration]
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
