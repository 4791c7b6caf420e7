"""Cameras behind a real RTSP server, where GStreamer's is installed."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.domain.observations import Sighting
from agent.vision.camera import Camera

SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).resolve().parents[1] / "rtsp_server.py"
PASSWORD = "p@ss/w:rd é"  # noqa: S105  what a URL must be careful with
pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module", autouse=True)
def _needs_server() -> None:
    command = [SYSTEM_PYTHON, SERVER, "--check"]
    if not SYSTEM_PYTHON.exists() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs GStreamer's RTSP server: run .ci/run as root on Debian, or install what it names")


@contextmanager
def server(*login: str) -> Iterator[str]:
    """Its URL while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with subprocess.Popen(
        [SYSTEM_PYTHON, SERVER, port, *login],
        stdout=subprocess.PIPE,
        text=True,
        env={"RTSP_PASSWORD": PASSWORD},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield f"rtsp://127.0.0.1:{port}"
        finally:
            process.kill()


def look(url: str, **more: Any) -> Sighting:
    """The third sighting of the camera there."""

    async def scene() -> Sighting:
        said: list[Sighting] = []

        def hear(value: Any) -> None:
            if isinstance(value, Sighting):
                said.append(value)

        fields = {"url": url, "purpose": "a test", "open_timeout": "10s", "read_timeout": "5s"} | more
        task = asyncio.ensure_future(Camera.model_validate(fields).run(hear))
        while len(said) < 3 and not task.done():
            await asyncio.sleep(0.02)
        if task.done():
            task.result()
        task.cancel()
        return said[-1]

    return asyncio.run(asyncio.wait_for(scene(), 400))


@pytest.mark.parametrize("stream", ["h264", "jpeg"])
def test_a_stream_is_seen(stream: str) -> None:
    with server() as url:
        sighting = look(f"{url}/{stream}", rotate=90)
    assert sighting.frame_with_people.frame.shape == (640, 360, 3)
    assert sighting.frame_with_people.frame.any()
    assert 0 < sighting.delay_s < 10


@pytest.mark.parametrize(
    ("stream", "message"),
    [("audio", "no video in this stream"), ("raw", "sends RAW, which can't be decoded"), ("x", "404")],
)
def test_why_not_is_said(stream: str, message: str) -> None:
    with server() as url, pytest.raises(OSError, match=message):
        look(f"{url}/{stream}")


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_a_login_is_given_and_its_refusal_told(login: str, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(PASSWORD + "\n")
    wrong.write_text("hush-hush")
    with server(login) as url:
        said = {"basic": login == "basic"}
        assert look(
            f"{url}/h264", username="admin", password={"file": right}, **said
        ).frame_with_people.frame.any()
        with pytest.raises(OSError, match="user name and password required"):
            look(f"{url}/h264")
        with pytest.raises(OSError, match="user 'admin' or its password is refused") as caught:
            look(f"{url}/h264", username="admin", password={"file": wrong}, **said)
    assert "hush" not in str(caught.value)
