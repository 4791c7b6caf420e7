"""A thread that drains one capture, so that a frame is never old when its turn comes."""

import math
import threading
import time
from collections.abc import Callable

from agent.runtime.native_calls import abandon
from agent.vision.camera_url import NO_TRUST, Trust, kind_of, redacted
from agent.vision.capture import Capture, open_capture
from agent.vision.capture_properties import FPS, POS_MSEC
from agent.vision.frame_timestamps import FrameClock
from agent.vision.v4l2_mode import Mode
from models.detection import Frame

DAMAGE_S = 3.0
"""So long after a loss pictures may be damaged: until the next key frame, and some for what is buffered."""
NO_PICTURE = "it sends, but no picture came; does it send a key frame every 2 s?"


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
        every_s = 0.0 if live or not self._paced else 1 / (capture.get(FPS) or 25.0)
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
                at_s = clock.at_s(self.heard_s, capture.get(POS_MSEC) / 1000) if live else self.heard_s
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
