"""What the agent shows through its local socket: the types of `console.agent_client.AgentClient`.

JSON objects are TypedDicts, as they came; streams with raw bytes give frozen dataclasses. Times are ISO 8601
in UTC, ages and durations seconds, boxes and corners shares of the picture (0..1), places WGS-84 degrees.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from console.camera_views import (
    Blind,
    CameraMeta,
    CameraView,
    Load,
    Progress,
    Redacted,
    SeenObject,
)

__all__ = [
    "ActiveAlert", "AlertMessage", "Alerts", "Blind", "CameraMeta", "CameraView", "ClientState", "ConfigView",
    "Counts", "Hello", "Load", "LogLine", "Now", "Picture", "Progress", "RawBytes", "Redacted", "SeenObject",
    "SentMessage", "SourceUpdate", "SourceValue", "Status", "StepFigures", "Trial",
]  # fmt: skip


class Hello(TypedDict):
    """The device and its agent. ``place``: ring, domain, site, post, timezone, lat and lon where surveyed."""

    device: str
    kind: str
    place: dict[str, Any]
    root: str
    version: str
    pid: int
    session: int
    simulated: bool
    data: str
    config_file: str | None
    device_key: str
    """Public key of the device, in hex."""
    roles_version: int | None
    cameras: list[str]
    sources: dict[str, str]
    """Kind of each source, by name."""
    started_at: str


class Status(TypedDict):
    state: Literal["online", "degraded"]
    reasons: list[str]


class Counts(TypedDict):
    """Messages of alerts, over restarts as far as the disk knows, counted since ``since``."""

    raised: int | None
    """None, as the other counts, while the disk hangs since the start."""
    committed: int | None
    """On the disk of the device, or confirmed by the centre already."""
    confirmed: int | None
    """Committed by the centre, which sent its receipt (with ``delivery: puback``: the broker's)."""
    owed: int | None
    """Not confirmed yet."""
    lost: int | None
    lost_more: NotRequired[bool]
    """More may be lost than is known: the file of alerts was damaged."""
    alerts: NotRequired[int]
    """Alerts that began; each leads to several messages (update, acknowledgement, end)."""
    stale: NotRequired[bool]
    """The disk hangs: the counts are those of before."""
    since: NotRequired[str]
    waiting_by_lane: NotRequired[dict[str, int]]
    """Undelivered messages of each lane that has some."""


class StepFigures(TypedDict):
    """Latency in ms of the latest ``n`` alerts of a rule."""

    p50: float
    p99: float
    n: int


class Now(TypedDict):
    """The device at one instant. ``health`` is the body of the ``health`` message, made anew."""

    at: str
    status: Status
    health: dict[str, Any]
    counts: Counts
    latency: dict[str, dict[str, StepFigures]]
    """By rule and step (``frame_to_detection`` …, and ``total``)."""
    active: dict[str, int]
    """Number of active alerts by severity."""
    deployment: dict[str, Any]
    """As ``config/reported``."""
    rescue_mode: dict[str, Any] | None
    progress: list[Progress]
    """How far each rule is; of cameras without the objects of a blind zone, see `CameraMeta`."""


class SourceValue(TypedDict):
    """The newest value of a source of one kind and key (quantity, switch, vessel …)."""

    source: str
    kind: str
    """Of the source, such as ``nmea`` or ``camera``."""
    value_kind: str
    key: str
    value: dict[str, Any]
    """As in `firmware_bridge.readings`, by the name of each field."""
    at: str
    age_s: float
    rate_hz: float | None
    doubt: NotRequired[str]
    """Why its fix is not accepted as the position of the device."""


@dataclass(frozen=True, slots=True)
class SourceUpdate:
    """Values of sources: first all (``snapshot``), then the new ones, at most 4 updates a second."""

    values: list[SourceValue]
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Bytes that a serial line received at ``at``; ``left_out`` bytes before them were not shown."""

    source: str
    at: str
    data: bytes
    left_out: int = 0


class ActiveAlert(TypedDict):
    """The fields of an alert as in its message (more keys than here), with the ledger of its last message."""

    alert_id: str
    phase: str
    kind: str
    rule: str
    severity: str
    text: str
    since: str
    at: str
    message_id: NotRequired[str]
    steps_ms: NotRequired[dict[str, float]]
    receipt_at: NotRequired[str | None]
    acknowledged: NotRequired[dict[str, Any]]
    escalation: NotRequired[int]
    media: NotRequired[list[str]]


class AlertMessage(TypedDict):
    """One message about an alert, from the outbox or from the history of confirmed ones."""

    message_id: str
    alert_id: str
    phase: str
    at: str
    alert: dict[str, Any]
    """As in the message."""
    steps_ms: dict[str, float]
    confirmed: bool
    receipt_at: str | None
    acknowledged: dict[str, Any] | None
    escalation: int
    told: dict[str, Any]
    """``brokers``: urls of those that have it; ``outputs``: ``source/name`` of those switched on."""


class Alerts(TypedDict):
    active: list[ActiveAlert]
    recent: list[AlertMessage]


@dataclass(frozen=True, slots=True)
class Picture:
    """A redacted JPEG of an alert; ``meta``: alert_id, n, camera, at, people, covered, whole, bytes."""

    jpeg: bytes
    meta: dict[str, Any] = field(default_factory=dict)


class Trial(TypedDict):
    """A revision on trial. ``confirm``: whether it waits for somebody who confirms it."""

    revision: int | None
    since: str | None
    waiting_for: str
    deadline: str | None
    confirm: bool


class ConfigView(TypedDict):
    text: str
    revision: int | None
    sha256: str
    file_text: str | None
    """The file at the device, which a push does not change."""
    file_sha256: str | None
    history: list[dict[str, Any]]
    drift: str | None
    """What differs between the file and the configuration in force, in one line."""
    trial: Trial | None
    reported: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message as it entered the write buffer: command/result, config/reported, status, alert,
    alerts/active."""

    topic: str
    body: dict[str, Any]


class LogLine(TypedDict):
    at: str
    level: str
    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClientState:
    """Whether the agent is reached; ``reason`` says in one line why not."""

    name: Literal["connected", "waiting"]
    reason: str | None = None
