"""What a configuration names is opened only where it is a regular file, in bounded size and time."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from agent.config.loader import parse
from agent.config.model import Config
from agent.control.drill_clip import load_clip
from agent.domain.yaml_loader import BadConfig
from agent.mqtt.broker import Broker
from agent.positioning.camera_mount import GroundSurvey
from agent.trust.trust import Trust
from agent.vision.camera import Camera
from agent.vision.tls import tls_context
from firmware_bridge.regular_files import MOST_HANGING, read_regular
from firmware_bridge.secret import Secret, beside

BARE = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker: {url: "mqtts://broker.example"}
sources:
  gnss: {kind: nmea, port: /dev/ttyUSB0}
"""
CAMERA = "  cam1: {kind: camera, url: 'rtsp://192.0.2.10/1', purpose: rescue, "
PUSHED = {
    "Broker.ca": BARE.replace("example", "example', ca: 'FILE").replace('"', "'"),
    "Broker.cert": BARE.replace('example"', "example', cert: 'FILE', key: {file: own.key}").replace('"', "'"),
    "Secret.file": BARE.replace('example"', "example', username: u, password: {file: 'FILE'}").replace('"', "'"),
    "Duty.route": BARE + "duty: {unit: a, responsible: b, route: 'FILE'}\nrules:\n  r: {kind: route, source: gnss}\n",
    "Route.path": BARE + "rules:\n  r: {kind: route, source: gnss, path: 'FILE'}\n",
    "GroundSurvey.points": BARE + CAMERA + "ground: {picture: [640, 360], points: 'FILE'}}\n",
    "DetectorSettings.model": BARE + CAMERA + "detector: {model: 'FILE.yaml'}}\n",
    "Camera.ca": BARE + CAMERA.replace("rtsp:", "rtsps:") + "ca: 'FILE'}\n",
    "Data.video_folder": BARE + "data: {video_folder: 'FILE'}\n",
    "Config.roles": BARE + "roles: 'FILE'\n",
    "DrillSettings.clip": BARE + "drill: {clip: 'FILE'}\n",
    "Data.directory": BARE + "data: {directory: 'FILE'}\n",
}  # fmt: skip
"""For each field that names a file a configuration with it."""
PAST = datetime(2026, 11, 1, tzinfo=UTC)


def read_all(config: Config) -> None:
    """Reads each file that the configuration names, as the agent does."""
    broker = config.broker
    if broker.ca or broker.cert:
        broker.tls(PAST)
    if broker.password:
        broker.password.read()
    if config.roles:
        trust = Trust(config.device)
        trust.load(config.roles, config.roles.parent / "nowhere")
        if trust.trouble:
            raise ValueError(trust.trouble)
    if config.drill.clip:
        load_clip(
            Camera.model_validate({"kind": "camera", "url": "rtsp://x/", "purpose": "a test"}),
            config.drill.clip,
        )
    for source in config.sources.values():
        ground: GroundSurvey | None = getattr(source, "ground", None)
        if ground:
            ground.plane()
        if isinstance(source, Camera) and source.ca:
            tls_context(source.trust)


def models_in(kind: Any, seen: set[type[BaseModel]]) -> None:
    """Every model that a configuration may hold, by walking the types of its fields."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind in seen:
            return
        seen.add(kind)
        for field in kind.model_fields.values():
            models_in(field.annotation, seen)
            for more in field.metadata:
                models_in(more, seen)
    for part in get_args(kind):
        models_in(part, seen)


def names_path(kind: Any) -> bool:
    return kind is Path or any(map(names_path, get_args(kind)))


def validators(kind: Any, more: list[Any]) -> list[Any]:
    """The functions that look at a field's value, wherever in its type they stand."""
    found = [getattr(one, "func", None) for one in (*more, *getattr(kind, "__metadata__", ()))]
    return found + [func for part in get_args(kind) for func in validators(part, [])]


def test_each_field_that_names_a_file_is_tried_here() -> None:
    """Whoever adds one says in `PUSHED` how it is written; strings that may be paths stand there by hand."""
    seen: set[type[BaseModel]] = set()
    models_in(Config, seen)
    found = {
        f"{model.__name__}.{name}"
        for model in seen
        for name, field in model.model_fields.items()
        if names_path(field.annotation)
    }
    assert {"Broker", "Secret", "Route", "GroundSurvey"} <= {model.__name__ for model in seen}
    assert found == set(PUSHED) - {"DetectorSettings.model"}
    more_closely = {
        f"{model.__name__}.{name}"
        for model in seen
        for name, field in model.model_fields.items()
        if names_path(field.annotation) and beside not in validators(field.annotation, field.metadata)
    }
    assert more_closely == {"Secret.file", "Data.directory", "Data.video_folder"}


HOSTILE = ["fifo", "ptmx", "zero", "folder", "socket", "sparse", "missing"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("h")
    found = {name: folder / name for name in HOSTILE}
    os.mkfifo(found["fifo"])
    found["ptmx"], found["zero"] = Path("/dev/ptmx"), Path("/dev/zero")
    found["folder"].mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(found["socket"]))
    with found["sparse"].open("wb") as file:
        file.truncate(3 << 30)
    yield found
    listener.close()


def refusal(work: Callable[[], None]) -> str:
    """What ``work`` refuses with; it fails where ``work`` hangs, or takes what it was given."""
    said: list[str] = []

    def run() -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            said.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    assert said, "it was taken"
    return said[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("field", sorted(set(PUSHED) - {"Data.directory", "Data.video_folder"}))
def test_what_is_no_file_is_refused_wherever_it_is_named(
    field: str, kind: str, hostile: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "own.key").write_text("x")
    path = hostile[kind]
    if field == "DetectorSettings.model":
        (tmp_path / "card.yaml").symlink_to(path)
        path = tmp_path / "card"
    text = PUSHED[field].replace("FILE", str(path))
    said = refusal(lambda: read_all(parse(text, name="c.yaml", base=tmp_path)))
    assert kind == "missing" or str(path.name) in said or "no" in said


@pytest.mark.parametrize(
    "field", sorted(set(PUSHED) - {"Secret.file", "Data.directory", "Data.video_folder"})
)
def test_a_push_opens_nothing_outside_the_folder_of_the_local_file(field: str, tmp_path: Path) -> None:
    """Neither by an absolute path nor by .. nor through a link. Secrets and the data folder are bound more
    closely (`agent.config.secret_policy`, `agent.config.push_policy`), and no parse opens them."""
    base, secret = tmp_path / "etc", tmp_path / "secret.yaml"
    base.mkdir()
    secret.write_text("geheim: [")
    (base / "link.yaml").symlink_to(secret)
    end = ".yaml" if field == "DetectorSettings.model" else ""
    for name in (str(secret), "../secret.yaml", "link.yaml"):
        text = PUSHED[field].replace("FILE", name.removesuffix(end) if end else name)
        with pytest.raises(BadConfig) as caught:
            parse(text, name="push", base=base, only=frozenset())
        assert "in the folder of the file at the device" in str(caught.value)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "field", ["Duty.route", "Route.path", "GroundSurvey.points", "DetectorSettings.model"]
)
@pytest.mark.parametrize(
    "content", ["geheim", '{"type": "geheim"}', '{"type": "LineString", "coordinates": [["geheim"]]}',
                '{"type": "LineString", "coordinates": [[1, "geheim"], 2]}', "x,y,lat,lon\n1,1,geheim,1\n", "geheim: 1"]
)  # fmt: skip
def test_no_error_quotes_what_is_in_a_file(field: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(content)
    name = "file" if field == "DetectorSettings.model" else "file.yaml"
    text = PUSHED[field].replace("FILE", name)
    assert "geheim" not in refusal(lambda: read_all(parse(text, name="c.yaml", base=tmp_path)))


def test_a_secret_is_a_file_of_bounded_size(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    assert Secret(file=file).read() == "s3cret"
    file.write_bytes(b"x" * 70_000)
    with pytest.raises(OSError, match="larger than 64 KiB"):
        Secret(file=file).read()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="utf-8"):
        Secret(file=file).read()


def test_a_disk_that_hangs_holds_nobody_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale mount: the read is left behind, and so many are left at the most."""
    import firmware_bridge.regular_files as module

    free = threading.Event()
    started: list[int] = []

    def hang(*_: Any) -> bytes:
        started.append(1)
        free.wait()
        return b""

    file = tmp_path / "key"
    file.write_text("x")
    monkeypatch.setattr(module, "_read", hang)
    for _ in range(MOST_HANGING + 3):
        with pytest.raises(TimeoutError, match=r"not read"):
            read_regular(file, 100, within_s=0.01)
    assert len(started) == MOST_HANGING
    monkeypatch.undo()
    free.set()
    for thread in list(module._hanging):
        thread.join(60)
    assert read_regular(file, 100) == b"x"


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    """Certificates are renewed by moving a link."""
    (tmp_path / "2027.pem").write_text("x")
    (tmp_path / "ca.pem").symlink_to("2027.pem")
    assert read_regular(tmp_path / "ca.pem", 10) == b"x"


def test_the_broker_reads_its_files_in_bounds() -> None:
    with pytest.raises(OSError, match="regular file"):
        Broker(url="mqtts://h", ca=Path("/dev/zero")).tls(PAST)
