"""A camera as a source: what is seen in its newest frame is told.

knock ─▶ Drain (a thread) ─▶ framing ─▶ Seat ─▶ Pool (threads) ─▶ here, in order: tracker, zones ─▶ emit
"""

import asyncio
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

import models
from agent.domain.contracts import Emit
from agent.domain.durations import Duration
from agent.domain.observations import SeenObject, Sighting
from agent.domain.zones import Zone, zones_of
from agent.positioning.camera_mount import Mount, Surveyed
from agent.privacy.redaction import FrameWithPeople, knows_people
from agent.runtime.native_calls import MOST_LEFT, abandoned_threads, within
from agent.vision.camera_stats import CameraStats
from agent.vision.camera_url import ENCRYPTED, MAX_PIXELS, Trust, kind_of
from agent.vision.capture import Drain, Mode, is_file, redacted
from agent.vision.detector import DetectorSettings
from agent.vision.inference_pool import SHARED, CameraSlot, CapturedFrame, InferenceResult
from agent.vision.motion_gate import Motion, MotionGate
from agent.vision.preprocess import Crop, Turn, framing
from agent.vision.stream_probe import probe_stream
from agent.vision.tracker import Tracked, Tracker
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from firmware_bridge.secret import NearPath, Secret
from firmware_bridge.source import Server, SourcePart, Wanted
from models.detection import Frame


class Camera(SourcePart):
    """A camera: V4L2 (a number or /dev/video…), rtsp(s)://, http(s)://, udp://, rtp://, or a file."""

    gives: ClassVar[frozenset[str] | None] = frozenset({"sighting", "view"})

    kind: Literal["camera"] = "camera"
    url: str = Field(min_length=1)
    username: str | None = None
    password: Secret | None = None
    ca: NearPath | None = None
    """The CA that signed the camera's certificate, for rtsps and https; without it those of the system."""
    basic: bool = False
    """Whether the password may go in clear text: as Basic, on a connection without TLS."""
    width: int | None = Field(default=None, ge=16, le=8192)
    height: int | None = Field(default=None, ge=16, le=8192)
    """Of V4L2: the size that the camera is asked for; width and height go together."""
    pixel_format: str | None = Field(default=None, pattern=r"^[A-Z0-9]{3,4}$")
    """Of V4L2: FOURCC of what it sends, such as MJPG for large pictures over USB 2, or YUYV."""
    camera_fps: float | None = Field(default=None, ge=1, le=240)
    """Of V4L2: how many frames a second it is asked for; ``fps`` is how many are looked at."""
    purpose: str = Field(min_length=3)
    """What this camera is for, in words: no camera without a purpose."""
    fps: float = Field(default=5, gt=0, le=60)
    """How many frames a second are looked at, at most."""
    rotate: Turn = 0
    """Clockwise, before anything else."""
    crop: Crop | None = None
    """Left, top, right, bottom of what is looked at, as fractions of the turned picture."""
    blackout: list[Zone] = Field(default_factory=list)
    """Polygons that are made black before anything looks; like zones, in what is left of the picture."""
    detector: DetectorSettings = DetectorSettings()
    motion: Motion = Motion()
    zones: dict[str, Zone] = Field(default_factory=dict)
    coverage: VisibilitySettings = VisibilitySettings()
    ground: Surveyed | None = None
    """Surveyed points, so that alerts say where on the ground they are: for a camera that never moves."""
    mount: Mount | None = None
    """How the camera sits on a boat, a drone or a mast, for the same."""
    loop: bool = False
    """A file starts again at its end."""
    every_frame: bool = False
    """A file waits until each of its frames was looked at, rather than play at its own speed."""
    open_timeout: Duration = Field(
        default="5s", validate_default=True, ge=timedelta(milliseconds=100), le=timedelta(minutes=5)
    )
    read_timeout: Duration = Field(
        default="5s", validate_default=True, ge=timedelta(milliseconds=100), le=timedelta(minutes=5)
    )

    @field_validator("url", mode="before")
    @classmethod
    def _beside(cls, url: Any, info: ValidationInfo) -> Any:
        """A number is a V4L2 camera; a relative file is relative to the configuration."""
        if isinstance(url, int) and not isinstance(url, bool):
            return str(url)
        if not isinstance(url, str) or not url:
            return url
        kind = kind_of(url)
        base = (info.context or {}).get("base")
        if kind == "file" and base is not None:
            return str(Path(base) / url)
        return url

    @model_validator(mode="after")
    def _login(self) -> Self:
        if re.match(r"\w+://([^/@]+|[^/@:]+:(?!\d+/)[^@]*)@", self.url):
            raise ValueError("url carries a user or password; use username and password: {file: …}")
        if self.ground is not None and self.mount is not None:
            raise ValueError("ground is for a camera that never moves, mount for any other: not both")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        kind, scheme = kind_of(self.url), self.url.partition("://")[0].lower()
        if self.ca is not None and scheme not in ENCRYPTED:
            raise ValueError("ca is for https:// and rtsps://: other connections have no certificate")
        if kind != "device" and self.mode != Mode():
            raise ValueError("width, height, pixel_format and camera_fps are for V4L2 cameras")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        if self.width and self.height and self.width * self.height > MAX_PIXELS:
            raise ValueError(f"width x height is larger than {MAX_PIXELS / 1e6:.0f} megapixels")
        return self

    @property
    def mode(self) -> Mode:
        """What a V4L2 camera is asked for."""
        return Mode(self.width, self.height, self.camera_fps, self.pixel_format)

    @property
    def trust(self) -> Trust:
        """To which servers its password may be given."""
        return Trust(self.ca, self.basic)

    def server(self) -> Server | None:
        if kind_of(self.url) != "stream":
            return None
        try:
            parts = urlsplit(self.url)
            return Server("url", parts.hostname or parts.netloc, parts.port)
        except ValueError:
            return None

    def secret_origin(self) -> str:
        """All before the path as written; who vouches for the server; whether anybody may listen."""
        origin = re.match(r".*?://[^/?#]*", self.url, re.DOTALL)
        if origin is None:
            return ""
        return origin[0] + (f" under {self.ca}" if self.ca else "") + (" in clear text" if self.basic else "")

    async def run(self, emit: Emit, _wanted: Wanted = dict) -> None:
        """Emits a `Sighting` for each frame let through, until the file ends or the camera is gone.

        OSError says in one line why: not there, refused, no frame in time.
        """
        if abandoned_threads() >= MOST_LEFT:
            raise OSError(f"{abandoned_threads()} native calls hang: no more are begun in this process")
        url = self._address()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust)
        load, what = self.detector.load, f"loading {self.detector.model}"
        detect, covers = await within(self.detector.load_s(), load, what)
        file = is_file(url)
        gate, tracker = MotionGate(self.motion), Tracker(self.detector.score)
        frame_it = framing(self.rotate, self.crop, self.blackout)
        every_frame = file and self.every_frame
        seat = CameraSlot(SHARED, gate.glance, detect, 0 if every_frame else 1 / self.fps, self.url)

        def take(number: int, at_s: float, frame: Frame) -> None:
            seat.offer(CapturedFrame(number, at_s, frame_it(frame)), wait=every_frame)

        drain = Drain(
            url,
            take,
            seat.wants,
            seat.wake,
            open_s=self.open_timeout.total_seconds(),
            read_s=self.read_timeout.total_seconds(),
            loop=self.loop,
            paced=not every_frame,
            trust=self.trust,
            mode=self.mode,
            fps=self.fps,
        )
        coverage = VisibilityMonitor(self.zones, self._watchfulness())
        pulse = CameraStats(drain, seat, None if file else self.fps, self.mode)
        with seat, drain:
            while not (drain.ended and seat.empty()):
                looked = await self._next(seat)
                drain.check()
                if looked is not None and coverage.due(looked.taken.at_s):
                    taken = looked.taken
                    whole = not drain.damaged(taken.at_s)
                    emit(await asyncio.to_thread(coverage.look, taken.frame, taken.at_s, learn=whole))
                if looked is not None and looked.seen is not None:
                    taken = looked.taken
                    moved = looked.glance.egomotion
                    tracked = tracker.track(self.detector.wanted(looked.seen), taken.at_s, moved)
                    if tracked or tracker.doubts:
                        gate.detected(taken.at_s)
                    objects = self._objects(tracked)
                    look = FrameWithPeople(taken.frame, looked.seen) if covers else None
                    delay_s = round(time.monotonic() - taken.at_s, 4)
                    # A frame, its time, and what is tracked in it: whoever wants all three gets them here.
                    emit(
                        Sighting(
                            frame=taken.number,
                            objects=objects,
                            delay_s=delay_s,
                            camera_moves=moved is not None and moved.far,
                            look=look,
                        )
                    )
                pulse.count(looked)
                if pulse.due():
                    emit(pulse.state())
            drain.check()
        emit(pulse.state())

    async def first_frame(self) -> tuple[int, int]:
        """Opens the camera, decodes one frame and lets it go: width and height. OSError says why not."""
        url, open_s = self._address(), self.open_timeout.total_seconds()
        await probe_stream(url, open_s, self.trust)
        sizes: list[tuple[int, int]] = []

        def take(_number: int, _at_s: float, frame: Frame) -> None:
            sizes.append((frame.shape[1], frame.shape[0]))

        with Drain(
            url,
            take,
            lambda _: True,
            lambda: None,
            open_s=open_s,
            read_s=self.read_timeout.total_seconds(),
            trust=self.trust,
            mode=self.mode,
            fps=self.fps,
        ) as drain:
            while not sizes:
                drain.check()
                if drain.ended and not sizes:
                    raise OSError(f"{redacted(self.url)}: ended before a frame came")
                await asyncio.sleep(0.05)
        return sizes[0]

    def _address(self) -> str:
        """The URL with its login, as FFmpeg wants it; it is told nowhere."""
        if self.username is None or self.password is None:
            return self.url
        login = f"{quote(self.username, safe='')}:{quote(self.password.read(), safe='')}@"
        return self.url.replace("://", f"://{login}", 1)

    async def _next(self, seat: CameraSlot) -> InferenceResult | None:
        try:
            return await seat.next(0.5)
        except ValueError as error:
            raise OSError(f"detector {self.detector.model}: {error}") from error

    def shows_nobody(self) -> bool:
        """Whether its model is known to know no people, so that no picture may leave."""
        try:
            return not knows_people(models.find(self.detector.model))
        except (OSError, ValueError):
            return False

    def _watchfulness(self) -> VisibilitySettings:
        """What turns with its platform has no view that is the right one."""
        turns = self.mount is not None and self.mount.heading_deg is None
        return self.coverage.model_copy(update={"moves": True}) if turns else self.coverage

    def _objects(self, tracked: list[Tracked]) -> tuple[SeenObject, ...]:
        return tuple(
            SeenObject(
                track=one.track,
                label=one.label,
                score=one.score,
                box=one.box,
                zones=zones_of(one.box, self.zones),
                sure=one.sure,
            )
            for one in tracked
        )
