"""An open camera or file, with the interface of cv2.VideoCapture."""

import math
from typing import Any

from agent.host.clock import monotonic_s
from agent.vision.camera_url import MAX_PIXELS, too_large_text
from agent.vision.hardware_decoding import CPU
from agent.vision.http_camera import HttpByteStream, HttpJpegSource
from agent.vision.rtsp_relay import RtspRelay
from agent.vision.udp_camera import UdpByteStream


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
        decoder: str = CPU,
    ) -> None:
        self._max_pixels, self._error = max_pixels, ""
        self._capture, self._feed, self._relay, self._read_s = capture, feed, relay, read_s
        self.decoder = decoder
        """What decodes: the CPU, or the name of a hardware decoder."""
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
