"""Faults that blind a camera: frames in, frames out. The stream itself implements ``frozen``: it repeats a
frame.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Change = Callable[[Frame], Frame]
FROZEN = "frozen"
FPS_DROP, RESOLUTION, CORRUPT_JPEG, AUTH_REFUSED = "fps_drop", "resolution", "corrupt_jpeg", "auth_refused"
"""Faults of the stream, which `simulators.scene.VideoStream` implements as it does ``frozen``."""


def noisy(picture: "NDArray[Any]", sigma: float) -> Frame:
    """The picture with sensor noise, in grey levels; the same picture gets the same noise."""
    import numpy as np

    seed = int(np.abs(picture[::7, ::7]).sum())
    off = np.random.default_rng(seed).normal(0, sigma, picture.shape) if sigma else 0
    return np.asarray(np.clip(picture + off, 0, 255), np.uint8)


def dimmed(gamma: float, noise: float = 0) -> Change:
    """Nightfall: no blinding, as long as something is visible."""
    import numpy as np

    table = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return lambda frame: noisy(table[frame], noise)


def turned(degrees: float = 0, aside: float = 0) -> Change:
    """The camera moved: rolled, or turned aside by a share of the picture."""

    def change(frame: Frame) -> Frame:
        import cv2
        import numpy as np

        rows, columns = frame.shape[:2]
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
        matrix[:, 2] += (aside * columns, aside * rows / 2)
        moved = cv2.warpAffine(frame, matrix, (columns, rows), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(moved, np.uint8)

    return change


def blurred(frame: Frame) -> Frame:
    """Out of focus, or rain on the glass."""
    import cv2
    import numpy as np

    return np.asarray(cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 100), np.uint8)


def covered(frame: Frame) -> Frame:
    """A hand before the lens: no detail, a soft shade, sensor noise."""
    import numpy as np

    rows, columns = frame.shape[:2]
    shade = 10 * np.sin(np.arange(columns) / 150)[None] + 8 * np.cos(np.arange(rows) / 110)[:, None]
    return noisy(np.clip(np.array([70, 90, 120]) + shade[:, :, None] + frame * 0.01, 0, 255), 3)


def foggy(left: float, noise: float = 0) -> Change:
    """Fog; ``left`` is the share of the contrast that remains."""
    return lambda frame: noisy(frame * left + 200 * (1 - left), noise)


BLINDINGS: dict[str, Change] = {
    "dark": lambda frame: noisy(frame * 0.0, 3),
    "over_exposed": lambda frame: noisy(frame * 5.0 + 60, 0),
    "covered": covered,
    "blurred": blurred,
    "fog": foggy(0.15, noise=2),
    "turned": turned(aside=0.3),
}
"""By the reason that the agent reports."""


def corrupt_jpeg(data: bytes) -> bytes:
    """A picture that is damaged in its middle and ends early, as after lost packets."""
    half = len(data) // 2
    return data[:half] + b"\xff\x00\xff\xd8" * 20
