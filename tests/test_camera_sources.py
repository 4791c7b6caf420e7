"""A camera is no way to read a file: whatever its url says, FFmpeg opens what it should, or nothing."""

import ctypes
import http.server
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from agent.config.loader import parse
from agent.config.secret_policy import secret_violations
from agent.domain.yaml_loader import BadConfig
from agent.vision.camera import Camera
from agent.vision.camera_capture import CameraCapture
from agent.vision.camera_url import SCHEMES, source_kind
from agent.vision.capture import open_capture, open_file
from tests.test_config import GOOD

KEY = "5b1f" * 16
LICENSE = Path(cv2.__file__).parent / "LICENSE-3RD-PARTY.txt"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "rescue.key"
    path.write_text(KEY + "\n")
    return path


def library(name: str) -> ctypes.CDLL:
    """A library of FFmpeg as this wheel brings it."""
    capture = cv2.VideoCapture("nothing", cv2.CAP_FFMPEG)
    capture.release()
    found = re.search(rf"/\S*{name}[^\s/]*\.so[^\s/]*$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    assert found
    return ctypes.CDLL(found[0])


def protocols() -> list[str]:
    """Every protocol that this FFmpeg reads."""
    enumerate_it = library("libavformat").avio_enum_protocols
    enumerate_it.restype = ctypes.c_char_p
    state, names = ctypes.c_void_p(), []
    while (name := enumerate_it(ctypes.byref(state), 0)) is not None:
        names.append(name.decode())
    return names


def attack(secret: Path) -> str:
    """Made the key a picture: its text and a long .txt, drawn by the demuxer of terminals."""
    return "|".join([f"concat:file://{secret}", *[f"file://{LICENSE}"] * 30])


def no_picture(url: str) -> None:
    said = ""
    try:
        opened = open_capture(url, 0.3, 0.3)
        said = "a picture" if opened.read()[0] else "none"
        opened.release()
    except OSError as error:
        said = str(error)
    assert said != "a picture", url
    assert "\n" not in said
    assert KEY[:16] not in said


def test_a_key_is_not_drawn_as_a_picture(secret: Path) -> None:
    no_picture(attack(secret))
    with pytest.raises(ValidationError, match="'concat' is not a supported camera URL"):
        Camera(url=attack(secret), purpose="a test")
    text = GOOD.replace("url: clips/a.mp4", f'url: "{attack(secret)}"')
    assert text != GOOD
    with pytest.raises(BadConfig, match=r"sources\.cam1\.url: 'concat' is not a supported camera URL"):
        parse(text, name="push", base=secret.parent)


def test_text_is_no_video_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.txt", "a.mp4", "a.nfo", "a.m3u8", "a.ans"):
        (tmp_path / name).write_text(f"{KEY}\n" * 400)
        no_picture(str(tmp_path / name))
    no_picture(str(LICENSE))


def test_no_protocol_of_this_ffmpeg_opens_a_file(secret: Path, tmp_path: Path) -> None:
    """Each that it knows, in each way in which a name can stand after it; with text and with a real video."""
    clip = video(tmp_path / "clip.avi")
    text = tmp_path / "long.txt"
    text.write_text(f"{KEY}\n" * 400)
    names = protocols()
    assert {"concat", "file", "subfile", "data", "pipe", "crypto"} <= set(names)
    opens = 0
    for name in [*names, "subfile,,start,0,end,999,", "FILE", "Concat", "hls+file", "lavfi", "tee"]:
        for target in (text, secret, clip):
            for between in (":", "://", ":file:", ":file://", ":///..", ":127.0.0.1:"):
                url = f"{name}{between}{target}"
                try:
                    opens += source_kind(url) != "stream"
                except ValueError:
                    no_picture(url)
                    with pytest.raises(ValidationError):
                        Camera(url=url, purpose="a test")
                else:
                    assert name in SCHEMES
    assert opens == 0


@pytest.mark.parametrize(
    "url",
    [
        "rtsp:/etc/passwd", "rtsp://h\n/x", "http:file:///etc/passwd", "//h/x|y", "file:///etc/passwd", "http://",
        "rtsp:///x", "udp://127.0.0.1", "http://h:99999/", "/dev/../etc/passwd|x", "a|b", "rtmp://h/x",
        "tcp://h:1", "http,://h/", ":x", "", "data:text/plain,x",
    ],
)  # fmt: skip
def test_what_is_no_camera_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Camera(url=url, purpose="a test")
    no_picture(url)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("0", "device"), ("/dev/video0", "device"), ("/dev/v4l/by-id/usb-x_C920-video-index0", "device"),
        ("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0", "device"),
        ("rtsp://192.0.2.10/stream1", "stream"), ("rtsps://[2001:db8::1]:322/a?b=c", "stream"),
        ("https://h/x.mjpg", "stream"), ("udp://239.0.0.1:5004", "stream"), ("rtp://0.0.0.0:5004", "stream"),
        ("clips/a.mp4", "file"), ("/srv/clips/12:30 bridge.mp4", "file"), ("../a.mp4", "file"),
    ],
)  # fmt: skip
def test_what_is_a_camera_is_known(url: str, kind: str) -> None:
    assert source_kind(url) == kind
    assert source_kind(Camera(url=url, purpose="a test").url) == kind


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/ptmx", "/dev/stdin", "/dev/../dev/tty"])
def test_a_device_that_is_no_camera_is_not_opened(path: str) -> None:
    with pytest.raises(OSError, match=r"is not a camera \(video4linux device\)|not found"):
        open_capture(path)


def test_a_file_is_a_regular_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "link.mp4").symlink_to("/dev/zero")
    for name in ("fifo.mp4", "link.mp4", "."):
        with pytest.raises(OSError, match="not a regular file"):
            open_capture(str(tmp_path / name))


# What a camera that we do connect to may send.


def video(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for value in range(20):
        writer.write(np.full((size[1], size[0], 3), value * 10, np.uint8))
    writer.release()
    return path


@contextmanager
def answers(respond: Any, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Any]]]:
    """An HTTP(S) server that answers each GET by ``respond(handler)``; its url, and what was asked for."""
    asked: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers), self.client_address[1]))
            respond(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  a client that hangs up is none
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def send(handler: Any, body: bytes, kind: str, status: int = 200, **heads: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in heads.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 33\r\n"
    "a=control:{url}\r\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "txt": "{url}\n" * 400,
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_names_nothing_that_is_read(kind: str, tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi")
    text = PLAYLISTS[kind].format(url=f"file://{clip}")
    file = tmp_path / f"list.{kind}"
    file.write_text(text)
    no_picture(str(file))
    with answers(lambda handler: send(handler, text.encode(), "application/octet-stream")) as (url, _):
        no_picture(f"{url}/list.{kind}")


@pytest.mark.parametrize(
    "to", ["file://{clip}", "http://localhost:{port}/a", "rtsp://127.0.0.1/x", "concat:{clip}"]
)
def test_no_redirect_leads_to_another_server(to: str, tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi")
    places: list[str] = []
    with answers(lambda handler: send(handler, b"", "text/plain", 302, Location=places[0])) as (url, asked):
        places.append(to.format(clip=clip, port=url.rpartition(":")[2]))
        with pytest.raises(OSError, match="redirects to another server"):
            open_capture(f"{url}/x")
    assert len(asked) == 1


def jpeg(width: int = 64, height: int = 48, value: int = 90) -> bytes:
    good, data = cv2.imencode(".jpg", np.full((height, width, 3), value, np.uint8))
    assert good
    return bytes(data)


def test_a_redirect_on_the_same_server_is_followed() -> None:
    def respond(handler: Any) -> None:
        if handler.path == "/x":
            send(handler, b"", "text/plain", 302, Location="/y?z=1")
        else:
            send(handler, jpeg(), "image/jpeg")

    with answers(respond) as (url, asked):
        opened = open_capture(f"{url}/x", 60, 60)
        assert shape(opened)
        opened.release()
    assert [path for path, _, _ in asked] == ["/x", "/y?z=1"]


def test_one_picture_a_request_is_asked_for_again_on_the_same_connection() -> None:
    values = count()
    with answers(lambda handler: send(handler, jpeg(value=next(values)), "image/jpeg")) as (url, asked):
        opened = open_capture(f"{url}/capture", 60, 60, fps=50)
        assert [shape(opened) for _ in range(5)] == [(48, 64, 3)] * 5
        opened.release()
    assert 4 <= len(asked) <= 6
    assert len({port for _, _, port in asked}) == 1


def test_the_same_picture_again_is_no_frame_but_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a camera that is asked more often than it takes pictures; one that stands still is noticed."""
    monkeypatch.setattr("agent.vision.http_camera.REPEAT_S", 60.0)
    values = count()
    with answers(lambda handler: send(handler, jpeg(value=next(values) // 4), "image/jpeg")) as (url, asked):
        opened = open_capture(f"{url}/capture", 60, 60, fps=200)
        greys = [round(opened.read()[1].mean()) for _ in range(3)]
        assert greys[0] < greys[1] < greys[2]
        assert 9 <= len(asked) <= 10
        monkeypatch.setattr("agent.vision.http_camera.REPEAT_S", 0.0)
        assert opened.grab()
        assert len(asked) <= 11
        opened.release()


@pytest.mark.parametrize("right", [True, False])
def test_a_login_is_repeated_for_a_new_nonce_but_not_after_a_refusal(right: bool) -> None:
    """Some cameras forget a nonce without saying that it is stale."""
    asked_for = count()

    def respond(handler: Any) -> None:
        number = next(asked_for)
        if number % 3 == 0 or not right:
            challenge = f'Digest realm="r", nonce="n{number}", qop="auth"'
            send(handler, b"", "text/plain", 401, **{"WWW-Authenticate": challenge})
        else:
            send(handler, jpeg(value=number), "image/jpeg")

    with answers(respond) as (url, asked):
        camera = f"{url.replace('://', '://u:p@')}/capture"
        if not right:
            with pytest.raises(OSError, match="it answers 401"):
                open_capture(camera, 60, 60, fps=200)
            assert len(asked) == 2
            return
        opened = open_capture(camera, 60, 60, fps=200)
        assert [shape(opened) for _ in range(6)] == [(48, 64, 3)] * 6
        opened.release()


# Sizes.


def declared(width: int, height: int) -> bytes:
    """A small JPEG that says it is so large."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(data)


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    body = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + declared(16000, 12000) + b"\r\n"
    head = "multipart/x-mixed-replace; boundary=frame"
    with answers(lambda handler: send(handler, body * 3, head)) as (url, _):
        opened = open_capture(f"{url}/x", 60, 60)
        assert not opened.grab()
        assert opened.error == (
            "its pictures are 16000x12000, larger than 17 megapixels; set the camera to a smaller picture"
        )
        opened.release()


PEAK = """
import resource, sys
from agent.vision.capture import open_capture
from agent.cli.detect_input import read_picture
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        if path.endswith((".avi", ".ts", ".mp4")):
            opened = open_capture(path)
            print("picture" if opened.read()[0] else "none")
        else:
            read_picture(Path(path))
            print("picture")
    except (OSError, ValueError) as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_no_file_takes_the_memory_of_a_board(tmp_path: Path) -> None:
    """A picture of 16000x12000 as JPEG, PNG and a clip: 2.2 GB were taken; measured in a process of its own."""
    huge = np.zeros((12000, 16000), np.uint8)
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), huge)
    frame = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.avi").write_bytes(avi(frame, 16000, 12000))
    del huge
    paths = [str(tmp_path / name) for name in ("a.png", "a.jpg", "a.avi")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    *said, peak = done.stdout.splitlines()
    assert "picture" not in said
    assert said[:2] == ["larger than 67 megapixels"] * 2
    assert "a.avi: its pictures are 16000x12000, larger than 17 megapixels" in said[2]
    assert int(peak) < 300, done.stdout


def avi(frame: bytes, width: int, height: int) -> bytes:
    """The smallest AVI that holds one MJPEG frame."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)

    def words(*values: int) -> bytes:
        return b"".join(value.to_bytes(4, "little") for value in values)

    main = words(100000, 0, 0, 0, 1, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vidsMJPG" + words(0, 0, 0, 1, 10, 0, 1, 0, 0, 0) + b"\0" * 8
    form = words(40, width, height) + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + b"MJPG"
    form += words(width * height * 3, 0, 0, 0, 0)
    header = b"hdrl" + chunk(b"avih", main)
    header += chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", form))
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", header) + chunk(b"LIST", b"movi" + chunk(b"00dc", frame)))


def test_the_clip_above_is_one_that_is_read_when_it_is_small(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(avi(jpeg(), 64, 48))
    assert shape(open_file(str(tmp_path / "a.avi"))) == (48, 64, 3)


# What a push may name.


def test_a_push_names_files_only_where_the_local_file_lets_it(tmp_path: Path) -> None:
    local = parse(GOOD, name="local", base=tmp_path)
    for url, folder, wrong in [
        ("clips/a.mp4", "", False),  # as the local file does
        ("clips/b.mp4", "", True),
        ("/etc/passwd", "", True),
        ("demo/b.mp4", "demo", False),
        ("demo/../clips/b.mp4", "demo", True),
        ("demo/link.mp4", "demo", True),
    ]:
        (tmp_path / "demo").mkdir(exist_ok=True)
        if not (tmp_path / "demo/link.mp4").is_symlink():
            (tmp_path / "demo/link.mp4").symlink_to("/etc/passwd")
        own = local
        if folder:
            own = own.model_copy(
                update={"data": own.data.model_copy(update={"video_folder": tmp_path / folder})}
            )
        pushed = parse(GOOD.replace("clips/a.mp4", url), name="push", base=tmp_path)
        paths = [path for path, _ in secret_violations(pushed, own, tmp_path)]
        assert paths == (["sources.cam1.url"] if wrong else []), url


def test_a_push_can_not_let_a_password_go_in_clear_text_nor_trust_another_ca(tmp_path: Path) -> None:
    text = GOOD.replace(
        "url: clips/a.mp4", 'url: "https://192.0.2.7/x"\n    username: u\n    password: {file: secrets/cam1}'
    )
    local = parse(text, name="local", base=tmp_path)
    assert not list(secret_violations(local, local, tmp_path))
    for more in ("basic: true", "ca: other.pem"):
        pushed = parse(text.replace("username: u", f"username: u\n    {more}"), name="push", base=tmp_path)
        assert [path for path, _ in secret_violations(pushed, local, tmp_path)] == [
            "sources.cam1.password"
        ], more


def test_a_push_sends_no_password_to_another_address_for_the_larger_stream(tmp_path: Path) -> None:
    text = GOOD.replace(
        "url: clips/a.mp4",
        'url: "rtsp://192.0.2.7/sub"\n    username: u\n    password: {file: secrets/cam1}',
    )
    local = parse(text, name="local", base=tmp_path)
    for evidence_url, paths in (
        ("rtsp://192.0.2.7/main", []),
        ("rtsp://192.0.2.7:8554/main", ["sources.cam1.password"]),
        ("http://192.0.2.7/main", ["sources.cam1.password"]),
    ):
        more = text.replace("username: u", f'username: u\n    evidence_url: "{evidence_url}"')
        pushed = parse(more, name="push", base=tmp_path)
        assert [path for path, _ in secret_violations(pushed, local, tmp_path)] == paths, evidence_url


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shape(opened: CameraCapture) -> Any:
    good, frame = opened.read()
    return frame.shape if good else None
