"""What the agent shows of a camera; exported by `console.agent_views`, which explains times and shares."""

from dataclasses import dataclass
from typing import Literal, TypedDict


class SeenObject(TypedDict):
    """A tracked object; ``box``: left, top, right, bottom (0..1)."""

    track: int
    label: str
    score: float
    box: list[float]
    zones: list[str]
    sure: bool


class Blind(TypedDict):
    zone: str
    why: str
    for_s: float


class Progress(TypedDict):
    """How far a rule is, and why it holds back, such as ``seen in 3 of 5 frames``."""

    rule: str
    kind: str
    camera: str | None
    zone: str | None
    track: int | None
    state: Literal["met", "holding", "not_met", "blind", "off_schedule"]
    code: str
    """The reason in one word, for translations: see `agent.domain.progress`."""
    text: str
    have: float | None
    need: float | None
    unit: str | None


class Load(TypedDict):
    """Work of the detector on a camera. ``fps`` and ``detect_ms`` are recent, counts since it was opened."""

    fps: float | None
    inferences_per_s: float | None
    detect_ms: float | None
    looked: int | None
    skipped: int | None
    configured_fps: float | None
    """Inferences a second that the configuration asks for; None: of each frame."""
    cores_used: float | None


class Redacted(TypedDict):
    """People found in the picture, and covered; ``whole``: the picture is fully redacted."""

    people: int | None
    covered: int
    whole: bool
    redacted: bool
    """False only under a rescue grant: people are shown."""


class CameraMeta(TypedDict):
    """What the agent sees in a frame. ``width`` and ``height``: of the source picture in pixels."""

    camera: str
    frame: int | None
    at: str | None
    age_s: float | None
    width: int | None
    height: int | None
    objects: list[SeenObject]
    camera_moves: bool
    zones: dict[str, list[list[float]]]
    lines: dict[str, list[list[float]]]
    blind: list[Blind]
    progress: list[Progress]
    load: Load
    redacted: Redacted | None
    picture_frame: int | None
    """The frame that the picture shows: older than ``frame`` where redaction takes long."""
    picture_age_s: float | None
    no_picture: str | None
    """Why there is no picture."""


@dataclass(frozen=True, slots=True)
class CameraView:
    """A camera at one instant; ``jpeg`` is redacted, and empty where the newest picture was sent before."""

    meta: CameraMeta
    jpeg: bytes = b""
