"""An observation: one value of one source, with its times. Rules see nothing else."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from firmware_bridge.readings import BoardState, LineState
from firmware_bridge.readings import Value as WireValue
from models.detection import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """One tracked object in one frame; ``zones`` are those that contain its foot point.

    ``label`` is the most frequent label of the track. Without ``sure`` the object is carried on from a
    confident detection a moment ago by one below the camera's confidence threshold.
    """

    track: int
    label: str
    score: float
    box: Box
    zones: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The objects in one frame of a camera, possibly none.

    ``delay_s``: from the captured frame to this sighting (queueing, inference, tracking). ``camera_moves``:
    the camera itself turned or shook, so that its zones are displaced in this frame. ``frame_with_people``
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
    """Statistics of a camera, from time to time. Not a sign of life.

    Counts since it was opened: ``frames`` received, ``skipped`` in favour of newer ones, ``looked``:
    inferences, ``lost`` packets where known. Recent: ``fps`` received, ``detect_ms`` per inference, and
    ``regions`` examined a second beside whole frames, of those ``regions_wanted``.
    ``granted`` is the mode that a V4L2 driver has set, such as ``1280x720 MJPG 30 fps``.
    """

    kind: Literal["camera_state"] = "camera_state"
    frames: int
    skipped: int
    width: int
    height: int
    looked: int = 0
    fps: float = 0.0
    detect_ms: float = 0.0
    regions: float = 0.0
    regions_wanted: float = 0.0
    lost: int = 0
    granted: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindZone:
    """A zone without visibility: the reason, such as dark, covered or frozen, and for how long."""

    zone: str
    why: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The visibility of a camera: all of its ``zones`` can be judged except those in ``blind``."""

    kind: Literal["view"] = "view"
    zones: tuple[str, ...]
    blind: tuple[BlindZone, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passes: about once a second, so that rules need no clock."""

    kind: Literal["tick"] = "tick"


SelfReport: TypeAlias = LineState | BoardState | CameraState | View
"""Statistics of a source about itself: no evidence that it sends data."""

Value = Annotated[WireValue | Sighting | CameraState | View | Tick, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Observation:
    """``source`` sent ``value`` at ``at`` (UTC of this machine).

    ``mono_s`` is the monotonic clock at the same instant: intervals are measured with it, so that a step of
    the wall clock ends no dwell and no silence. ``doubt`` is the reason why its fix is not accepted as the
    position of the device (`agent.positioning.locator`).
    """

    source: str
    at: datetime
    mono_s: float
    value: Value
    doubt: str | None = None


def observed(source: str, value: Any, at: datetime, now_s: float) -> Observation:
    """A value received now, with the time at which it held: a frame is older than its sighting."""
    delay_s = value.delay_s if isinstance(value, Sighting) else 0.0
    return Observation(source, at - timedelta(seconds=delay_s), now_s - delay_s, value)
