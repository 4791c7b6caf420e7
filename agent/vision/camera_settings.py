"""The configuration of a camera."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from agent.domain.durations import Duration
from agent.domain.zones import Zone
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.vision.camera_url import ENCRYPTED, MAX_PIXELS, Trust, kind_of
from agent.vision.detector import DetectorSettings
from agent.vision.motion_gate import Motion
from agent.vision.preprocess import Crop, Turn
from agent.vision.v4l2_mode import Mode
from agent.vision.visibility import VisibilitySettings
from firmware_bridge.secret import NearPath, Secret
from firmware_bridge.source import Server, SourcePart


class CameraSettings(SourcePart):
    """A camera: V4L2 (a number or /dev/video…), rtsp(s)://, http(s)://, udp://, rtp://, or a file."""

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
    ground: GroundSurvey | None = None
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
