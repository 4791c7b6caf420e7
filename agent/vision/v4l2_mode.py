"""What a V4L2 camera is asked for, and what its driver grants."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.vision.capture_properties import FOURCC, FPS, FRAME_HEIGHT, FRAME_WIDTH


@dataclass(frozen=True, slots=True)
class Mode:
    """What a V4L2 camera is asked for; None leaves it to the driver."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def parameters(self) -> list[int]:
        """Pairs of property and value, as OpenCV wants them: the format first, as the driver does."""
        fourcc = self.pixel_format and int.from_bytes(self.pixel_format.ljust(4).encode(), "little")
        rate = self.fps and round(self.fps)
        wanted = ((FOURCC, fourcc), (FRAME_WIDTH, self.width), (FRAME_HEIGHT, self.height), (FPS, rate))
        return [number for key, value in wanted if value for number in (key, value)]

    def missed(self, given: str | None) -> str | None:
        """What was asked for and not granted, in words."""
        size = f"{self.width}x{self.height}" if self.width else None
        wanted = [one for one in (size, self.pixel_format) if one]
        if given is None or all(one in given.split() for one in wanted):
            return None
        return f"asked for {' '.join(wanted)}, the camera gives {given}"


def granted(get: Callable[[int], float]) -> str:
    """What a V4L2 driver agreed to, such as ``1280x720 MJPG 30 fps``."""
    code = int(get(FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")
    name = "".join(letter for letter in code if letter.isalnum()) or "?"
    return f"{get(FRAME_WIDTH):.0f}x{get(FRAME_HEIGHT):.0f} {name} {get(FPS):g} fps"
