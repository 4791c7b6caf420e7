"""Each output format against values worked out by hand, and against the reference detectors where they are."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import models
from models.detr import decode_detr
from models.nanodet import decode_nanodet
from models.paddle import decode_paddle
from models.raw import RawInput, Rows, prepare, suppress
from models.ssd import decode_ssd
from models.yolo import decode_yolo
from models.yolox import decode_yolox

SHARED = Path(__file__).resolve().parents[2] / "shared"
LABELS = models.find("default").labels
MEAN, STD = "[103.53, 116.28, 123.675]", "[57.375, 57.12, 58.395]"


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def test_yolox() -> None:
    output = zeros(1, 16 + 4 + 1, 7)  # 32 x 32 pixels: 4x4, 2x2 and 1 cells
    output[0, 16 + 3] = [0.5, 0.25, np.log(0.5), 0, 0.8, 0.1, 0.5]  # stride 16, column 1, row 1
    (row,) = decode_yolox(output, 32, 32, (8, 16, 32), 2, 0.2)
    assert row == pytest.approx([24 - 4, 20 - 8, 24 + 4, 20 + 8, 0.4, 1])


@pytest.mark.parametrize("split", [False, True], ids=["plus", "v0"])
def test_nanodet(split: bool) -> None:
    scores, sides = zeros(1, 20, 3), zeros(1, 20, 4 * 8) - 100
    scores[0, 16 + 1, 2] = 0.7  # stride 16, column 1, row 0
    for side, bin_number in enumerate((1, 0, 2, 1)):
        sides[0, 17, side * 8 + bin_number] = 0
    sides[0, 17, 3 * 8 + 2] = 0  # half 1, half 2: 1.5 strides down
    if split:
        outputs = {"a": sides[:, 16:], "b": scores[:, :16], "c": scores[:, 16:], "d": sides[:, :16]}
    else:
        outputs = {"output": np.concatenate([scores, sides], axis=2)}
    (row,) = decode_nanodet(outputs, 32, 32, (8, 16), 3, 8, 0.5)
    x, y = (24, 8) if split else (16, 0)
    assert row == pytest.approx([max(0, x - 16), y, min(32, x + 32), y + 24, 0.7, 2], abs=1e-4)


V5 = np.array([[[50, 40, 20, 10, 0.5, 0.2, 0.8]]], np.float32)
V8 = np.array([[[50], [40], [20], [10], [0.1], [0.4]]], np.float32)
END = np.array([[[40, 35, 60, 45, 0.4, 1]]], np.float32)


@pytest.mark.parametrize(("output", "variant"), [(V5, "v5"), (V8, "v8"), (END, "end_to_end")])
def test_yolo(output: Any, variant: Any) -> None:
    (row,) = decode_yolo(output, variant, 2)
    assert row == pytest.approx([40, 35, 60, 45, 0.4, 1])


def test_rtdetr_and_rfdetr() -> None:
    logits = np.array([[[-9, np.log(4), 9]]], np.float32)  # the last is the background, however sure
    rfdetr = {"dets": np.array([[[0.5, 0.5, 0.2, 0.4]]], np.float32), "labels": logits}
    (row,) = decode_detr(rfdetr, "rfdetr", 100, 50, 2)
    assert row == pytest.approx([40, 15, 60, 35, 0.8, 1])
    rtdetr = {
        "labels": np.array([[1]]),
        "boxes": np.array([[[40, 15, 60, 35]]], np.float32),
        "scores": np.array([[0.8]], np.float32),
    }
    assert decode_detr(rtdetr, "rtdetr", 64, 64, 2)[0] == pytest.approx([40, 15, 60, 35, 0.8, 1])


def test_detr_from_transformers_has_other_names() -> None:
    outputs = {
        "logits": np.array([[[0, np.log(4)]]], np.float32),
        "pred_boxes": np.array([[[0.5, 0.5, 0.2, 0.4]]], np.float32),
        "last_hidden_state": zeros(1, 1, 8),
    }
    (row,) = decode_detr(outputs, "rfdetr", 100, 50, 2)
    assert row == pytest.approx([40, 15, 60, 35, 0.8, 1])


def test_yolox_that_was_decoded_inside() -> None:
    output = zeros(1, 21, 7)
    output[0, 3] = [24, 20, 8, 16, 0.8, 0.1, 0.5]
    (row,) = decode_yolox(output, 32, 32, (8, 16, 32), 2, 0.2, decoded=True)
    assert row == pytest.approx([20, 12, 28, 28, 0.4, 1])


def test_paddle_has_the_class_first_and_leaves_out_nothing() -> None:
    boxes = np.array([[1, 0.4, 40, 35, 60, 45], [-1, 0, 0, 0, 0, 0]], np.float32)
    (row,) = decode_paddle({"multiclass_nms3_0.tmp_0": boxes, "num": np.array([1])})
    assert row == pytest.approx([40, 35, 60, 45, 0.4, 1])


def test_ssd() -> None:
    outputs = {
        "count": np.array([1], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
        "boxes": np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], np.float32),
        "classes": np.array([[1, 0]], np.float32),
    }
    (row,) = decode_ssd(outputs, ("boxes", "classes", "scores", "count"), 100, 200)
    assert row == pytest.approx([20, 20, 60, 100, 0.9, 1])
    with pytest.raises(ValueError, match="no output number"):
        decode_ssd(outputs, ("boxes", "classes", "scores", "number"), 100, 200)


WRONG = {
    "yolox": lambda: decode_yolox(zeros(1, 21, 8), 32, 32, (8, 16, 32), 2),
    "nanodet, cells": lambda: decode_nanodet({"o": zeros(1, 19, 35)}, 32, 32, (8, 16), 3),
    "nanodet, labels": lambda: decode_nanodet({"o": zeros(1, 20, 35)}, 32, 32, (8, 16), 4),
    "nanodet, four labels fewer": lambda: decode_nanodet({"o": zeros(1, 20, 39)}, 32, 32, (8, 16), 3),
    "paddle": lambda: decode_paddle({"o": zeros(1, 5)}),
    "nanodet, a pair short": lambda: decode_nanodet(
        {"a": zeros(1, 16, 3), "b": zeros(1, 4, 3)}, 32, 32, (8, 16), 3
    ),
    "yolo v5": lambda: decode_yolo(V5, "v5", 3),
    "yolo v8": lambda: decode_yolo(V5, "v8", 2),
    "yolo end to end": lambda: decode_yolo(V5, "end_to_end", 2),
    "detr": lambda: decode_detr({"a": zeros(1, 1, 4)}, "rfdetr", 9, 9, 2),
}


@pytest.mark.parametrize("decode", WRONG.values(), ids=WRONG.keys())
def test_other_shapes_are_refused(decode: Any) -> None:
    with pytest.raises(ValueError, match=r"shape|outputs|labels"):
        decode()


def test_overlaps_of_one_class_go_and_others_stay() -> None:
    rows: Rows = np.array(
        [[0, 0, 10, 10, 0.5, 0], [0, 0, 10, 9, 0.9, 0], [0, 0, 10, 10, 0.4, 1], [20, 0, 30, 10, 0.3, 0]],
        np.float32,
    )
    assert suppress(rows, 0.6)[:, 4] == pytest.approx([0.9, 0.4, 0.3])
    assert len(suppress(rows, 1.0)) == 4
    assert suppress(rows[:0], 0.6).shape == (0, 6)


def test_the_picture_is_prepared_as_the_card_says() -> None:
    frame = np.full((2, 4, 3), (10, 20, 30), np.uint8)
    how = RawInput(width=32, height=32, resize="stretch", mean=(10, 0, 0), std=(2, 1, 1))
    made = prepare(frame, how, "float16")
    assert (made.shape, made.dtype.name) == ((1, 3, 2, 4), "float16")
    assert made[0, :, 0, 0].tolist() == [10, 20, 10]
    centred = RawInput(width=32, height=32, resize="stretch", layout="nhwc", colour="bgr")
    assert prepare(frame, centred, "int8")[0, 0, 0].tolist() == [10 - 128, 20 - 128, 30 - 128]
    plain = RawInput(width=32, height=32, resize="stretch", layout="nhwc", colour="bgr")
    assert np.array_equal(prepare(frame, plain, "uint8"), frame[None])


def write(folder: Path, form: str, inputs: list[Any], outputs: dict[str, Any], options: str) -> str:
    """A card and a network of that format that sees the same in every picture."""
    nodes = [helper.make_node("Identity", [f"{name}_"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape)
            )
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(value, f"{name}_") for name, value in outputs.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data = bytes(made.SerializeToString())
    (folder / "tiny.onnx").write_bytes(data)
    card = folder / "tiny.yaml"
    card.write_text(
        f"name: tiny\nformat: {form}\nweights: tiny.onnx\nsha256: {hashlib.sha256(data).hexdigest()}\n"
        f"origin: made in a test\nlicence: none\nlabels: [person, boat]\n{options}\n"
    )
    return str(card)


SQUARE = "input: {width: 64, height: 64, resize: stretch}"


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8])
@pytest.mark.parametrize("shape", [[1, 3, 64, 64], ["n", 3, "h", "w"]], ids=["fixed", "dynamic"])
def test_a_network_of_any_input_runs(tmp_path: Path, kind: int, shape: list[Any]) -> None:
    picture = helper.make_tensor_value_info("images", kind, shape)
    output = np.array([[[16, 32, 48, 64, 0.9, 1]]], np.float32)
    card = models.find(
        write(tmp_path, "yolo", [picture], {"output0": output}, SQUARE + "\nvariant: end_to_end")
    )
    (seen,) = card.load()(np.zeros((100, 200, 3), np.uint8))
    assert (seen.label, seen.box) == ("boat", (0.25, 0.5, 0.75, 1.0))


def test_a_raw_network_with_another_input_is_refused_by_name(tmp_path: Path) -> None:
    picture = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 64])
    card = write(tmp_path, "yolo", [picture], {"output0": END}, SQUARE + "\nvariant: end_to_end")
    with pytest.raises(ValueError, match=r"tiny: takes .* its card says a picture"):
        models.find(card).load()


def test_an_rtdetr_that_is_not_square_is_refused(tmp_path: Path) -> None:
    picture = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 64])
    options = "input: {width: 64, height: 32, resize: stretch}\nvariant: rtdetr"
    with pytest.raises(ValueError, match="square"):
        models.find(write(tmp_path, "detr", [picture], {"output0": END}, options))


# Reference: the same weights as an end-to-end export, with decoding and NMS inside the graph.
TWINS = {
    "nanodet-plus-m_416_raw": ("nanodet-plus-m_416x416_e2e", "stretch", "strides: [8, 16, 32, 64]"),
    "nanodet-g_416": ("nanodet-g_416x416_e2e", "letterbox", "strides: [8, 16, 32]\nbins: 11"),
}


def reference(folder: Path, name: str, form: str, size: str, more: str = "") -> Any:
    weights = SHARED / "models" / f"{name}.onnx"
    if not weights.is_file():
        pytest.skip(f"needs the reference models beside this folder: ../shared/models/{name}.onnx")
    card = folder / f"{name}.yaml"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card.write_text(
        f"name: {name.replace('_', '-')}\nformat: {form}\nweights: {weights}\nsha256: {digest}\norigin: test\n"
        f"licence: see its card\nlabels: {list(LABELS)}\nscore: 0.3\n"
        f"input: {{width: 416, height: 416, {size}}}\n{more}\n"
    )
    return models.find(str(card)).load()


@pytest.mark.parametrize("name", TWINS)
def test_nanodet_sees_what_its_twin_sees(tmp_path: Path, name: str) -> None:
    import cv2

    twin, resize, more = TWINS[name]
    size = f"resize: {resize}"
    ours = reference(tmp_path, name, "nanodet", f"{size}, colour: bgr, mean: {MEAN}, std: {STD}", more)
    theirs = reference(tmp_path, twin, "e2e", size)
    count = 0
    for path in sorted((SHARED / "data" / "vision" / "pictures").rglob("*.jpg"))[:6]:
        frame: Any = cv2.imread(str(path))
        a, b = ours(frame), theirs(frame)
        assert [one.label for one in a] == [one.label for one in b], path
        for one, other in zip(a, b, strict=True):
            assert one.score == pytest.approx(other.score, abs=0.005)
            assert one.box == pytest.approx(other.box, abs=0.005)
        count += len(b)
    assert count > 5
