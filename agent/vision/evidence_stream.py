"""The stream for pictures (``evidence_url``): kept encoded, decoded only where a picture is made.

Decoding a main stream all the time would cost more than the sub-stream saves. So H.264 and H.265 over RTSP
stay in an `EncodedRing`, and a picture of any of the last seconds is decoded from the key picture before it.
Of an HTTP camera one picture is requested at that moment. Where there is none, the caller uses its frame.
"""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from agent.host.clock import monotonic_s
from agent.host.entropy import uniform
from agent.runtime.error_text import describe_error
from agent.vision.access_units import CODECS, AccessUnit, AccessUnits
from agent.vision.camera_memory import RING_BYTES
from agent.vision.camera_url import Trust, redacted_url
from agent.vision.capture import decode_last, open_capture
from agent.vision.encoded_ring import EncodedRing
from agent.vision.rtsp_relay import message_size
from agent.vision.session_description import AnnouncedVideo
from agent.vision.stream_probe import StreamClient, connect, probe_stream
from agent.vision.view_match import difference, shrunk
from models.detection import Frame

KEEP_S = 12.0
"""A picture is asked for within a second; an alert that waits for others, later."""
LATE_S = 1.0
"""How long to wait for a picture that this stream delivers later than the other one."""
DECODE_S = 3.0
"""Decoding one picture takes no longer: then an earlier one is used."""
REFUSED_TOLD_S = 900.0
"""How long a picture that could not be used is told: the cause may be gone, such as a dark view."""
MAX_OFFSET_S = 1.5
"""A picture of another moment is none of this one."""
FIRST_WAIT_S, LONGEST_WAIT_S, STABLE_AFTER_S = 1.0, 60.0, 30.0
KEEP_ALIVE_S, HTTP_CHECK_S = 20.0, 300.0
MAX_SIDE = 1920
"""Longer side in pixels of the pictures: those that leave are no larger, and memory stays bounded."""


class EvidenceStream:
    """`run` belongs to the event loop, `picture` to worker threads."""

    def __init__(self, url: str, trust: Trust, open_s: float, read_s: float, max_pixels: int) -> None:
        self._url, self._trust, self._max_pixels = url, trust, max_pixels
        self._open_s, self._read_s = open_s, read_s
        self._http = urlsplit(url).scheme in ("http", "https")
        self._ring = EncodedRing(KEEP_S, RING_BYTES)
        self._codec = "H264"
        self._unavailable: str | None = f"{redacted_url(url)}: not connected yet"
        self._refused, self._refused_s = "", 0.0
        """Why the last picture could not be used, and when (monotonic)."""

    @property
    def ready(self) -> bool:
        """Whether it is worth asking for a picture."""
        return self._unavailable is None

    @property
    def trouble(self) -> str | None:
        """Why pictures are not those of this stream, in one line."""
        lately = monotonic_s() - self._refused_s < REFUSED_TOLD_S
        reason = self._unavailable or (self._refused if lately else None)
        return f"evidence_url is not used: {reason}" if reason else None

    async def run(self) -> None:
        """Receives until it is cancelled; connects again with backoff."""
        wait_s = FIRST_WAIT_S
        while True:
            began_s = monotonic_s()
            try:
                await self._receive()
            except Exception as error:  # whatever it is, the camera goes on without this stream
                self._unavailable = self._told(error)
            if monotonic_s() - began_s > STABLE_AFTER_S:
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(uniform(0.5, 1.0) * wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _receive(self) -> None:
        if not self._http:
            await connect(_Receiver(self), self._open_s)
            return
        while True:
            await probe_stream(self._url, self._open_s, self._trust, self._max_pixels)
            self._unavailable = None
            await asyncio.sleep(HTTP_CHECK_S)

    def picture(self, at_s: float, seen: Frame, preprocess: Callable[[Frame], Frame]) -> tuple[Frame, float]:
        """The picture nearest to ``at_s`` (monotonic), and the seconds by which it is later. Blocking.

        ``seen`` is the preprocessed frame of that moment. OSError: there is none, or it shows another view.
        """
        try:
            frame, taken_s = self._requested() if self._http else self._decoded(at_s)
            if abs(taken_s - at_s) > MAX_OFFSET_S:
                raise OSError(f"its nearest picture is {abs(taken_s - at_s):.1f} s away")
            larger = shrunk(preprocess(frame), MAX_SIDE)
            if (other := difference(seen, larger)) is not None:
                raise OSError(other)
        except (OSError, ValueError) as error:
            self._refused, self._refused_s = self._told(error), monotonic_s()
            raise OSError(self._refused) from error
        self._refused = ""
        return larger, taken_s - at_s

    def _told(self, error: Exception) -> str:
        text, shown = describe_error(error), redacted_url(self._url)
        return text if text.startswith(shown) else f"{shown}: {text}"

    def _decoded(self, at_s: float) -> tuple[Frame, float]:
        """From the ring."""
        until_s = monotonic_s() + LATE_S
        while self._ring.newest_s < at_s and monotonic_s() < until_s:
            time.sleep(0.02)
        chain = self._ring.chain(at_s)
        if not chain:
            raise OSError("no key picture came yet; does it send one every 2 s?")
        data = b"".join(unit.data for unit in chain)
        frame, number = decode_last(data, self._codec, len(chain), self._max_pixels, DECODE_S)
        return frame, chain[number - 1].at_s

    def _requested(self) -> tuple[Frame, float]:
        """From an HTTP camera."""
        capture = open_capture(
            self._url, self._open_s, self._read_s, trust=self._trust, max_pixels=self._max_pixels
        )
        try:
            good, frame = capture.read()
            if not good:
                raise OSError(capture.error or "it answers, but no picture came")
            return frame, monotonic_s()
        finally:
            capture.release()

    def opened(self, video: AnnouncedVideo) -> None:
        """Media begins. ValueError: it is of a kind that can't be kept."""
        if video.codec not in CODECS:
            raise ValueError(f"sends {video.codec}; set this stream to H.264 or H.265")
        self._codec = video.codec

    def take(self, unit: AccessUnit) -> None:
        """The next encoded picture."""
        self._ring.add(unit)
        if self._ring.bytes:
            self._unavailable = None

    def client_settings(self) -> tuple[SplitResult, Trust, int, float]:
        """For the connection: URL, trust, largest picture, read timeout."""
        return urlsplit(self._url), self._trust, self._max_pixels, self._read_s


class _Receiver(StreamClient):
    """Receives all media of an RTSP stream."""

    def __init__(self, stream: EvidenceStream) -> None:
        parts, trust, max_pixels, self._read_s = stream.client_settings()
        super().__init__(parts, trust, max_pixels)
        self._stream = stream

    async def _receive(self, video: AnnouncedVideo, keep_alive: Callable[[], None]) -> None:
        self._stream.opened(video)
        units = AccessUnits(video.codec, video.payload, video.parameter_sets)
        data, alive_s, loop = bytearray(), monotonic_s(), asyncio.get_running_loop()
        while True:
            self.limit.reschedule(loop.time() + self._read_s)
            chunk = await self._reader.read(65536)
            if not chunk:
                raise OSError("the stream ended")
            data += chunk
            now_s, at = monotonic_s(), 0
            while (size := message_size(data, at)) > 0:
                if data[at] == 0x24 and data[at + 1] == 0:
                    for unit in units.feed(bytes(data[at + 4 : at + size]), now_s):
                        self._stream.take(unit)
                at += size
            del data[:at]
            if now_s - alive_s > KEEP_ALIVE_S:
                alive_s = now_s
                keep_alive()
