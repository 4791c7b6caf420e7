"""The configuration of one device as frozen models; `agent.config.loader` reads it from a file."""

import math
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, field_validator

from agent.config.allow import Allow
from agent.domain.drill_settings import DrillSettings
from agent.domain.durations import Duration
from agent.domain.inference_rate import RequiredRate
from agent.domain.schedule import Hours, ZoneName
from agent.domain.site import Site
from agent.evidence.second_look import Verifier
from agent.evidence.settings import Evidence
from agent.mqtt.broker import Broker
from agent.positioning.device_position import DEFAULT_TOP_SPEED_MPS, PositionSettings
from agent.positioning.fix_quality import Positioning
from agent.positioning.locator import LocatorSettings
from agent.privacy.rescue_grant import Privacy
from agent.rules import Rule
from agent.vision.camera import Camera
from agent.vision.camera_url import FINGERPRINT_PATTERN
from firmware_bridge.catalogue import Line
from firmware_bridge.secret import CREDENTIAL, BoundPath, NearPath

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
DeviceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,31}$": "small letters, digits, - and _, 32 at most, such as cam1",
    r"^[a-z0-9-]{1,32}$": "small letters, digits and -, 32 at most, such as bridge-07",
    FINGERPRINT_PATTERN: "sha256: and the 64 hexadecimal digits of the certificate's hash",
    CREDENTIAL: "the name that the unit's LoadCredential= gives, such as mqtt-key",
}
Source = Annotated[Line | Camera, Field(discriminator="kind")]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
RESERVED = re.compile(r"host|groups|technician|centre|ringpost-.*|.*-elsewhere")
"""Client ids that other programs use, the second client id of a device, and the level of topics of groups."""


class Section(BaseModel):
    """One section of the file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


TOP_SPEED_MPS = {"patrol_boat": 30.0}
"""The highest plausible speed of a device by its kind; for any other kind `DEFAULT_TOP_SPEED_MPS`."""


class Place(Section):
    """The location of the post. ``lat`` and ``lon`` (WGS-84) are surveyed, for fixed posts."""

    ring: Literal["perimeter", "ring_road", "inner_city"]
    domain: Literal["ground", "underground", "air", "water", "between"]
    site: str
    post: str
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    timezone: ZoneName = "UTC"
    """The time zone of all schedules, such as Asia/Shanghai."""


class Duty(Section):
    """The unit and the role on duty, never names of people."""

    unit: str
    responsible: str
    schedule: Hours | None = None
    route: NearPath | None = None


class Data(Section):
    """The directory of the outbox and of all other data, and its size limit."""

    directory: BoundPath = Path("/var/lib/ringpost")
    max_mb: int = Field(default=512, ge=32, le=1_000_000)
    video_folder: BoundPath | None = None
    """A push may name files below it as cameras; without it, only the files that the local file names."""


class Reporting(Section):
    """Report intervals while nothing changes."""

    telemetry_every: Duration = Field(default="10s", validate_default=True, ge=SECOND, le=DAY)
    readings_every: Duration = Field(default="5s", validate_default=True, le=DAY)
    """At most one reading of each quantity is sent in this time; rules get all of them. 0s sends all."""
    position_every: Duration = Field(default="5s", validate_default=True, ge=0.2 * SECOND, le=DAY)
    """The fastest rate of positions, while the device moves; one that stands says where it is each 60s."""
    health_every: Duration = Field(default="60s", validate_default=True, ge=SECOND, le=DAY)
    alert_budget: Duration = Field(default="2s", validate_default=True, ge=0.1 * SECOND, le=60 * SECOND)
    """``health`` names the rules whose alerts take longer (p95, without the hold time of the rule)."""


class History(Section):
    """What the rules saw, kept for `what_if`: no pictures. Within ``data.max_mb``."""

    hours: float = Field(default=24, ge=0, le=168)
    """0: nothing is kept."""
    max_mb: int = Field(default=32, ge=1, le=1024)


class Config(Section):
    """One device: its place, its sources, its rules, and where it reports."""

    schema_version: Literal[1]
    device: DeviceName
    kind: Literal["checkpoint_camera", "patrol_boat", "drone_ground_station", "metro_post", "watch_point"]
    place: Place
    duty: Duty | None = None
    holidays: tuple[date, ...] = Field(default=(), max_length=1000)
    """The days that PH stands for in schedules."""
    groups: tuple[Name, ...] = Field(default=(), max_length=16)
    """Groups of devices that this one belongs to, beside those of its kind, ring and domain."""
    roles: NearPath | None = None
    """The roles document: which keys may order what. Without it the device takes no order."""
    broker: Broker
    data: Data = Data()
    history: History = History()
    reporting: Reporting = Reporting()
    evidence: Evidence = Evidence()
    privacy: Privacy = Privacy()
    positioning: Positioning = Positioning()
    drill: DrillSettings = DrillSettings()
    sources: dict[Name, Source] = Field(default_factory=dict, max_length=64)
    rules: dict[Name, Rule] = Field(default_factory=dict, max_length=256)
    guarded_rules: tuple[Name, ...] = Field(default=(), max_length=256)
    """Rules whose change takes as many signatures as the roles document demands; no push changes the list."""
    allow: Allow = Allow()
    """What a push may name; no push changes it."""
    _rules_as_written: dict[str, Rule] | None = PrivateAttr(default=None)

    @field_validator("device")
    @classmethod
    def _not_reserved(cls, device: str) -> str:
        if RESERVED.fullmatch(device):
            raise ValueError(f"{device!r} is reserved; choose a name such as bridge-07")
        return device

    @property
    def rules_as_written(self) -> dict[str, Rule]:
        """The rules before they take place, duty and holidays from the rest of the configuration."""
        return self.rules if self._rules_as_written is None else self._rules_as_written

    def with_rules(self, resolved: dict[str, Rule]) -> Self:
        """The configuration with its rules completed from the rest of it."""
        copy = self.model_copy(update={"rules": resolved})
        copy._rules_as_written = self.rules
        return copy

    def all_groups(self) -> tuple[str, ...]:
        """The groups that a push may be sent to and that hold this device, the most general first."""
        place = self.place
        general = ("all", f"domain.{place.domain}", f"ring.{place.ring}", f"kind.{self.kind}")
        return (*general, *(f"group.{name}" for name in self.groups))

    def outputs(self) -> dict[str, list[str]]:
        """The names of the outputs that may be switched, by source."""
        found = {name: list(source.output_names()) for name, source in self.sources.items()}
        return {name: outputs for name, outputs in found.items() if outputs}

    def cameras(self) -> dict[str, Camera]:
        """The sources that are cameras, by name."""
        return {name: source for name, source in self.sources.items() if isinstance(source, Camera)}

    def history_bytes(self) -> int:
        """The size of the history: at most an eighth of ``data.max_mb``, of which it is a part."""
        return min(self.history.max_mb * 1_000_000, self.data.max_mb * 1_000_000 // 8)

    def outbox_bytes(self) -> int:
        """The size of the outbox: the rest of ``data.max_mb``."""
        return self.data.max_mb * 1_000_000 - self.history_bytes() * (self.history.hours > 0)

    def site(self) -> Site:
        """The part of the configuration that rules may use."""
        place, duty = self.place, self.duty
        return Site(
            timezone=place.timezone,
            holidays=frozenset(self.holidays),
            post=place.post,
            lat=place.lat,
            lon=place.lon,
            duty=duty.schedule if duty else None,
            route=duty.route if duty else None,
            required_rates={camera: tuple(needs) for camera, needs in self.required_rates().items()},
        )

    def locator_settings(self) -> LocatorSettings:
        """The settings for positions of the device and of alerts."""
        place, cameras = self.place, self.cameras()
        set_top = self.positioning.top_speed_mps
        return LocatorSettings(
            position=PositionSettings(
                positioning=self.positioning,
                surveyed=None if place.lat is None or place.lon is None else (place.lat, place.lon),
                top_speed_mps=TOP_SPEED_MPS.get(self.kind, DEFAULT_TOP_SPEED_MPS)
                if set_top is None
                else set_top,
                sources=tuple(self.sources),
            ),
            grounds={name: camera.ground for name, camera in cameras.items() if camera.ground},
            mounts={name: camera.mount for name, camera in cameras.items() if camera.mount},
        )

    def required_rates(self) -> dict[str, list[RequiredRate]]:
        """By camera: the inferences per second that each of its rules needs."""
        needs: dict[str, list[RequiredRate]] = {}
        for name, rule in self.rules.items():
            ref = rule.camera_reference()
            if ref is not None and ref.inferences_per_s is not None:
                zones: list[str | None] = [zone for _, zone in ref.zones]
                needs.setdefault(ref.camera, []).extend(
                    RequiredRate(f"{rule.kind} {name}", zone, ref.inferences_per_s)
                    for zone in zones or [None]
                )
        return needs

    def verifiers(self) -> dict[str, Verifier]:
        """The detectors of second looks, by camera, of the cameras whose rules ask for one."""
        found: dict[str, Verifier] = {}
        for rule in self.rules.values():
            ref = rule.camera_reference()
            camera = self.sources.get(ref.camera) if ref and rule.verification() else None
            if ref and isinstance(camera, Camera):
                own = camera.detector.verifying()
                found[ref.camera] = Verifier(own.model, own.load_untiled, own.max_load_s())
        return found

    def longest_gaps_s(self) -> dict[str, float]:
        """By camera url: the longest time between two inferences that its critical rules tolerate."""
        gaps: dict[str, float] = {}
        for rule in self.rules.values():
            ref = rule.camera_reference()
            camera = self.sources.get(ref.camera) if ref else None
            if ref and ref.inferences_per_s and rule.severity == "critical" and isinstance(camera, Camera):
                gaps[camera.url] = min(1 / ref.inferences_per_s, gaps.get(camera.url, math.inf))
        return gaps
