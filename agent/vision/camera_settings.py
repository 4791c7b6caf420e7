"""The configuration section of a camera source."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from agent.domain.durations import Duration
from agent.domain.zones import Zone
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.vision.camera_url import (
    ENCRYPTED,
    FINGERPRINT_PATTERN,
    MAX_PIXELS,
    SCHEMES,
    Trust,
    source_kind,
)
from agent.vision.detector import DetectorSettings
from agent.vision.hardware_decoding import CPU
from agent.vision.motion_gate import MotionSettings
from agent.vision.preprocess import Crop, Rotation
from agent.vision.v4l2_mode import V4l2Mode
from agent.vision.visibility import VisibilitySettings
from firmware_bridge.secret import NearPath, Secret
from firmware_bridge.source import Server, SourcePart


def _normal_fingerprint(value: Any) -> Any:
    """``sha256 Fingerprint=AB:CD:…`` as OpenSSL prints it equals ``sha256:abcd…``."""
    if not isinstance(value, str):
        return value
    kind, _, digits = value.lower().replace(" fingerprint=", ":").partition(":")
    return f"{kind}:{digits.replace(':', '')}"


Fingerprint = Annotated[
    str, BeforeValidator(_normal_fingerprint), StringConstraints(pattern=FINGERPRINT_PATTERN)
]


EVIDENCE_SCHEMES = ("rtsp", "rtsps", "http", "https")


class CameraSettings(SourcePart):
    """The keys of a camera; frozen. `agent.vision.camera.Camera` runs it."""

    kind: Literal["camera"] = "camera"
    url: str = Field(min_length=1, max_length=2000)
    evidence_url: str | None = Field(default=None, min_length=1, max_length=2000)
    """The stream that pictures are made of, such as the main stream of a camera whose ``url`` is its
    sub-stream; with the same login and trust. RTSP or HTTP."""
    username: str | None = None
    password: Secret | None = None
    ca: NearPath | None = None
    """The CA of the camera's certificate, for rtsps and https. Default: the CAs of the system."""
    fingerprint: Fingerprint | None = None
    """The only certificate that is trusted, in place of a CA: ``sha256:…`` of a self-signed camera."""
    max_pixels: int = Field(default=MAX_PIXELS, ge=64 * 48, le=MAX_PIXELS)
    """A larger picture is refused before it is decoded."""
    decode: Literal["auto", "cpu", "v4l2m2m", "vaapi", "mfx", "drm"] = "cpu"
    """RTSP: what decodes ``url``. The CPU does, with a line in health, where the hardware can't be used."""
    basic: bool = False
    """Whether the password may be sent in clear text: Basic authentication without TLS."""
    width: int | None = Field(default=None, ge=16, le=8192)
    height: int | None = Field(default=None, ge=16, le=8192)
    """V4L2: requested size in pixels; width and height go together."""
    pixel_format: str | None = Field(default=None, pattern=r"^[A-Z0-9]{3,4}$")
    """V4L2: requested FOURCC, such as MJPG for large pictures over USB 2, or YUYV."""
    camera_fps: float | None = Field(default=None, ge=1, le=240)
    """V4L2: requested frame rate; ``fps`` is the inference rate."""
    purpose: str = Field(min_length=3)
    """The purpose of this camera, in words; required."""
    fps: float = Field(default=5, gt=0, le=60)
    """Maximum inferences per second."""
    rotate: Rotation = 0
    """Clockwise, in degrees; the first step."""
    crop: Crop | None = None
    """Left, top, right, bottom of the part to use, as fractions of the rotated picture."""
    blackout: list[Zone] = Field(default_factory=list)
    """Polygons set to black before inference; in coordinates of the cropped picture, like zones."""
    detector: DetectorSettings = DetectorSettings()
    motion: MotionSettings = MotionSettings()
    zones: dict[str, Zone] = Field(default_factory=dict)
    coverage: VisibilitySettings = VisibilitySettings()
    ground: GroundSurvey | None = None
    """Surveyed points for camera geolocation, for a fixed camera."""
    mount: Mount | None = None
    """Mount for camera geolocation, for a camera on a boat, a drone or a mast."""
    loop: bool = False
    """Whether a file starts again at its end."""
    every_frame: bool = False
    """Whether every frame of a file gets an inference, instead of playing at the file's frame rate."""
    open_timeout: Duration = Field(
        default="5s", validate_default=True, ge=timedelta(milliseconds=100), le=timedelta(minutes=5)
    )
    read_timeout: Duration = Field(
        default="5s", validate_default=True, ge=timedelta(milliseconds=100), le=timedelta(minutes=5)
    )

    @field_validator("url", mode="before")
    @classmethod
    def _beside(cls, url: Any, info: ValidationInfo) -> Any:
        """A number is a V4L2 camera; a relative path is relative to the configuration file."""
        if isinstance(url, int) and not isinstance(url, bool):
            return str(url)
        if not isinstance(url, str) or not url:
            return url
        kind = source_kind(url)
        base = (info.context or {}).get("base")
        if kind == "file" and base is not None:
            return str(Path(base) / url)
        return url

    @model_validator(mode="after")
    def _login(self) -> Self:
        if re.match(r"\w+://([^/@]+|[^/@:]+:(?!\d+/)[^@]*)@", self.url):
            raise ValueError("url carries a user or password; use username and password: {file: …}")
        if self.ground is not None and self.mount is not None:
            raise ValueError("ground is for a fixed camera, mount for any other: set one of them")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        kind, scheme = source_kind(self.url), self.url.partition("://")[0].lower()
        self._check_evidence_url(kind, scheme)
        for key in ("ca", "fingerprint"):
            if getattr(self, key) is not None and scheme not in ENCRYPTED:
                raise ValueError(f"{key} is for https:// and rtsps://: other connections have no certificate")
        if self.fingerprint is not None and self.ca is not None:
            raise ValueError("ca and fingerprint exclude each other: a fingerprint names the certificate")
        if self.decode != CPU and scheme not in ("rtsp", "rtsps"):
            raise ValueError("decode is for rtsp:// and rtsps://: others are decoded by the CPU")
        if kind != "device" and self.mode != V4l2Mode():
            raise ValueError("width, height, pixel_format and camera_fps are for V4L2 cameras")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        if self.width and self.height and self.width * self.height > self.max_pixels:
            raise ValueError(f"width x height is larger than max_pixels ({self.max_pixels})")
        return self

    def _check_evidence_url(self, kind: str, scheme: str) -> None:
        if self.evidence_url is None:
            return
        evidence_scheme = self.evidence_url.partition("://")[0].lower()
        if source_kind(self.evidence_url) != "stream" or evidence_scheme not in EVIDENCE_SCHEMES:
            raise ValueError(f"evidence_url is {', '.join(EVIDENCE_SCHEMES)}://HOST…")
        if kind != "stream":
            raise ValueError("evidence_url is for a camera whose url is a stream: this one has one stream")
        if urlsplit(self.evidence_url).username is not None:
            raise ValueError("evidence_url carries a user or password; it gets username and password")
        if scheme in ENCRYPTED and evidence_scheme not in ENCRYPTED:
            raise ValueError(
                f"evidence_url gives up the TLS of url: write {' or '.join(sorted(ENCRYPTED))}://"
            )

    @property
    def mode(self) -> V4l2Mode:
        """The requested V4L2 mode."""
        return V4l2Mode(self.width, self.height, self.camera_fps, self.pixel_format)

    @property
    def trust(self) -> Trust:
        """Which servers may get the password."""
        return Trust(self.ca, self.basic, self.fingerprint)

    def server(self) -> Server | None:
        return _server("url", self.url)

    def servers(self) -> tuple[Server, ...]:
        found = self.server(), _server("evidence_url", self.evidence_url or "")
        return tuple(server for server in found if server is not None)

    def secret_origin(self) -> str:
        """The URL up to its path, CA or fingerprint, and whether the password may be sent in clear text."""
        return self._origin(self.url)

    def secret_origins(self) -> tuple[str, ...]:
        urls = (self.url,) if self.evidence_url is None else (self.url, self.evidence_url)
        return tuple(self._origin(url) for url in urls)

    def _origin(self, url: str) -> str:
        origin = re.match(r".*?://[^/?#]*", url, re.DOTALL)
        if origin is None:
            return ""
        trusted = self.ca or self.fingerprint
        return origin[0] + (f" under {trusted}" if trusted else "") + (" in clear text" if self.basic else "")


def _server(key: str, url: str) -> Server | None:
    try:
        if source_kind(url) != "stream":
            return None
        parts = urlsplit(url)
        return Server(key, parts.hostname or parts.netloc, parts.port or SCHEMES.get(parts.scheme))
    except ValueError:
        return None
