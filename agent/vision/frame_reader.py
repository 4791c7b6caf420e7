"""A thread that drains one capture, so that the newest frame is always at hand.

The thread opens, reads and closes the capture. A native call that hangs blocks this thread only.
"""

import math
import threading
from collections.abc import Callable

from agent.host.clock import monotonic_s
from agent.runtime.native_calls import abandon
from agent.vision.camera_capture import CameraCapture
from agent.vision.camera_url import MAX_PIXELS, NO_TRUST, Trust, redacted_url, source_kind
from agent.vision.capture import open_capture
from agent.vision.capture_properties import FOURCC, FPS, POS_MSEC
from agent.vision.frame_timestamps import FrameClock
from agent.vision.hardware_decoding import AUTO, CPU, give_up
from agent.vision.v4l2_mode import V4l2Mode, format_name
from models.detection import Frame

DAMAGE_S = 3.0
"""Pictures may be damaged this long after a packet loss: until the next key frame, plus buffering."""
NO_FRAME_TEXT = "it sends, but no picture came; does it send a key frame every 2 s?"


class FrameReader:
    """Reads frames as they arrive and passes them to ``take`` (number, monotonic time, frame), in its thread.

    A frame for which ``wants`` (seconds to the next frame) is False is decoded, as later frames need it, but
    not converted. ``on_end`` is called at the end; then `ended` is True, and `error` is set after a failure.
    """

    def __init__(
        self,
        url: str,
        take: Callable[[int, float, Frame], None],
        wants: Callable[[float], bool],
        on_end: Callable[[], None],
        *,
        open_s: float,
        read_s: float,
        loop: bool = False,
        paced: bool = True,
        trust: Trust = NO_TRUST,
        mode: V4l2Mode | None = None,
        fps: float = 5.0,
        max_pixels: int = MAX_PIXELS,
        decode: str = CPU,
    ) -> None:
        self._url, self._take, self._wants, self._on_end = url, take, wants, on_end
        self._open_s, self._read_s = open_s, read_s
        self._loop, self._paced = loop, paced
        self._trust, self._mode, self._fps, self._max_pixels = trust, mode, fps, max_pixels
        self._decode, self.decoder = decode, ""
        self._stopped = threading.Event()
        self._capture: CameraCapture | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera {redacted_url(url)}", daemon=True)
        self.error: OSError | None = None
        self.opened = self.ended = False
        self.frames = self.width = self.height = 0
        self.granted: str | None = None
        self.format = "?"
        """The FOURCC of the stream, such as MJPG or h264; "?" where it is unknown."""
        self.lost = 0
        """Lost packets, where they can be counted; the last at ``lost_s`` (monotonic)."""
        self.lost_s = -math.inf
        self.last_read_s = monotonic_s()
        """When it last opened the capture or read a frame (monotonic)."""

    def __enter__(self) -> "FrameReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the thread; one that hangs in a native call is abandoned."""
        self._stopped.set()
        if self._capture is not None:
            self._capture.abort()
        abandon(self._thread)

    def damaged(self, at_s: float) -> bool:
        """Whether a frame of this monotonic time may be damaged by packet loss."""
        return at_s - self.lost_s < DAMAGE_S

    @property
    def decoding_trouble(self) -> str | None:
        """Why another decoder is in use than the configured one."""
        if self._decode in (CPU, AUTO) or self.decoder != CPU:
            return None
        return f"decode: {self._decode} can't be used here; the CPU decodes"

    def check(self) -> None:
        """OSError where it failed; TimeoutError where no frame came for too long."""
        if self.error is not None:
            raise self.error
        limit_s = self._read_s if self.opened else self._open_s + self._read_s
        # the capture's own time-outs are shorter and more precise: this one is for a native call that hangs
        if not self.ended and monotonic_s() - self.last_read_s > limit_s + 2:
            missing = "no frame" if self.opened else "no answer"
            raise TimeoutError(f"{redacted_url(self._url)}: {missing} for {limit_s:g} s")

    def _run(self) -> None:
        url = redacted_url(self._url)
        try:
            while not self._stopped.is_set():
                self._play()
                if not self._loop:
                    break
        except OSError as error:
            self.error = error
        except Exception as error:  # such as cv2.error
            self.error = OSError(f"{url}: {redacted_url(' '.join(str(error).split()))}")
        self.ended = True
        self._on_end()

    def _play(self) -> None:
        live = source_kind(self._url) != "file"
        capture = open_capture(
            self._url,
            self._open_s,
            self._read_s,
            trust=self._trust,
            mode=self._mode,
            fps=self._fps,
            max_pixels=self._max_pixels,
            decode=self._decode,
        )
        self._capture = capture
        self.opened, self.last_read_s = True, monotonic_s()
        self.granted, self.decoder = capture.granted, capture.decoder
        self.format = format_name(capture.get(FOURCC))
        every_s = 0.0 if live or not self._paced else 1 / (capture.get(FPS) or 25.0)
        clock = FrameClock(driver=source_kind(self._url) == "device")
        due_s = decoded_s = monotonic_s()
        frames = 0
        try:
            while not self._stopped.is_set():
                grab_s = monotonic_s()
                good = capture.grab()
                gap_s, self.last_read_s = monotonic_s() - self.last_read_s, monotonic_s()
                if not good:
                    if live:
                        raise OSError(self._end_reason(frames, self.last_read_s - grab_s, capture.error))
                    if not frames:
                        raise OSError(f"{self._url}: it contains no frame")
                    return
                frames += 1
                self.frames += 1
                self.lost, self.lost_s = capture.lost
                at_s = (
                    clock.at_s(self.last_read_s, capture.get(POS_MSEC) / 1000) if live else self.last_read_s
                )
                if self._wants(gap_s):
                    good, frame = capture.retrieve()
                    if good:
                        decoded_s = self.last_read_s
                        self.height, self.width = frame.shape[:2]
                        self._take(self.frames, at_s, frame)
                    elif capture.error:
                        raise OSError(f"{redacted_url(self._url)}: {capture.error}")
                    elif self.last_read_s - decoded_s > self._read_s:
                        raise OSError(f"{redacted_url(self._url)}: its data can't be decoded")
                due_s += every_s
                if every_s and (ahead_s := due_s - monotonic_s()) > 0:
                    self._stopped.wait(ahead_s)
        finally:
            capture.release()
            if not self.width and capture.decoder != CPU:
                give_up(self._url)

    def _end_reason(self, frames: int, waited_s: float, error: str | None) -> str:
        """Why a stream delivers no more frames."""
        url = redacted_url(self._url)
        if error:
            return f"{url}: {error}"
        if waited_s >= 0.9 * self._read_s:
            return f"{url}: no frame for {self._read_s:g} s: the stream hangs, or its data can't be decoded"
        return f"{url}: " + ("the stream ended" if frames else NO_FRAME_TEXT)
