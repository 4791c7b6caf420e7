"""What a camera delivers, as `agent.vision.camera.Camera.probe` found it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraProbe:
    """The size in pixels, the FOURCC ("?" where unknown), the seconds to the first frame, and the frames per
    second that arrived (None where they were not counted)."""

    width: int
    height: int
    format: str
    first_s: float
    fps: float | None
