"""Cards, files and the end-to-end format: what is refused, and what a real picture shows."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import models
from models.card import Card
from models.e2e import E2e, decode
from models.fit import Fit, fit, input_size
from models.labels import ALLOWED
from models.session import open_session, providers_in
from tests.waiting import until_true

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "simulators" / "pictures" / "man.png"

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "models"
CARD = """\
name: tiny
format: e2e
weights: tiny.onnx
sha256: {sha256}
origin: made in a test
licence: none
input: {{width: 64, height: 32, resize: stretch}}
labels: [{labels}]
"""


def network(
    dets: list[list[float]], width: int | str = 64, height: int | str = 32, output: str = "dets"
) -> bytes:
    """An end-to-end network that sees the same in every picture: each of ``dets`` that is sure enough."""
    rows = numpy_helper.from_array(np.array(dets, np.float32).reshape(-1, 6), "rows")
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [
        helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Add", ["rows", "none"], ["all"]),
        helper.make_node("Gather", ["rows", "fifth"], ["scores"], axis=1),
        helper.make_node("Less", ["scores", "score_threshold"], ["unsure"]),
        helper.make_node("Not", ["unsure"], ["sure"]),
        helper.make_node("Compress", ["all", "sure"], [output], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3]),
            helper.make_tensor_value_info("score_threshold", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["K", 6])],
        [rows, zero, numpy_helper.from_array(np.array(4, np.int64), "fifth")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


def endless() -> bytes:
    """A network that is whole, and whose first run never ends: a Loop without a trip count, always true."""
    empty, flag, number = [1], TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_"]), helper.make_node("Identity", ["is"], ["is_"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", flag, []),
            helper.make_tensor_value_info("is", number, empty),
        ],
        [
            helper.make_tensor_value_info("on_", flag, []),
            helper.make_tensor_value_info("is_", number, empty),
        ],
    )
    made = onnx.load_from_string(network([[16, 8, 48, 24, 0.9, 1]]))
    made.graph.initializer.append(helper.make_tensor("always", flag, [], [True]))
    made.graph.node.insert(0, helper.make_node("Loop", ["", "always", "score_threshold"], ["end"], body=body))
    for node in made.graph.node[1:]:
        node.input[:] = ["end" if name == "score_threshold" else name for name in node.input]
    return bytes(made.SerializeToString())


Write = Callable[..., str]


def put(folder: Path, data: bytes, labels: str = "person, boat", sha256: str | None = None) -> str:
    """Writes a card and its network; gives the card's path."""
    (folder / "tiny.onnx").write_bytes(data)
    card = folder / "tiny.yaml"
    card.write_text(CARD.format(sha256=sha256 or hashlib.sha256(data).hexdigest(), labels=labels))
    return str(card)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`put` in a folder of the test's own."""
    return partial(put, tmp_path)


def test_the_default_is_whole_and_named_by_its_card() -> None:
    card = models.find("default")
    assert (card.name, len(card.labels), card.labels[0]) == ("nanodet-g", 80, "person")
    assert "Apache-2.0" in card.licence
    assert hashlib.sha256(card.weights.read_bytes()).hexdigest() == card.sha256


def test_the_default_sees_a_person_in_a_photograph() -> None:
    import cv2

    man = cv2.imread(str(PHOTOGRAPH), cv2.IMREAD_UNCHANGED)
    assert man is not None
    frame = np.full((480, 640, 3), 170, np.uint8)
    frame[-man.shape[0] :, 200 : 200 + man.shape[1]][man[:, :, 3] > 128] = man[:, :, :3][man[:, :, 3] > 128]
    seen = models.find("default").load()(frame)
    assert [one.label for one in seen] == ["person"]
    left, top, right, bottom = seen[0].box
    assert left == pytest.approx(200 / 640, abs=0.05)
    assert right == pytest.approx((200 + man.shape[1]) / 640, abs=0.05)
    assert bottom > 0.95
    assert top == pytest.approx(1 - man.shape[0] / 480, abs=0.06)
    assert models.find("default").load()(np.full((480, 640, 3), 170, np.uint8)) == ()


@pytest.mark.parametrize(
    ("columns", "rows", "size"),
    [
        (416, 416, (416, 416)), (640, 480, (480, 352)), (1280, 720, (544, 320)), (720, 1280, (320, 544)),
        (3840, 2160, (544, 320)), (4000, 500, (736, 256)), (1, 9999, (256, 736)), (1, 1, (416, 416)),
    ],
)  # fmt: skip
def test_the_input_follows_the_aspect_at_the_same_area(
    columns: int, rows: int, size: tuple[int, int]
) -> None:
    assert input_size(columns, rows, 416 * 416) == size


def test_the_card_for_white_hot_pictures_sees_what_the_default_sees_in_their_negative() -> None:
    import cv2

    frame = np.random.default_rng(2).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    frame = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_CUBIC)
    hot, default = (models.find(name).at(0.05).load() for name in ("nanodet-g-white-hot", "default"))
    person = cv2.imread(str(models.find("default").proof.picture))  # type: ignore[union-attr]
    for picture in (np.asarray(frame, np.uint8), np.asarray(person, np.uint8)):
        seen, expected = hot(picture), default(np.asarray(cv2.bitwise_not(picture), np.uint8))
        assert [one.label for one in seen[:3]] == [one.label for one in expected[:3]]
        assert [one.score for one in seen[:3]] == pytest.approx([one.score for one in expected[:3]], abs=0.02)
    assert models.find("nanodet-g-white-hot").sha256 == models.find("default").sha256
    assert str(models.find("nanodet-g-white-hot").input).endswith("pad 114, inverted")


def test_an_empty_picture_has_no_input_size() -> None:
    with pytest.raises(ValueError, match="empty"):
        input_size(0, 100, 416 * 416)


@pytest.mark.parametrize("name", ["wide", "nanodet-g-416", "nanodet-g-wide"])
def test_the_names_of_earlier_cards_are_read(name: str) -> None:
    assert models.find(name) == models.find("default")


def test_the_default_runs_at_the_aspect_of_each_picture() -> None:
    loaded = models.find("default").load()
    assert [loaded.input_size(*one) for one in ((640, 480), (1280, 720))] == [(480, 352), (544, 320)]
    grey = np.full((720, 1280, 3), 170, np.uint8)
    for frame in (grey, np.ascontiguousarray(grey.transpose(1, 0, 2)), grey[:480, :640], grey[:90]):
        assert loaded(frame) == ()
    with pytest.raises(ValueError, match="empty"):
        loaded(grey[:0])


def test_a_provider_that_compiles_for_one_size_gets_that_of_the_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.session.ANY_SIZE", frozenset())
    loaded = models.find("default").load()
    assert loaded.input_size(1280, 720) == (416, 416)
    assert loaded(np.full((720, 1280, 3), 170, np.uint8)) == ()


def test_a_network_of_fixed_size_takes_no_input_by_aspect(write: Write) -> None:
    path = Path(write(network([[16, 8, 48, 24, 0.9, 1]])))
    path.write_text(path.read_text().replace("resize: stretch", "resize: stretch, by_aspect: true"))
    with pytest.raises(ValueError, match=r"by_aspect needs a network with free height and width"):
        models.find(str(path)).load()


def test_the_threshold_holds() -> None:
    from simulators.scene import Scene

    frame = Scene(0, 60).picture(20)
    sure, all_ = (models.find("default").at(score).load()(frame) for score in (0.6, 0.05))
    assert len(all_) > len(sure) >= 1
    assert all(one.score >= 0.6 for one in sure)


def test_a_swapped_in_model_runs_by_its_card(write: Write) -> None:
    card = models.find(write(network([[16, 8, 48, 24, 0.9, 1], [0, 0, 64, 32, 0.6, 0]])))
    seen = card.load()(np.zeros((100, 200, 3), np.uint8))
    assert [(one.label, one.box) for one in seen] == [
        ("boat", (0.25, 0.25, 0.75, 0.75)),
        ("person", (0, 0, 1, 1)),
    ]


def test_a_network_that_leaves_its_size_free_runs_at_its_cards(write: Write) -> None:
    card = models.find(write(network([[16, 8, 48, 24, 0.9, 1]], "W", "H")))
    (seen,) = card.load()(np.zeros((100, 200, 3), np.uint8))
    assert seen.box == (0.25, 0.25, 0.75, 0.75)


REFUSED = [
    ("truncated", lambda data: (data[:-40], {}), "onnxruntime rejects the file"),
    ("no model", lambda _: (b"hello", {}), "onnxruntime rejects the file"),
    ("another file", lambda data: (data, {"sha256": "a" * 64}), "sha256 is"),
    ("another input", lambda _: (network([], 32, 32), {}), "its card says"),
    ("score above 1", lambda _: (network([[0, 0, 9, 9, 7.5, 0]]), {}), "not this format"),
    ("class without a label", lambda _: (network([[0, 0, 9, 9, 0.5, 2]]), {}), "other labels"),
    ("no score", lambda _: (network([[0, 0, 9, 9, float("nan"), 0]]), {}), "not this format"),
    ("no box", lambda _: (network([[0, 0, float("inf"), 9, 0.5, 0]]), {}), "not this format"),
    ("fractions", lambda _: (network([[0, 0, 0.5, 0.9, 0.5, 0]]), {}), "boxes as fractions"),
    ("another output", lambda _: (network([[0, 0, 9, 9, 0.5, 0]], output="embedding"), {}), "identifies"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_bad_model_is_refused_by_name(
    write: Write, spoil: Callable[[bytes], tuple[bytes, dict[str, str]]], message: str
) -> None:
    data, more = spoil(network([[0, 0, 9, 9, 0.5, 0]]))
    card = models.find(write(data, **more))
    with pytest.raises(ValueError, match=message) as caught:
        card.load()
    assert "tiny" in str(caught.value)
    assert "\n" not in str(caught.value)


PROOF = "proof: {{picture: p.png, sees: [{{label: {label}, score: {score}, box: {box}}}]}}\n"


@pytest.mark.parametrize(
    ("label", "score", "box", "message"),
    [
        ("boat", 0.9, [0.25, 0.25, 0.75, 0.75], None),
        ("boat", 0.8, [0.26, 0.25, 0.75, 0.74], None),
        (
            "boat",
            0.5,
            [0.25, 0.25, 0.75, 0.75],
            "does not see the boat of 0.50 in its test picture, but boat",
        ),
        ("person", 0.9, [0.25, 0.25, 0.75, 0.75], "does not see the person"),
        ("boat", 0.9, [0.5, 0.25, 1, 0.75], "does not see the boat"),
    ],
)
def test_a_model_proves_itself_on_its_picture(
    write: Write, tmp_path: Path, label: str, score: float, box: list[float], message: str | None
) -> None:
    import cv2

    path = Path(write(network([[16, 8, 48, 24, 0.9, 1]])))
    path.write_text(path.read_text() + "score: 0.3\n" + PROOF.format(label=label, score=score, box=box))
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((32, 64, 3), np.uint8))
    if message is None:
        models.find(str(path)).load()
        return
    with pytest.raises(ValueError, match=message):
        models.find(str(path)).load()


def test_the_default_has_a_proof() -> None:
    proof = models.find("default").proof
    assert proof is not None
    assert proof.picture.is_file()


def test_another_provider_is_told_and_the_cpu_is_the_last(write: Write) -> None:
    card = models.find(write(network([[16, 8, 48, 24, 0.9, 1]])))
    here, there = card.load(), card.on(("openvino", "cuda")).load()
    assert (here.runs_on, here.note) == ("cpu", "")
    assert there.runs_on == "cpu"
    assert there.note == (
        "this onnxruntime has no openvino (pip install onnxruntime-openvino);"
        " this onnxruntime has no cuda (pip install onnxruntime-gpu); it runs on cpu"
    )
    assert here(np.zeros((8, 8, 3), np.uint8)) == there(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_is_built_in_but_does_not_start_is_passed_over(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime as ort

    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    loaded = models.find(write(network([[16, 8, 48, 24, 0.9, 1]]))).on(("cuda",)).load()
    assert loaded.runs_on == "cpu"
    assert "cuda failed to start" in loaded.note


@pytest.mark.parametrize(
    ("text", "found"), [("", ()), ("cpu", ("cpu",)), ("openvino, cpu", ("openvino", "cpu"))]
)
def test_providers_are_named(text: str, found: tuple[str, ...]) -> None:
    assert providers_in(text) == found


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown provider 'gpu'; known: cpu, cuda"):
        providers_in("gpu")


def test_a_model_that_is_called_after_faces_is_refused(write: Write) -> None:
    path = Path(write(network([])))
    path.write_text(path.read_text().replace("name: tiny", "name: arcface-r50"))
    with pytest.raises(ValueError, match="identifies or classifies people"):
        models.find(str(path))


TRAITS = [
    *("face", "person face", "face_embedding", "reid", "plate text", "Gait", "ethnicity", "head"),
    *("uyghur", "han_chinese", "muslim", "wang_wei", "Zhang-San", "license_plate", "licence plate", "3A-K 512"),
    *("woman", "man", "boy", "girl", "child", "elderly", "wanted_person", "suspect", "crying", "angry"),
    *("worker", "policeman", "id card", "person 17", "people of colour", "class0", "persn", "人", '""'),
]  # fmt: skip


@pytest.mark.parametrize("label", TRAITS)
def test_a_label_that_is_not_on_the_list_of_things_is_refused_and_the_list_is_named(
    write: Write, label: str
) -> None:
    with pytest.raises(
        ValueError, match=r"labels: the label .* is not on the list of things in models/labels.py"
    ):
        models.find(write(network([]), labels=f"person, {label}"))


@pytest.mark.parametrize(
    "label", ["Traffic_Light", "life-jacket", "swimmer", "fishing boat", "cyclist", "smoke", "helicopter"]
)
def test_the_things_of_the_field_are_on_it(write: Write, label: str) -> None:
    assert label in models.find(write(network([]), labels=f"person, {label}")).labels


def test_a_typing_error_in_a_label_is_told_what_is_near(write: Write) -> None:
    with pytest.raises(ValueError, match="did you mean 'pedestrian'"):
        models.find(write(network([]), labels="pedestrain"))


@pytest.mark.needs_shared
@pytest.mark.skipif(
    not REFERENCE.exists(), reason="needs the reference models beside this folder: ../shared/models"
)
def test_all_reference_models_have_labels_of_the_list() -> None:
    found = [json.loads(path.read_text())["classes"] for path in sorted(REFERENCE.glob("*.json"))]
    assert {label for labels in found for label in labels} <= ALLOWED


@pytest.mark.parametrize(
    ("name", "message"),
    [("defualt", "did you mean 'default'"), ("nothing.yaml", "nothing.yaml")],
)
def test_a_model_that_is_not_here_is_named(name: str, message: str) -> None:
    with pytest.raises(OSError, match=message):
        models.find(name)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{here}: &{here} [*{before}, *{before}]\n" for before, here in pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("", "- 1", "name: x", "name: [", CARD.format(sha256="xyz", labels="person")),
        *("[" * 100_000, "format: " + "{a: " * 20_000, "- " * 100_000, "? " * 50_000, BOMB),
        "format: e2e\n" + "#" * models.MOST_BYTES,
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_card_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"c\.yaml") as caught:
        models.find(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["fifo", "/dev/zero", "/dev/ptmx"])
@pytest.mark.parametrize("part", ["card", "weights", "picture"])
def test_what_is_no_regular_file_is_neither_opened_nor_waited_for(
    write: Write, tmp_path: Path, what: str, part: str
) -> None:
    if what == "fifo":
        os.mkfifo(tmp_path / "fifo.yaml")
        what = str(tmp_path / "fifo.yaml")
    path = Path(write(network([[16, 8, 48, 24, 0.9, 1]])))
    if part == "card":
        (tmp_path / "link.yaml").symlink_to(what)
        path = tmp_path / "link.yaml"
    elif part == "weights":
        path.write_text(path.read_text().replace("tiny.onnx", what))
    else:
        proof = PROOF.format(label="boat", score=0.9, box=[0.25, 0.25, 0.75, 0.75])
        path.write_text(path.read_text() + proof.replace("p.png", what))
    with pytest.raises(OSError, match="not a regular file"):
        models.find(str(path)).load()


@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (480, 640), (31, 17), (1, 1)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_a_box_comes_back_to_where_it_was(size: tuple[int, int], resize: str) -> None:
    columns, rows = size
    picture, how = fit(np.zeros((rows, columns, 3), np.uint8), 416, 416, resize)  # type: ignore[arg-type]
    assert picture.shape == (416, 416, 3)
    box = (0.25 * columns, 0.5 * rows, 0.75 * columns, 1.0 * rows)
    left, right = (edge * how.scale_x + how.left for edge in (box[0], box[2]))
    top, bottom = (edge * how.scale_y + how.top for edge in (box[1], box[3]))
    assert how.back(left, top, right, bottom) == pytest.approx((0.25, 0.5, 0.75, 1.0), abs=1e-6)


def test_boxes_are_cut_at_the_edge_and_empty_ones_left_out() -> None:
    how = Fit(1, 1, 0, 0, 100, 100)
    dets = np.array([[-20, 10, 150, 50, 0.5, 0], [120, 10, 150, 50, 0.9, 0]], np.float32)
    (one,) = decode(dets, how, ("person",))
    assert one.box == (0.0, 0.1, 1.0, 0.5)


def test_each_card_here_is_one() -> None:
    for card in models.cards_here():
        assert isinstance(card, Card)
        assert isinstance(card, E2e) or card.load is not Card.load


HANGS = """
import asyncio, sys, threading, time
import agent.vision.detector as detector
from agent.cli.options import finish
from agent.vision.camera import Camera
from agent.runtime.native_calls import abandoned_threads

detector.LOAD_S = 1.0

def camera(**more):
    url = sys.argv[2]
    return Camera.model_validate({"url": url, "purpose": "a test", "loop": True, "detector": more})

async def scene():
    for _ in range(3):
        began_s = time.monotonic()
        try:
            await camera(model=sys.argv[1]).run(print)
        except OSError as error:
            print("trouble", str(error).splitlines()[0], time.monotonic() - began_s < 30)
    detector.LOAD_S = 60.0
    told = asyncio.Event()
    other = asyncio.ensure_future(camera().run(lambda value: told.set()))
    await asyncio.wait_for(told.wait(), 60)
    other.cancel()
    print("other", abandoned_threads(0.0), [one.name for one in threading.enumerate() if "tiny" in one.name])

asyncio.run(scene())
finish(0)
"""


def clip(folder: Path) -> str:
    """A second of a man, as a file."""
    import cv2

    from simulators.scene import Scene

    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 360))
    for step in range(5):
        writer.write(Scene(comes_s=-10, leaves_s=60).picture(step / 5))
    writer.release()
    return str(path)


@pytest.mark.slow
def test_a_model_that_loops_for_ever_is_its_camera_s_trouble_and_holds_one_thread_and_nobody_else(
    write: Write, tmp_path: Path
) -> None:
    """In a process of its own, which ends with the thread still running."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS, write(endless()), clip(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    troubles = [line for line in done.stdout.splitlines() if line.startswith("trouble ")]
    (other,) = [line for line in done.stdout.splitlines() if line.startswith("other ")]
    assert len(troubles) == 3
    assert "no answer for 1 s: it hangs" in troubles[0]
    assert all("tiny" in line and "hangs" in line and line.endswith("True") for line in troubles)
    assert other.startswith("other 1 ")


def computed(process: int) -> int:
    """How many hundredths of a second a process has computed."""
    return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11])


@pytest.mark.slow
def test_an_agent_whose_model_loops_for_ever_still_ends_when_it_is_told_to(
    write: Write, tmp_path: Path
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(f"""\
schema_version: 1
device: bridge-07
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bridge, post: north}}
broker: {{url: "mqtt://127.0.0.1:9"}}
data: {{directory: {tmp_path / "data"}}}
sources:
  cam1: {{kind: camera, url: "{clip(tmp_path)}", purpose: a test, detector: {{model: "{write(endless())}"}}}}
""")
    command = [sys.executable, "-m", "agent", "run", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as agent:
        try:
            assert agent.stdout is not None
            assert any("config_running" in line for line in agent.stdout)
            began = computed(agent.pid)
            until_true(lambda: computed(agent.pid) >= began + 300)  # three seconds of nothing but its loop
            agent.terminate()
            assert agent.wait(60) == 0, agent.stdout.read()
        finally:
            agent.kill()


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["models", "verify"], ["detect", "--model"]])
def test_a_command_does_not_wait_for_a_model_that_loops_for_ever(
    write: Write, tmp_path: Path, verb: list[str]
) -> None:
    script = (
        "import sys, agent.vision.detector as d; d.LOAD_S = 1.0; sys.argv[0] = 'ringpost'; "
        "from agent.__main__ import main; main()"
    )
    more = [clip(tmp_path)] if verb[0] == "detect" else []
    done = subprocess.run(
        [sys.executable, "-c", script, *verb, write(endless()), *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 1, done.stderr
    assert "loading tiny: no answer for 1 s: it hangs" in done.stderr


def test_a_network_reads_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beside the file have no sha256 in the card, and could be any file of the device."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rescue.key").write_bytes(64 * b"k")
    tensor = TensorProto(name="w", dims=[64], data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "rescue.key"), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    shown = helper.make_tensor_value_info("dets", TensorProto.UINT8, [64])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["dets"])], "g", [], [shown], [tensor])
    opset = [helper.make_opsetid("", 13)]
    data = helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=r"onnxruntime rejects the file: .*xternal data"):
        open_session(tmp_path / "m.onnx", hashlib.sha256(data).hexdigest())
