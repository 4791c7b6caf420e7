"""An observation: who said what, and when. Everything that the rules know comes through here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from firmware_bridge.readings import BoardState, LineState
from firmware_bridge.readings import Value as WireValue
from models.detection import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """One tracked object in one frame; ``zones`` are those that its foot point stands in.

    ``label`` is what the track was taken for most. Not ``sure``: it is here because it was seen surely a
    moment ago, and something like it is seen still, below the score that the camera wants.
    """

    track: int
    label: str
    score: float
    box: Box
    zones: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a camera sees in one frame, also when that is nothing.

    ``delay_s``: from the frame in hand to this sighting (waiting, inference, tracking). ``camera_moves``:
    the camera itself turned or shook, so that its zones are elsewhere in this frame. ``frame_with_people``
    is the frame with the boxes of its people (`agent.privacy.redaction`), where pictures may be made of it;
    it is never serialised.
    """

    kind: Literal["sighting"] = "sighting"
    frame: int
    objects: tuple[SeenObject, ...]
    delay_s: float = 0.0
    camera_moves: bool = False
    frame_with_people: Annotated[Any, Field(exclude=True)] = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """How a camera does, now and then. It is no sign of life.

    Counts since it was opened: ``frames`` came, ``skipped`` were never taken up because newer ones came,
    ``looked`` is how many the detector saw, ``lost`` packets were lost on the way, where that can be known.
    Of late: ``fps`` came a second, ``detect_ms`` for each look. ``granted`` is what a V4L2 driver agreed to,
    such as ``1280x720 MJPG 30 fps``.
    """

    kind: Literal["camera_state"] = "camera_state"
    frames: int
    skipped: int
    width: int
    height: int
    looked: int = 0
    fps: float = 0.0
    detect_ms: float = 0.0
    lost: int = 0
    granted: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindZone:
    """A zone that can't be seen: why, in a word such as dark, covered or frozen, and for how long now."""

    zone: str
    why: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a camera can see now: all of its ``zones`` but those that are ``blind``."""

    kind: Literal["view"] = "view"
    zones: tuple[str, ...]
    blind: tuple[BlindZone, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passes, about once a second, so that rules need no clock."""

    kind: Literal["tick"] = "tick"


SelfReport: TypeAlias = LineState | BoardState | CameraState | View
"""What a source says of itself, now and then: it is no sign that it speaks."""

Value = Annotated[WireValue | Sighting | CameraState | View | Tick, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Observation:
    """``source`` said ``value`` at ``at`` (this machine's UTC).

    ``mono_s`` is the monotonic clock at the same instant: intervals are measured with it, so that a
    clock that jumps ends no dwell and breaks no silence. ``doubt`` is why the fix in it is not to be taken
    for where the device is (`agent.positioning.locator`).
    """

    source: str
    at: datetime
    mono_s: float
    value: Value
    doubt: str | None = None


def observed(source: str, value: Any, at: datetime, now_s: float) -> Observation:
    """What ``source`` says now, with the time at which it was so: a frame is older than its sighting."""
    delay_s = value.delay_s if isinstance(value, Sighting) else 0.0
    return Observation(source, at - timedelta(seconds=delay_s), now_s - delay_s, value)
