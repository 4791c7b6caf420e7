"""A picture larger than ``max_pixels`` is refused before it is decoded, whichever way it comes."""

import asyncio
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.vision.capture import open_capture
from agent.vision.parameter_sets import h264_size, h265_size
from agent.vision.session_description import announced_video
from agent.vision.stream_probe import probe_stream
from tests.test_camera_sources import answers, avi, jpeg, send
from tests.test_camera_streams import RtspCamera

H264 = {
    (1920, 1080): "67640028acd940780227e5c044000003000400000300283c60c658",
    (3840, 2160): "67640033acd9403c0043ec044000000300400000030283c60c6580",
    (640, 362): "67640016acd940a02ff930110000030001000003000a0f162d96",
    (4096, 2304): "67640033acd9401000121b0110000003001000000300a0f1831960",
}
H265 = {
    (1920, 1080): "420101016000000300900000030000030078a003c08010e596566924caf016808000000300800000030284",
    (3840, 2160): "420101016000000300900000030000030096a001e020021c596566924caf0168080000030008000003002840",
    (640, 362): "42010101600000030090000003000003003fa005020171f265959a4932bc05a020000003002000000300a1",
    (4096, 2304): "4201010160000003009000000300000300b4a00080080090165959a4932bc05a020000030002000003000a10",
}
"""Of x264 and x265."""
SMALL, LARGE = H264[640, 362], H264[4096, 2304]
LIMIT = r"its pictures are 64x48, larger than max_pixels \(3000\); set the camera to a smaller picture"


def sdp(codec: str, *sets: str) -> str:
    named = {"H264": "sprop-parameter-sets", "H265": "sprop-sps"}[codec]
    units = ",".join(b64encode(bytes.fromhex(one)).decode() for one in sets)
    return f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\na=fmtp:96 {named}={units}\r\na=control:t\r\n"


def test_the_size_in_a_parameter_set() -> None:
    assert {size: h264_size(bytes.fromhex(nal)) for size, nal in H264.items()} == {
        size: size for size in H264
    }
    assert {size: h265_size(bytes.fromhex(nal)) for size, nal in H265.items()} == {
        size: size for size in H265
    }
    assert announced_video(sdp("H264", SMALL, LARGE, "68ee")).size == (4096, 2304)
    assert announced_video(sdp("H265", H265[1920, 1080])).size == (1920, 1080)
    assert announced_video(sdp("H264").replace("parameter-sets=", "parameter-sets=A,===,!")).size is None


@given(st.binary(max_size=80))
def test_a_hostile_parameter_set_is_none(nal: bytes) -> None:
    for size in (h264_size(b"\x67" + nal), h265_size(b"\x42\x01" + nal)):
        assert size is None or min(size) > 0


def test_an_announced_stream_is_refused_before_it_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_camera_streams.SDP", sdp("H264", LARGE))
    with RtspCamera(b"", [""]) as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/s"
        with pytest.raises(OSError, match=r"4096x2304, larger than max_pixels \(2073600\)"):
            asyncio.run(probe_stream(url, 60, max_pixels=1920 * 1080))
    assert [head.split()[0] for head in camera.heard] == ["DESCRIBE"]


def test_a_picture_over_http_is_refused() -> None:
    with answers(lambda handler: send(handler, jpeg(), "image/jpeg")) as (url, _):
        opened = open_capture(f"{url}/x", 60, 60, max_pixels=3000)
        assert not opened.grab()
        assert opened.error == LIMIT.replace("\\", "")
        opened.release()


def test_a_file_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(avi(jpeg(), 64, 48))
    with pytest.raises(OSError, match=LIMIT):
        open_capture(str(tmp_path / "a.avi"), max_pixels=3000)


def test_a_frame_larger_than_announced_ends_the_stream(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(avi(jpeg(), 64, 48))
    opened = open_capture(str(tmp_path / "a.avi"))
    opened._max_pixels = 3000
    assert opened.grab()
    assert opened.retrieve() == (False, None)
    assert opened.error == LIMIT.replace("\\", "")


PEAK = """
import resource, sys
from agent.vision.capture import open_capture
open_capture(sys.argv[1], 60, 60).read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for source in sys.argv[2:]:
    try:
        opened = open_capture(source, 60, 60)
        print("picture" if opened.read()[0] else opened.error)
    except OSError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_no_camera_takes_the_memory_of_a_board(tmp_path: Path) -> None:
    """MJPEG of 16000x12000 over HTTP and in files: 2.2 GB were taken; measured in a process of its own."""
    frame = cv2.imencode(".jpg", np.zeros((12000, 16000), np.uint8))[1].tobytes()
    hidden = jpeg()[:2] + b"\xff\xe1\x00\x08\xff\xd8\xff\xd9xx" + frame[2:]  # a thumbnail before the size
    (tmp_path / "a.avi").write_bytes(avi(frame, 64, 48))  # its header lies
    (tmp_path / "a.mjpeg").write_bytes(frame * 2)
    (tmp_path / "good.avi").write_bytes(avi(jpeg(), 64, 48))
    parts = b"".join(b"--f\r\nContent-Type: image/jpeg\r\n\r\n" + one + b"\r\n" for one in (frame, hidden))
    head = "multipart/x-mixed-replace; boundary=f"
    with (
        answers(lambda handler: send(handler, parts, head)) as (url, _),
        answers(lambda handler: send(handler, hidden, "image/jpeg")) as (snapshot, _),
    ):
        sources = [f"{url}/x", f"{snapshot}/x", str(tmp_path / "a.avi"), str(tmp_path / "a.mjpeg")]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path / "good.avi"), *sources],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
    *said, peak = done.stdout.splitlines()
    assert "picture" not in said, said
    assert all("16000x12000, larger than 17 megapixels" in one for one in said[:2]), said
    assert int(peak) < 200, done.stdout
