"""The mode (size, frame rate, pixel format) requested from a V4L2 camera, and the one its driver grants."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.vision.capture_properties import FOURCC, FPS, FRAME_HEIGHT, FRAME_WIDTH


@dataclass(frozen=True, slots=True)
class V4l2Mode:
    """A requested mode; None leaves a value to the driver."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def parameters(self) -> list[int]:
        """Pairs of property and value for OpenCV; the format comes first, as the driver requires."""
        fourcc = self.pixel_format and int.from_bytes(self.pixel_format.ljust(4).encode(), "little")
        rate = self.fps and round(self.fps)
        wanted = ((FOURCC, fourcc), (FRAME_WIDTH, self.width), (FRAME_HEIGHT, self.height), (FPS, rate))
        return [number for key, value in wanted if value for number in (key, value)]

    def refused(self, granted: str | None) -> str | None:
        """One line on a request that the driver did not grant, otherwise None."""
        size = f"{self.width}x{self.height}" if self.width else None
        requested = [value for value in (size, self.pixel_format) if value]
        if granted is None or all(value in granted.split() for value in requested):
            return None
        return f"asked for {' '.join(requested)}, the camera gives {granted}"


def granted_mode(get: Callable[[int], float]) -> str:
    """The mode that the driver granted, such as ``1280x720 MJPG 30 fps``."""
    return f"{get(FRAME_WIDTH):.0f}x{get(FRAME_HEIGHT):.0f} {format_name(get(FOURCC))} {get(FPS):g} fps"


def format_name(fourcc: float) -> str:
    """The letters of a FOURCC, such as MJPG or h264; "?" where it has none."""
    code = (int(fourcc) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
    return "".join(letter for letter in code if letter.isascii() and letter.isalnum()) or "?"
