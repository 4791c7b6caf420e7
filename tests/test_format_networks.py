"""Each format through the whole path, with a network that was built to see: the bright rectangle in the picture.

What comes in decides what goes out, so that layout, colours, scale and the way back are all in the test: red is
a person, blue a boat.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import models

SIZE = 64
SCORE = 0.875
PIXELS = (60, 20, 140, 80)
"""Of the rectangle in a picture 200 x 100."""


class Net:
    """An ONNX graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, op: str, *inputs: Any, **attributes: Any) -> str:
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        kind = np.int64 if np.asarray(value).dtype.kind == "i" else np.float32
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name


def see(net: Net, picture: str, nhwc: bool) -> tuple[str, str, str]:
    """Box [1, 4] in input pixels, its class [1, 1] and both scores [1, 2] of the bright in ``picture``."""
    wide = net("Cast", picture, to=TensorProto.FLOAT)
    if nhwc:
        wide = net("Transpose", wide, perm=[0, 3, 1, 2])
    bright = net("ReduceMax", wide, [1], keepdims=0)  # [1, H, W]
    mask = net("Cast", net("Greater", bright, 0.5), to=TensorProto.FLOAT)
    edges = []
    for last, end in ((0, 0.0), (1, 1.0)):
        for axis in (1, 2):  # columns, then rows
            line = net("ReduceMax", mask, [axis], keepdims=0)
            at = net("ArgMax", line, axis=1, keepdims=1, select_last_index=last)
            edges.append(net("Add", net("Cast", at, to=TensorProto.FLOAT), end))
    box = net("Concat", *edges, axis=1)
    light = net("ReduceSum", wide, [2, 3], keepdims=0)  # [1, 3]
    red, blue = (net("Gather", light, [channel], axis=1) for channel in (0, 2))
    boat = net("Cast", net("Greater", blue, red), to=TensorProto.FLOAT)
    person = net("Sub", 1.0, boat)
    scores = net("Mul", net("Concat", person, boat, axis=1), SCORE)
    return box, boat, scores


def centred(net: Net, box: str) -> str:
    first, second = net("Slice", box, [0], [2], [1]), net("Slice", box, [2], [4], [1])
    middle = net("Mul", net("Add", first, second), 0.5)
    return net("Concat", middle, net("Sub", second, first), axis=1)


def yolo_v5(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    one = net("Concat", centred(net, box), net("Mul", net("ReduceMax", scores, [1]), 0.0), scores, axis=1)
    sure = net("Add", one, [[0, 0, 0, 0, 1.0, 0, 0]])
    return {"output0": net("Unsqueeze", sure, [0])}


def yolo_v8(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    one = net("Concat", centred(net, box), scores, axis=1)
    return {"output0": net("Transpose", net("Unsqueeze", one, [0]), perm=[0, 2, 1])}


def yolo_end(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    one = net("Concat", box, net("ReduceMax", scores, [1]), boat, axis=1)
    return {"output0": net("Unsqueeze", one, [0])}


def yolox(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    """In the last cell: stride 32, column 1, row 1."""
    middle = centred(net, box)
    xy = net("Sub", net("Div", net("Slice", middle, [0], [2], [1]), 32.0), 1.0)
    size = net("Log", net("Div", net("Slice", middle, [2], [4], [1]), 32.0))
    one = net("Unsqueeze", net("Concat", xy, size, np.array([[1.0]]), scores, axis=1), [0])
    return {"output": net("Pad", one, np.array([0, 83, 0, 0, 0, 0]))}


def rtdetr(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    sizes = net("Cast", "orig_target_sizes", to=TensorProto.FLOAT)
    scale = net("Div", net("Concat", sizes, sizes, axis=1), float(SIZE))
    return {
        "labels": net("Cast", boat, to=TensorProto.INT64),
        "boxes": net("Unsqueeze", net("Mul", box, scale), [0]),
        "scores": net("ReduceMax", scores, [1]),
    }


def rfdetr(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    odds = net(
        "Sub", net("Mul", scores, (np.log(7) + 9) / SCORE), 9.0
    )  # sigmoid gives SCORE, or next to none
    logits = net("Concat", odds, np.array([[12.0]]), axis=1)
    fractions = net("Div", centred(net, box), float(SIZE))
    return {"dets": net("Unsqueeze", fractions, [0]), "labels": net("Unsqueeze", logits, [0])}


def ssd(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    turned = net("Gather", net("Div", box, float(SIZE)), [1, 0, 3, 2], axis=1)
    return {
        "number": net("ReduceSum", net("Add", net("Mul", boat, 0.0), 1.0), keepdims=0),
        "kinds": net("Identity", boat),
        "places": net("Unsqueeze", turned, [0]),
        "sureness": net("ReduceMax", scores, [1]),
    }


def paddle(net: Net, box: str, boat: str, scores: str) -> dict[str, str]:
    scale = net("Gather", "scale_factor", [1, 0, 1, 0], axis=1)
    one = net("Concat", boat, net("ReduceMax", scores, [1]), net("Div", box, scale), axis=1)
    return {
        "multiclass_nms": one,
        "count": net("Cast", net("Shape", one, start=0, end=1), to=TensorProto.INT32),
    }


UNIT = "std: [255, 255, 255]"
FORMATS: dict[str, tuple[Any, str, str, int]] = {
    "yolo v5": (yolo_v5, "yolo", "variant: v5", TensorProto.FLOAT),
    "yolo v8": (yolo_v8, "yolo", "variant: v8", TensorProto.FLOAT),
    "yolo v8, fp16": (yolo_v8, "yolo", "variant: v8", TensorProto.FLOAT16),
    "yolo end to end": (yolo_end, "yolo", "variant: end_to_end", TensorProto.FLOAT),
    "yolox": (yolox, "yolox", "", TensorProto.FLOAT),
    "rt-detr": (rtdetr, "detr", "variant: rtdetr", TensorProto.FLOAT),
    "rf-detr": (rfdetr, "detr", "variant: rfdetr", TensorProto.FLOAT),
    "ssd": (ssd, "ssd", "outputs: [places, kinds, sureness, number]", TensorProto.FLOAT),
    "paddle": (paddle, "paddle", "", TensorProto.FLOAT),
}


def card(folder: Path, name: str, shape: list[Any], options: str) -> models.Card:
    """The card of a network of that format."""
    tail, form, more, kind = FORMATS[name]
    net = Net()
    outputs = tail(net, *see(net, "picture", shape[-1] == 3))
    inputs = [helper.make_tensor_value_info("picture", kind, shape)]
    if form == "paddle":
        inputs.append(helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, [1, 2]))
    if "rtdetr" in more:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]))
    for public, inner in outputs.items():
        net.nodes.append(helper.make_node("Identity", [inner], [public]))
    kinds = {"labels": TensorProto.INT64} if "rtdetr" in more else {"count": TensorProto.INT32}
    graph = helper.make_graph(
        net.nodes,
        "seeing",
        inputs,
        [helper.make_tensor_value_info(one, kinds.get(one, TensorProto.FLOAT), None) for one in outputs],
        net.constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data = bytes(made.SerializeToString())
    (folder / "n.onnx").write_bytes(data)
    (folder / "n.yaml").write_text(
        f"name: seeing\nformat: {form}\nweights: n.onnx\nsha256: {hashlib.sha256(data).hexdigest()}\n"
        f"origin: made in a test\nlicence: none\nlabels: [person, boat]\n{more}\n"
        f"input: {{width: {SIZE}, height: {SIZE}, {UNIT}, {options}}}\n"
    )
    return models.find(str(folder / "n.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ([1, 3, SIZE, SIZE], "resize: stretch"),
        ([1, 3, SIZE, SIZE], "resize: letterbox"),
        (["n", 3, "h", "w"], "resize: letterbox, corner: true"),
        ([1, SIZE, SIZE, 3], "resize: stretch, layout: nhwc"),
    ],
    ids=["stretch", "letterbox", "corner, dynamic", "nhwc"],
)
@pytest.mark.parametrize(("bgr", "label"), [((20, 30, 250), "person"), ((250, 30, 20), "boat")])
def test_a_network_that_sees_is_understood(
    tmp_path: Path, name: str, shape: list[Any], options: str, bgr: tuple[int, int, int], label: str
) -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    left, top, right, bottom = PIXELS
    frame[top:bottom, left:right] = bgr
    (seen,) = card(tmp_path, name, shape, options).load()(frame)
    assert (seen.label, seen.score) == (label, pytest.approx(SCORE, abs=0.002))
    assert seen.box == pytest.approx((0.3, 0.2, 0.7, 0.8), abs=0.035)


def by_aspect(folder: Path, name: str, shape: list[Any]) -> models.Card:
    """The card of that format with an area of 192 x 192, sized by each picture's aspect."""
    card(folder, name, shape, "resize: letterbox, by_aspect: true, pad: 114")
    text = (folder / "n.yaml").read_text()
    (folder / "n.yaml").write_text(text.replace(f"width: {SIZE}, height: {SIZE}", "width: 192, height: 192"))
    return models.find(str(folder / "n.yaml"))


@pytest.mark.parametrize("name", ["yolo v5", "yolo v8, fp16", "yolo end to end", "paddle"])
def test_a_network_with_free_dimensions_is_sized_by_each_picture(tmp_path: Path, name: str) -> None:
    loaded = by_aspect(tmp_path, name, ["n", 3, "h", "w"]).load()
    left, top, right, bottom = PIXELS
    for turned, size in ((False, (256, 128)), (True, (128, 256))):
        frame = np.zeros((100, 200, 3), np.uint8)
        frame[top:bottom, left:right] = (20, 30, 250)
        box: tuple[float, ...] = (0.3, 0.2, 0.7, 0.8)
        if turned:
            frame, box = np.ascontiguousarray(frame.transpose(1, 0, 2)), (0.2, 0.3, 0.8, 0.7)
        assert loaded.input_size(frame.shape[1], frame.shape[0]) == size
        (seen,) = loaded(frame)
        assert (seen.label, seen.box) == ("person", pytest.approx(box, abs=0.035))


def test_a_raw_network_of_fixed_size_takes_no_input_by_aspect(tmp_path: Path) -> None:
    fixed = by_aspect(tmp_path, "yolo v8", [1, 3, 192, 192])
    with pytest.raises(
        ValueError, match=r"seeing: input.by_aspect needs a network with free height and width"
    ):
        fixed.load()


def test_a_format_that_needs_a_square_takes_no_input_by_aspect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="square"):
        by_aspect(tmp_path, "rt-detr", ["n", 3, "h", "w"])
