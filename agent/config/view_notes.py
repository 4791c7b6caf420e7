"""Notes on the zones of cameras: what the default detector can't see there, and which have no survey."""

from collections import defaultdict
from collections.abc import Iterator

import models
from agent.config.model import Config
from agent.positioning.apparent_size import ground_view, zone_view
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from agent.vision.view_limits import USUAL_FRAME, view_limits


def view_notes(config: Config) -> Iterator[str]:
    """One line for each zone of a surveyed camera that lies beyond the limits of the default model."""
    for (name, zone), labels in _zones(config).items():
        camera = config.cameras()[name]
        size = _frame_size(camera)
        view = zone_view(camera, camera.zones[zone], size)
        if view is None or not _is_default(camera):
            continue
        for limit in view_limits(view, size, labels, closer=closer_view(camera.detector)):
            yield f"sources.{name}.zones.{zone}: {limit}"


def survey_notes(config: Config) -> Iterator[str]:
    """One line with the cameras whose zones can't be judged, and how to survey them."""
    cameras = config.cameras()
    names = dict.fromkeys(
        name
        for name, _ in _zones(config)
        if cameras[name].mount is None and ground_view(cameras[name], USUAL_FRAME) is None
    )
    if names:
        yield (
            f"the sizes of people in the zones of {', '.join(names)} are not known: click at least 4 ground"
            " points in the console's page Cameras, or see ringpost ground, or set mount: {fov_deg, height_m,"
            " pitch_deg}"
        )


def _is_default(camera: Camera) -> bool:
    """Whether the limits of the default model apply; those of another are not known."""
    try:
        return camera.detector.card().name == models.find("default").name
    except (OSError, ValueError):  # reported as an error of the configuration
        return False


def closer_view(detector: DetectorSettings) -> float | None:
    """How much larger parts of the frame are examined; None: in full resolution."""
    if detector.regions != "never":
        return None
    return float(min(int(side) for side in detector.tiles.split("x")))


def _zones(config: Config) -> dict[tuple[str, str], set[str]]:
    """The labels of all rules by camera and zone."""
    result: dict[tuple[str, str], set[str]] = defaultdict(set)
    for rule in config.rules.values():
        reference = rule.camera_reference()
        camera = config.sources.get(reference.camera) if reference else None
        if reference is None or not isinstance(camera, Camera):
            continue
        for _, zone in reference.zones:
            if zone in camera.zones:
                result[reference.camera, zone] |= {label for _, label in reference.labels}
    return result


def _frame_size(camera: Camera) -> tuple[int, int]:
    if camera.ground is not None:
        return camera.ground.picture
    if camera.width and camera.height:
        size = (camera.width, camera.height) if camera.rotate in (0, 180) else (camera.height, camera.width)
    else:
        size = USUAL_FRAME if camera.rotate in (0, 180) else (USUAL_FRAME[1], USUAL_FRAME[0])
    left, top, right, bottom = camera.crop or (0.0, 0.0, 1.0, 1.0)
    return max(1, round(size[0] * (right - left))), max(1, round(size[1] * (bottom - top)))
