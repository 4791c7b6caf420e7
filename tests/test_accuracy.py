"""mAP of the reference detectors through ``ringpost detect --coco``, beside what their own code reached.

The references are those of ../shared/models/README.md: measured there with other code than ours.
"""

import hashlib
from functools import cache
from pathlib import Path

import pytest

import models
from bench.accuracy import measure
from tests.thorough import all_or, only_long, part_of

SHARED = Path(__file__).resolve().parents[2] / "shared"
PICTURES = SHARED / "data" / "vision" / "pictures"
pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not PICTURES.exists(), reason="needs the pictures beside this folder: ../shared/data"),
]
SIZE = "width: 416, height: 416"
NANODET = f"{SIZE}, colour: bgr, mean: [103.53, 116.28, 123.675], std: [57.375, 57.12, 58.395]"
IMAGENET = "mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]"

SIXTH = range(1, 79, 6)
"""The pictures of a run that is not long: what they give was measured when all of them gave the reference. A wrong
resize moves one of the two figures by 0.02 or more, in each format."""

# card, input, AP50 and AP of the reference on all pictures, and those of this project on SIXTH
REFERENCES = {
    "nanodet-plus-m_416_raw": (
        "format: nanodet\nstrides: [8, 16, 32, 64]", f"{NANODET}, resize: stretch", (0.447, 0.284), (0.342, 0.212)
    ),
    "nanodet-m_416": ("format: nanodet", f"{NANODET}, resize: letterbox", (0.323, 0.183), (0.354, 0.169)),
    "nanodet-g_416": ("format: nanodet\nbins: 11", f"{NANODET}, resize: letterbox", (0.323, 0.208), (0.306, 0.180)),
    "picodet-s_416": (
        "format: nanodet\nstrides: [8, 16, 32, 64]", f"{SIZE}, {IMAGENET}, resize: stretch", (0.434, 0.270), (0.338, 0.208)
    ),
    "yolox_nano_416": (
        "format: yolox", f"{SIZE}, colour: bgr, pad: 114, corner: true, resize: letterbox", (0.327, 0.209), (0.366, 0.174)
    ),
    "centernet_mbv3_512": (
        "format: yolo\nvariant: end_to_end\noutput: tower_0/detections",
        "width: 512, height: 512, layout: nhwc, resize: stretch", (0.384, 0.205), (0.424, 0.222),
    ),
}  # fmt: skip

# The same weights at other sizes, quantised, or with all inside: AP50 and AP of this project on all pictures, since no
# other code's are known but 0.317 of nanodet-m_320, and on SIXTH.
OTHERS = {
    "nanodet-m_320": (
        "format: nanodet", f"{NANODET}, resize: letterbox".replace("416", "320"), (0.317, 0.189), (0.294, 0.150)
    ),
    "nanodet-plus-m_416_raw_int8": (
        "format: nanodet\nstrides: [8, 16, 32, 64]", f"{NANODET}, resize: stretch", (0.376, 0.229), (0.293, 0.195)
    ),
    "nanodet-plus-m_320x192_e2e": (
        "format: e2e", "width: 320, height: 192, resize: stretch", (0.364, 0.209), (0.168, 0.095)
    ),
    "nanodet-plus-m_512x288_e2e": (
        "format: e2e", "width: 512, height: 288, resize: stretch", (0.406, 0.246), (0.255, 0.156)
    ),
    "nanodet-plus-m_640x384_e2e": (
        "format: e2e", "width: 640, height: 384, resize: stretch", (0.421, 0.273), (0.466, 0.221)
    ),
}  # fmt: skip


@cache
def measured(model: str) -> dict[str, float]:
    return measure(PICTURES, model)


def test_the_default_reaches_the_reference_for_its_weights() -> None:
    """Measured before by other code: at 416x416 padded with black .323 and .208, by aspect and 114 this."""
    found = measured("default")
    assert (found["AP50"], found["AP"]) == pytest.approx((0.376, 0.221), abs=0.007)


def test_the_default_reaches_its_card() -> None:
    found, written = measured("default"), models.find("default").accuracy["pictures-78"]
    assert found["AP50"] == pytest.approx(written["AP50"], abs=0.001)
    assert found["AP50 person"] == pytest.approx(written["person_AP50"], abs=0.001)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *(pytest.param(*item, id=item[0]) for item in REFERENCES.items()),
        *(pytest.param(*item, id=item[0], marks=only_long) for item in OTHERS.items()),
    ],
)
def test_a_format_reaches_its_reference(
    tmp_path: Path, name: str, case: tuple[str, str, tuple[float, float], tuple[float, float]]
) -> None:
    form, size, reference, sixth = case
    weights = SHARED / "models" / f"{name}.onnx"
    if not weights.is_file():
        pytest.skip(f"needs the reference models beside this folder: ../shared/models/{name}.onnx")
    path = tmp_path / "card.yaml"
    path.write_text(
        f"name: {name.replace('_', '-')}\nweights: {weights}\norigin: test\nlicence: see its card\n{form}\n"
        f"sha256: {hashlib.sha256(weights.read_bytes()).hexdigest()}\ninput: {{{size}}}\n"
        f"labels: {list(models.find('default').labels)}\n"
    )
    expected, pictures = all_or((sixth, part_of(PICTURES, SIXTH, tmp_path)), (reference, PICTURES))
    found = measure(pictures, str(path))
    assert (found["AP50"], found["AP"]) == pytest.approx(expected, abs=0.005)
