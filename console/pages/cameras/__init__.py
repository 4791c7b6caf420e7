"""The page *Cameras*: live pictures, zones drawn in place, rules tried on the device."""

from console.pages.cameras.page import CamerasPage, frame_route

__all__ = ["CamerasPage", "frame_route"]
