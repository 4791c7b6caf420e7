"""What the default detector can't see in a zone of a camera, from its ground points or its mount. Pure."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from types import SimpleNamespace

from agent.domain.zones import Corner
from agent.positioning.apparent_size import ZoneView, zone_view
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.vision.view_limits import ViewLimit, view_limits
from console.pages.cameras.ground import GroundDrawing
from console.pages.cameras.proposal import CameraInForce

DEFAULT_MODELS = (None, "default", "wide", "nanodet-g", "nanodet-g-416", "nanodet-g-wide")


def zone_limits(
    now: CameraInForce,
    ground: GroundDrawing,
    zone: Sequence[Corner],
    labels: Collection[str],
    size: tuple[int, int],
) -> list[ViewLimit] | None:
    """The limits that the zone exceeds; empty for another model, whose limits are not known.

    None where neither ground points nor a mount tell the view. ``size``: of the picture in pixels.
    """
    if now.detector.get("model") not in DEFAULT_MODELS:
        return []
    view = _view(now, ground, zone, size)
    return None if view is None else list(view_limits(view, size, labels, closer=_closer(now)))


def _view(
    now: CameraInForce, ground: GroundDrawing, zone: Sequence[Corner], size: tuple[int, int]
) -> ZoneView | None:
    survey, mount = None, None
    with suppress(ValueError):  # too few points yet
        patch = ground.patch()
        survey = None if patch is None else GroundSurvey.model_validate(patch)
    with suppress(ValueError):
        mount = None if now.mount is None else Mount.model_validate(now.mount)
    return zone_view(SimpleNamespace(ground=survey, mount=mount, crop=now.crop), zone, size)


def _closer(now: CameraInForce) -> float | None:
    """How much larger parts of the frame are examined; None: in full resolution."""
    if now.detector.get("regions", "auto") != "never":
        return None
    try:
        return float(min(int(side) for side in str(now.detector.get("tiles", "1x1")).split("x")))
    except ValueError:
        return 1.0
