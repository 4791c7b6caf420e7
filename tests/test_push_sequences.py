"""No series of pushes with one signature reaches what takes two: renamed, swapped, taken out, brought back."""

import copy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.addresses import camera_address
from agent.config.layers import tree_of
from agent.config.loader import validated
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.push_policy import policy_violations
from agent.domain.yaml_loader import BadConfig
from agent.vision.camera import Camera
from models.labels import PEOPLE
from tests.pushed_configurations import BASE, LOCAL_FILE

Tree = dict[str, Any]
MORE = """\
  nvr1: {kind: camera, url: "rtsp://192.0.2.30/1", purpose: rescue, blackout: [[[0, 0], [1, 0], [1, 1]]]}
  nvr2: {kind: camera, url: "rtsp://192.0.2.30/2", purpose: rescue}
rules:
"""
LOCAL: Tree = tree_of(LOCAL_FILE.replace("rules:\n", MORE, 1))
NAMES = st.sampled_from([*LOCAL["sources"], *LOCAL["rules"], "new", "other"])
URLS = [
    "rtsp://192.0.2.10/stream1", "rtsp://192.0.2.10/stream2", "http://192.0.2.10/x", "rtsp://0xc0.0.2.10/stream1",
    "rtsp://192.0.2.20/stream1", "rtsp://192.0.2.30/1", "rtsp://192.0.2.30/1?a=b", "rtsp://192.0.2.30/2",
    "rtsp://192.0.2.99/1", "rtsp://cam1.local/1", "rtsps://192.0.2.40/stream1", "/dev/video0", 0, "/dev/video2",
    "clips/b.mp4",
]  # fmt: skip
MASK = [[0, 0], [0.3, 0], [0.3, 1]]
FIELDS: dict[str, list[Any]] = {
    "url": URLS,
    "rotate": [0, 90, 180],
    "crop": [None, [0, 0, 1, 0.8], [0, 0, 1, 1]],
    "blackout": [[], [MASK], [MASK, [[0.5, 0], [0.9, 0], [0.9, 1]]], [[[0, 0], [1, 0], [1, 1]]]],
    "detector": [{}, {"labels": ["person", "boat"]}, {"labels": ["boat"]}, {"model": "wide"}],
    "port": ["/dev/ttyACM0", "/dev/ttyUSB1", "tcp://127.0.0.1:10110", "tcp://192.0.2.9:22"],
    "outputs": [["siren"], ["siren", "relay"], []],
    "fps": [1, 5],
    "source": ["board", "gnss"],
    "name": ["panic_button", "other"],
    "severity": ["info", "critical"],
    "need_ack": [False, True],
    "escalate": [None, {"output": {"source": "board", "name": "siren"}}, {"output": {"source": "board", "name": "relay"}}],
}  # fmt: skip
SECTIONS: list[tuple[str, str, Any]] = [
    ("broker", "url", "mqtts://other.example"), ("broker", "fallbacks", ["mqtts://other.example"]),
    ("broker", "delivery", "puback"), ("broker", "insecure", True), ("broker", "ca", "other.pem"),
    ("broker", "keepalive", "60s"), ("evidence", "keep_least", "0s"), ("evidence", "keep_most", "48h"),
    ("evidence", "keep_least", "48h"), ("evidence", "record", False), ("evidence", "max_mb", 8),
    ("place", "ring", "inner_city"), ("place", "timezone", "Asia/Tokyo"), ("privacy", "rescue_key", None),
    ("data", "video_folder", "/"), ("allow", "hosts", ["*"]), ("duty", "schedule", "08:00-09:00"),
]  # fmt: skip


def _set(part: Tree, key: str, value: Any) -> None:
    if value is None:
        part.pop(key, None)
    else:
        part[key] = value


@st.composite
def edits(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(["field", "field", "remove", "rename", "copy", "swap", "section", "restore"]))
    if kind == "field":
        key = draw(st.sampled_from(list(FIELDS)))
        return kind, draw(NAMES), key, draw(st.sampled_from(FIELDS[key]))
    if kind == "section":
        return kind, *draw(st.sampled_from(SECTIONS))
    return kind, draw(NAMES), draw(NAMES)


def edit(tree: Tree, kind: str, *what: Any) -> None:
    if kind == "section":
        _set(tree.setdefault(what[0], {}), what[1], copy.deepcopy(what[2]))
        return
    for parts, local in ((tree["sources"], LOCAL["sources"]), (tree["rules"], LOCAL["rules"])):
        name, other = what[0], what[1]
        if kind == "restore" and name in local:
            parts[name] = copy.deepcopy(local[name])
        if name not in parts:
            continue
        if kind == "field":
            _set(parts[name], other, copy.deepcopy(what[2]))
        elif kind == "remove":
            del parts[name]
        elif kind == "rename":
            parts[other] = parts.pop(name)
        elif kind == "copy":
            parts[other] = copy.deepcopy(parts[name])
        elif kind == "swap" and other in parts:
            parts[name], parts[other] = parts[other], parts[name]


@cache
def local_config() -> Config:
    return validated(copy.deepcopy(LOCAL), name="", base=BASE)


def people(labels: tuple[str, ...] | None) -> frozenset[str]:
    return PEOPLE if labels is None else PEOPLE & set(labels)


def shows_no_more(camera: Camera, known: Camera) -> bool:
    return (
        (camera.rotate, camera.crop, camera.detector.model)
        == (known.rotate, known.crop, known.detector.model)
        and all(mask in camera.blackout for mask in known.blackout)
        and people(camera.detector.labels) >= people(known.detector.labels)
    )


def check(reached: Config) -> None:
    """What takes two signatures is as in the local file, or stricter."""
    local = local_config()
    for name, camera in reached.cameras().items():
        near = [
            one for one in local.cameras().values() if camera_address(one.url) == camera_address(camera.url)
        ]
        exact = [one for one in near if one.url == camera.url]
        assert near, f"{name}: a new address"
        for known in exact or near:
            assert shows_no_more(camera, known), f"{name}: shows more than the local file"
    assert set(reached.sources) >= set(local.sources)
    assert set(reached.rules) >= set(local.rules)
    assert reached.rules["panic"] == local.rules["panic"]
    assert reached.sources["board"] == local.sources["board"]
    for name, rule in local.rules.items():
        assert reached.rules[name].need_ack or not rule.need_ack
    sirens = {name for name, rule in reached.rules.items() if rule.escalate and rule.escalate.output}
    assert sirens == {"panic"}
    free = {"keepalive"}
    assert reached.broker.model_dump(exclude=free) == local.broker.model_dump(exclude=free)
    assert reached.evidence.keep_least >= local.evidence.keep_least
    assert reached.evidence.keep_most >= local.evidence.keep_most
    assert reached.evidence.max_mb >= local.evidence.max_mb
    assert reached.evidence.record
    for part in ("kind", "place", "duty", "positioning", "privacy", "data", "allow", "guarded_rules"):
        assert getattr(reached, part) == getattr(local, part), part


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(edits(), min_size=1, max_size=4), min_size=1, max_size=6))
def test_no_series_of_pushes_with_one_signature_reaches_what_takes_two(
    series: list[list[tuple[Any, ...]]],
) -> None:
    running, tree = local_config(), copy.deepcopy(LOCAL)
    for push in series:
        pushed = copy.deepcopy(tree)
        for one in push:
            edit(pushed, *one)
        try:
            config = validated(copy.deepcopy(pushed), name="", base=BASE)
        except BadConfig:
            continue
        if any(policy_violations(config, running, local_config())):
            continue
        if all(change.guard == "free" for change in changes(config, running, local_config())):
            running, tree = config, pushed
            check(running)
