"""Which decoders to try for a camera (``decode``): a hardware decoder, and the CPU at last.

OpenCV's wheel has FFmpeg with the decoders of V4L2 (h264_v4l2m2m and hevc_v4l2m2m, as on a Raspberry Pi 4);
others need an OpenCV that is built with them. What can't be opened costs only time, so the next is tried.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.host.machine import machine_root

CPU, AUTO, V4L2 = "cpu", "auto", "v4l2m2m"
ACCELERATIONS = {"any": 1, "d3d11": 2, "vaapi": 3, "mfx": 4, "drm": 5}
"""OpenCV's numbers of FFmpeg's hardware accelerations (cv2.VIDEO_ACCELERATION_…)."""
_given_up: set[str] = set()


@dataclass(frozen=True, slots=True)
class Decoder:
    """FFmpeg's options and OpenCV's acceleration (0: none) of one attempt."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    acceleration: int = 0


def attempts(decode: str, url: str) -> list[Decoder]:
    """The decoders to try in order. The last is the CPU, and after `give_up` it is the only one."""
    found: list[Decoder] = []
    if decode == V4L2 or (decode == AUTO and _has_v4l2_decoder()):
        found += [Decoder(V4L2, {"video_codec": f"{codec}_v4l2m2m"}) for codec in ("h264", "hevc")]
    if decode == AUTO:
        found.append(Decoder("any", acceleration=ACCELERATIONS["any"]))
    elif decode in ACCELERATIONS:
        found.append(Decoder(decode, acceleration=ACCELERATIONS[decode]))
    return [*(found if url not in _given_up else []), Decoder(CPU)]


def give_up(url: str) -> None:
    """A hardware decoder was opened for a camera, but gave no picture: the CPU decodes it from now on."""
    _given_up.add(url)


def _has_v4l2_decoder() -> bool:
    """Whether the kernel names a video device that decodes, such as bcm2835-codec-decode."""
    names = machine_root().glob("sys/class/video4linux/*/name")
    return any("dec" in path.read_text(errors="replace").lower() for path in names)
