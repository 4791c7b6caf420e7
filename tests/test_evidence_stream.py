"""The stream for pictures: kept encoded, decoded at an alert, and no less private than the other one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from agent.cli.checks.cameras import memory, stretched
from agent.domain.observations import CameraState, Sighting
from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.jpeg import read_label
from agent.privacy.redaction import FILL, FrameWithPeople
from agent.vision.access_units import AccessUnit, AccessUnits
from agent.vision.camera import Camera
from agent.vision.camera_url import MAX_PIXELS, NO_TRUST
from agent.vision.capture import decode_last
from agent.vision.encoded_ring import MAX_CHAIN, EncodedRing
from agent.vision.evidence_stream import EvidenceStream
from agent.vision.frame_reader import FrameReader
from agent.vision.hardware_decoding import attempts, give_up
from agent.vision.view_match import difference, shrunk
from models.detection import Detection, Frame
from tests.encoded_streams import VECTORS, RtspStreams, pictures, rtp_packets
from tests.test_camera_sources import answers, send
from tests.test_evidence import NEAR, Desk
from tests.waiting import until, until_true

JUST_BEFORE, LAST_LOOK = (0.1, 0.6, 0.2, 0.9), (0.7, 0.1, 0.8, 0.3)
FILES = [("sub.h264", "H264"), ("main.h264", "H264"), ("main.h265", "H265")]


def units(name: str, codec: str, **options: Any) -> list[AccessUnit]:
    data, made = (VECTORS / name).read_bytes(), AccessUnits(codec, 96, ())
    return [
        unit
        for number, packet in rtp_packets(data, h265=codec == "H265", **options)
        for unit in made.feed(packet, 50 + number / 10)
    ]


@pytest.mark.parametrize(("name", "codec"), FILES)
@pytest.mark.parametrize("size", [90, 100_000])
def test_the_pictures_of_a_stream_are_put_together_again(name: str, codec: str, size: int) -> None:
    found = units(name, codec, size=size)
    expected = pictures((VECTORS / name).read_bytes(), h265=codec == "H265")
    assert [unit.data for unit in found] == [
        b"".join(b"\x00\x00\x00\x01" + nal for nal in picture) for picture in expected
    ]
    assert [number for number, unit in enumerate(found) if unit.key] == [0, 10]
    assert [round(unit.at_s - 50, 1) for unit in found] == [number / 10 for number in range(20)]
    without_markers = units(name, codec, size=size, markers=False)
    assert [unit.data for unit in without_markers] == [unit.data for unit in found[:-1]]


def test_after_a_loss_nothing_is_given_until_a_key_picture() -> None:
    packets = list(rtp_packets((VECTORS / "main.h264").read_bytes()))
    made = AccessUnits("H264", 96, ())
    lost = next(index for index, (number, _) in enumerate(packets) if number == 4)
    rest = packets[:lost] + packets[lost + 1 :]
    found = [unit for number, packet in rest for unit in made.feed(packet, number / 10)]
    assert [(round(unit.at_s * 10), unit.key) for unit in found] == [
        *((number, number == 0) for number in range(4)),
        *((number, number == 10) for number in range(10, 20)),
    ]


@pytest.mark.parametrize("packet", [b"", b"\x80" * 12, b"\x80\xe0" + bytes(10), b"\xbf\x60" + b"\xff" * 40])
def test_packets_of_no_sense_give_nothing(packet: bytes) -> None:
    assert list(AccessUnits("H264", 96, ()).feed(packet, 0)) == []
    assert list(AccessUnits("H265", 96, ()).feed(packet, 0)) == []


def test_the_ring_is_bounded_in_time_and_bytes_and_begins_with_a_key_picture() -> None:
    ring = EncodedRing(keep_s=3, max_bytes=4000)
    ring.add(AccessUnit(0, False, b"x" * 10))
    assert ring.chain(0) == ()
    for number in range(200):
        ring.add(AccessUnit(number / 10, number % 20 == 0, b"x" * 10))
        assert ring.bytes <= 600
    assert [unit.at_s for unit in ring.chain(19.51)] == [round(18 + one / 10, 1) for one in range(16)]
    assert ring.chain(3)[-1].at_s >= 14
    ring.add(AccessUnit(20, False, b"x" * 5000))
    assert ring.chain(20) == ()
    assert ring.bytes == 0


def test_a_picture_far_from_its_key_picture_is_not_decoded() -> None:
    ring = EncodedRing(keep_s=1000, max_bytes=10**6)
    for number in range(MAX_CHAIN + 50):
        ring.add(AccessUnit(float(number), number == 0, b"x"))
    assert len(ring.chain(MAX_CHAIN + 40)) == MAX_CHAIN


@pytest.mark.parametrize(("name", "codec"), FILES)
def test_the_picture_asked_for_is_decoded_also_where_one_is_damaged(name: str, codec: str) -> None:
    found = units(name, codec)[:10]
    frame, number = decode_last(b"".join(unit.data for unit in found), codec, 10, MAX_PIXELS, 20)
    assert number == 10
    size = (180, 320, 3) if name == "sub.h264" else (360, 640, 3)
    assert frame.shape == size
    cut = b"".join(unit.data for unit in (*found[:4], *found[5:]))
    frame, number = decode_last(cut, codec, 10, MAX_PIXELS, 20)
    assert frame.shape == size
    assert number == (4 if codec == "H265" else 9)  # FFmpeg gives no damaged picture of H.265
    with pytest.raises(OSError, match="larger than max_pixels"):
        decode_last(found[0].data, codec, 1, 320 * 100, 20)
    with pytest.raises(OSError, match="no picture can be decoded"):
        decode_last(b"\x00\x00\x00\x01\x67nothing", codec, 3, MAX_PIXELS, 20)


def view(seed: int, columns: int = 320, rows: int = 180) -> Frame:
    small = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_only_a_picture_of_the_same_view_takes_the_place_of_a_frame() -> None:
    assert difference(view(1), view(1, 3840, 2160)) is None
    assert difference(view(1, 640, 352), view(1, 1920, 1080)) is None
    assert "another aspect ratio (640x480)" in str(difference(view(1), view(1, 640, 480)))
    assert difference(view(1), view(2, 640, 360)) == "it shows another view than url"
    assert "no contrast" in str(difference(view(1), np.full((360, 640, 3), 90, np.uint8)))
    black = np.zeros((360, 640, 3), np.uint8)
    assert "both are black" in str(difference(black, black))
    masked = [view(seed) for seed in (1, 2)]
    for frame in masked:
        frame[:, :240] = 0
    assert difference(*masked) == "it shows another view than url"
    assert shrunk(view(1, 3840, 2160), 1920).shape == (1080, 1920, 3)


def played(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.parametrize(("decode", "told"), [("v4l2m2m", True), ("vaapi", True), ("auto", False)])
def test_a_hardware_decoder_that_is_missing_costs_a_line_and_no_picture(decode: str, told: bool) -> None:
    """Of a machine that has one, only the order of attempts is tested here."""
    if list(Path("/sys/class/video4linux").glob("*")):
        pytest.skip("this machine may have a hardware decoder")
    taken: list[Frame] = []
    with RtspStreams({"sub": VECTORS / "sub.h264"}) as server:
        reader = FrameReader(
            server.url("sub"), lambda *seen: taken.append(seen[2]), lambda _: True, lambda: None,
            open_s=20, read_s=20, decode=decode,
        )  # fmt: skip
        with reader:
            until_true(lambda: bool(taken or reader.error), within_s=30)
    assert taken[0].shape == (180, 320, 3)
    said = f"decode: {decode} can't be used here; the CPU decodes" if told else None
    assert reader.decoding_trouble == said


def test_the_cpu_decodes_after_a_hardware_decoder_that_gave_no_picture() -> None:
    names = [one.name for one in attempts("v4l2m2m", "rtsp://h/given-up")]
    assert names == ["v4l2m2m", "v4l2m2m", "cpu"]
    give_up("rtsp://h/given-up")
    assert [one.name for one in attempts("v4l2m2m", "rtsp://h/given-up")] == ["cpu"]
    assert [one.name for one in attempts("cpu", "rtsp://h/x")] == ["cpu"]


@pytest.mark.parametrize("main", ["main.h264", "main.h265"])
def test_a_camera_looks_at_one_stream_and_has_pictures_of_the_other(
    main: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With blackout and rotation, while the other stream is not decoded; and without it, once it is gone."""
    monkeypatch.setattr("agent.vision.evidence_stream.FIRST_WAIT_S", 0.05)
    monkeypatch.setattr("agent.vision.camera_stats.STATE_EVERY_S", 0.3)
    person = (Detection("person", 0.9, NEAR),)
    monkeypatch.setattr("agent.vision.detector.DetectorSettings.load", lambda _: (lambda _: person, True))
    files = {"sub": VECTORS / "sub.h264", "main": VECTORS / main}

    async def scene() -> None:
        with RtspStreams(files) as server:
            camera = Camera.model_validate(
                {
                    "url": server.url("sub"), "evidence_url": server.url("main"), "purpose": "test",
                    "rotate": 90, "blackout": [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]], "fps": 10,
                }
            )  # fmt: skip
            seen: list[Any] = []
            running = asyncio.create_task(camera.run(seen.append))

            def looks() -> list[FrameWithPeople]:
                return [one.frame_with_people for one in seen if isinstance(one, Sighting)]

            await until(lambda: any(one.larger for one in looks()) or running.done(), within_s=30)
            look = next(one for one in looks() if one.larger)
            assert look.larger is not None
            larger, later_s = await asyncio.to_thread(look.larger)
            assert look.frame.shape == (320, 180, 3)
            assert larger.shape == (640, 360, 3)
            assert abs(later_s) <= 1
            assert not larger[4:316, 4:176].any()
            del server.files["main"]
            expected = f"evidence_url is not used: {server.url('main')}: "
            await until(
                lambda: any(isinstance(one, CameraState) and expected in str(one.trouble) for one in seen),
                within_s=30,
            )
            await until(lambda: looks()[-1].larger is None, within_s=30)
            running.cancel()
            await asyncio.wait([running])

    played(scene)


def test_an_http_camera_is_asked_for_one_picture_and_another_view_is_refused() -> None:
    pages = {"/same": view(1, 640, 360), "/other": view(2, 640, 360)}

    def respond(handler: Any) -> None:
        done, body = cv2.imencode(".jpg", pages[handler.path])
        assert done
        send(handler, body.tobytes(), "image/jpeg")

    with answers(respond) as (url, _):
        base = url.rstrip("/")
        stream = EvidenceStream(f"{base}/same", NO_TRUST, 5, 5, MAX_PIXELS)
        larger, later_s = stream.picture(time.monotonic(), view(1), lambda frame: frame)
        assert larger.shape == (360, 640, 3)
        assert 0 <= later_s < 1.5
        with pytest.raises(OSError, match="away"):
            stream.picture(time.monotonic() - 60, view(1), lambda frame: frame)
        other = EvidenceStream(f"{base}/other", NO_TRUST, 5, 5, MAX_PIXELS)
        with pytest.raises(OSError, match="/other: it shows another view than url"):
            other.picture(time.monotonic(), view(1), lambda frame: frame)
        assert other.trouble == "evidence_url is not used: " + f"{base}/other: not connected yet"


def larger_scene() -> Frame:
    return np.full((720, 1280, 3), 200, np.uint8)


def test_no_person_is_bare_in_a_picture_of_the_larger_stream(tmp_path: Path) -> None:
    """Covered: who was seen in the frame, who was seen just before, and whom the last look finds."""
    desk = Desk(tmp_path, finds=(Detection("person", 0.3, LAST_LOOK),))

    async def run() -> None:
        desk.see(0, (1, JUST_BEFORE))
        look = FrameWithPeople(
            np.full((360, 640, 3), 200, np.uint8),
            [Detection("person", 0.8, NEAR)],
            lambda: (larger_scene(), 0.04),
        )
        desk.see_look(0.2, look)
        assert desk.alert(0.2)
        await desk.work()

    played(run)
    (message, _) = desk.sent[0]
    label = read_label(message.body)
    assert (label["stream"], label["later_s"], label["covered"]) == ("evidence_url", 0.04, True)
    shown = cv2.imdecode(np.frombuffer(message.body, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (720, 1280, 3)
    for left, top, right, bottom in (NEAR, JUST_BEFORE, LAST_LOOK):
        part = shown[int(top * 720) : int(bottom * 720), int(left * 1280) : int(right * 1280)]
        assert np.abs(part.astype(int) - FILL).max() <= 3
    assert not shown[:8, :8].any()  # the blackout of `Desk`
    assert abs(int(shown[700, 1200].mean()) - 200) <= 3


@pytest.mark.parametrize("fails", [OSError("gone"), cv2.error("broken"), MemoryError()])
def test_without_the_larger_stream_the_frame_itself_is_the_picture(fails: Exception, tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    def no_picture() -> tuple[Frame, float]:
        raise fails

    async def run() -> None:
        frame = np.full((360, 640, 3), 200, np.uint8)
        desk.see_look(0, FrameWithPeople(frame, [Detection("person", 0.8, NEAR)], no_picture))
        desk.alert(0.1)
        await desk.work()

    played(run)
    label = read_label(desk.sent[0][0].body)
    assert label["covered"]
    assert "stream" not in label
    shown = cv2.imdecode(np.frombuffer(desk.sent[0][0].body, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (360, 640, 3)
    assert abs(int(shown[180, 320].mean()) - FILL) <= 3


def test_frames_of_4k_wait_smaller_for_their_turn(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    frame = np.full((2160, 3840, 3), 200, np.uint8)
    desk.see_look(0, FrameWithPeople(frame, [Detection("person", 0.8, NEAR)]))
    desk.alert(0.1)
    ((_, waiting),) = desk.recorder._requests[0].pictures
    assert isinstance(waiting, EvidenceFrame)
    assert waiting.frame.shape == (1080, 1920, 3)


def test_the_memory_of_cameras_is_held_against_that_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:        1900000 kB\n")
    small, main = {"sources.a": (640, 360)}, {"sources.a.evidence_url": (3840, 2160)}
    assert [one.state for one in memory(small | main, tmp_path)] == ["ok"]
    large = {f"sources.{name}": (3840, 2160) for name in "abcdefgh"}
    assert [one.state for one in memory(large, tmp_path)] == ["warning"]
    assert list(memory({}, tmp_path)) == []
    assert list(stretched(small | main)) == []
    assert [one.place for one in stretched({"sources.a": (704, 576)} | main)] == ["sources.a.evidence_url"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"evidence_url": "/dev/video0"}, "evidence_url is rtsp, rtsps, http, https://HOST"),
        ({"decode": "vaapi", "url": "http://h/x"}, "decode is for rtsp"),
        ({"evidence_url": "udp://h:5000"}, "evidence_url is rtsp"),
        ({"evidence_url": "rtsp://u:p@h/main"}, "carries a user or password"),
        ({"evidence_url": "rtsp://h/main", "url": "/dev/video0"}, "one stream"),
        ({"evidence_url": "rtsp://h/main", "url": "rtsps://h/sub"}, "gives up the TLS of url"),
    ],
)
def test_what_can_be_no_stream_for_pictures(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Camera.model_validate({"url": "rtsp://h/sub", "purpose": "test"} | fields)
