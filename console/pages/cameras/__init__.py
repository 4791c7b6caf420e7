"""The page *Cameras*: live pictures, zones drawn in place, and rules tried on the device."""

from console.pages.cameras.frames import frame_route
from console.pages.cameras.page import build

__all__ = ["build", "frame_route"]
