"""What the agent shows at its local socket, and that nothing of it costs anything where nobody looks."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.alerts.tally import AlertTally
from agent.config.loader import parse
from agent.config.secret_filter import SecretFilter
from agent.domain.message import Message, encode, new_id
from agent.domain.observations import Sighting
from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.clip_store import nearest_picture
from agent.evidence.jpeg import read_label
from agent.evidence.people_search import PeopleSearch
from agent.local_api.alerts import parsed
from agent.local_api.camera import CameraTap
from agent.local_api.camera_pictures import redacted_fields
from agent.local_api.configuration import ConfigurationView
from agent.local_api.device import counts
from agent.local_api.harmless import harmless
from agent.local_api.log_lines import LogView, fields_of
from agent.local_api.looks import LookLog
from agent.local_api.parts import AgentParts, Answer, Call, Peer, RequestError
from agent.local_api.raw_bytes import MOST_BYTES, RawTap
from agent.local_api.results import ResultTap
from agent.local_api.values import NewestValues, ValueTap
from agent.outbox.alert_records import latest_alerts, stored_counts
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.losses import Loss, LostAlerts
from agent.outbox.outbox import Outbox
from agent.privacy.redaction import FILL, REDACTION_PASSES, FrameWithPeople
from agent.runtime.native_calls import abandoned_threads
from agent.runtime.recent_lines import LINES, RecentLines
from firmware_bridge.readings import Reading, Switch, Vessel
from firmware_bridge.serial.line import RAW_OBSERVERS
from models.detection import Detection
from tests.outbox_rig import fail, message, put
from tests.sightings import say, see, thing, tick
from tests.test_evidence import NEAR, Desk
from tests.test_picture import inside, pixels
from tests.test_picture import scene as picture

CONFIG = """\
schema_version: 1
device: d1
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: s, post: p}
broker: {url: "mqtt://127.0.0.1:1"}
sources:
  board: {kind: sensor_board, port: /dev/ttyX}
  cam1: {kind: camera, url: x.mp4, purpose: a test, zones: {left: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}
rules:
  cross: {kind: line_cross, camera: cam1, line: [[0, 0.5], [1, 0.5]]}
"""
ME = Peer(42, 1000)


def call(data: bytes = b"", **params: Any) -> Call:
    return Call(ME, params, data)


class Audit:
    """An audit log whose disk may fail."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.works = True

    def append(self, kind: str, *, who: Any = (), **fields: Any) -> None:
        self.entries.append((kind, fields))

    async def written(self) -> bool:
        return self.works


def parts(**more: Any) -> AgentParts:
    """Only those that a test needs."""
    config = parse(CONFIG, name="c.yaml", base=Path())
    empty = SimpleNamespace(latest=lambda _: [], progress=lambda *_: [])
    pipeline = SimpleNamespace(
        watchers=(), rules=empty, health=SimpleNamespace(frame_size=lambda _: (640, 360)), **more
    )
    outbox = SimpleNamespace(on_put=None)
    return cast(AgentParts, SimpleNamespace(running=lambda: config, pipeline=pipeline, outbox=outbox, **more))


def run(scene: Any) -> None:
    asyncio.run(asyncio.wait_for(scene(), 60))


async def following(stream: AsyncGenerator[Answer, None]) -> Answer:
    return await anext(stream)


def test_the_newest_value_of_each_name_is_kept_with_its_rate() -> None:
    values = NewestValues()
    for n in range(5):
        values.on_observation(say("board", n, Reading(quantity="depth", value=n, unit="m")))
    values.on_observation(say("board", 5, Switch(name="panic_button", on=True)))
    values.on_observation(say("radio", 5, Vessel(mmsi=123456789, message=1)))
    values.on_observation(tick(6))
    found = values.since(-1, None, {"board": "sensor_board"})
    assert [(one["source"], one["value_kind"], one["key"]) for one in found] == [
        ("board", "reading", "depth"),
        ("board", "switch", "panic_button"),
        ("radio", "vessel", "123456789"),
    ]
    assert (found[0]["value"]["value"], found[0]["rate_hz"], found[0]["kind"]) == (4, 1.0, "sensor_board")
    number = values.number
    assert values.since(number, None, {}) == []
    values.on_observation(say("board", 9, Switch(name="panic_button", on=False)))
    assert [one["value"] for one in values.since(number, "board", {})] == [
        {"kind": "switch", "name": "panic_button", "on": False}
    ]


def test_no_picture_goes_with_the_values() -> None:
    values, sighting = NewestValues(), see(1, thing(0.2, 0.8))
    frame = FrameWithPeople(picture(36, 64), ())
    assert isinstance(sighting.value, Sighting)
    values.on_observation(replace(sighting, value=replace(sighting.value, frame_with_people=frame)))
    (found,) = values.since(-1, None, {})
    assert "frame_with_people" not in found["value"]
    json.dumps(found)


def test_names_that_a_line_makes_up_are_bounded() -> None:
    values = NewestValues()
    for n in range(2_100):
        values.on_observation(say("board", n / 100, Reading(quantity=f"q{n}", value=0, unit="")))
    found = values.since(-1, None, {})
    assert (len(found), found[0]["key"]) == (2_000, "q100")


def test_taps_are_there_only_while_somebody_looks() -> None:
    it = parts()

    async def scene() -> None:
        values, results, raw = ValueTap(it).sources(call()), ResultTap(it).results(call()), RawTap(it).raw
        snapshot = await following(values)
        assert snapshot.fields == {"snapshot": []}
        (listener,) = it.pipeline.watchers
        waiting = asyncio.ensure_future(following(results))
        bytes_ = raw(call(source="board"))
        read = asyncio.ensure_future(following(bytes_))
        await asyncio.sleep(0)
        listener.on_observation(say("board", 1, Switch(name="door", on=True)))
        assert (await following(values)).fields["values"][0]["key"] == "door"
        assert it.outbox.on_put is not None
        alert = message(body=encode({"alert": {"alert_id": "a"}}))
        it.outbox.on_put([message("telemetry"), alert, alert])
        assert (await waiting).fields == {"topic": "alert", "body": {"alert": {"alert_id": "a"}}}
        RAW_OBSERVERS["/dev/ttyX"](b"$GP")
        assert (await read).data == b"$GP"
        for stream in (values, results, bytes_):
            await stream.aclose()

    run(scene)
    assert it.pipeline.watchers == ()
    assert it.outbox.on_put is None
    assert RAW_OBSERVERS == {}


def test_of_bytes_nobody_reads_the_newest_are_kept_and_the_others_counted() -> None:
    async def scene() -> None:
        stream = RawTap(parts()).raw(call(source="board"))
        read = asyncio.ensure_future(following(stream))
        await asyncio.sleep(0)
        for n in range(100):
            RAW_OBSERVERS["/dev/ttyX"](bytes([n]) * 1024)
        found = await read
        assert len(found.data) == MOST_BYTES
        assert (found.data[-1], found.fields["left_out"]) == (99, 100 * 1024 - MOST_BYTES)
        await stream.aclose()

    run(scene)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (lambda it: ValueTap(it).sources(call(source="nobody")), "no 'nobody' is configured"),
        (lambda it: RawTap(it).raw(call(source="cam1")), "'cam1' is no serial line"),
        (lambda it: RawTap(it).raw(call()), "source: a text of 1 to 128 characters is needed"),
        (lambda it: CameraTap(it, LookLog(cast(Any, Audit()))).camera(call(camera="cam9")), "cameras: cam1"),
        (lambda it: LogView(it).log(call(level="loud")), "level: 'loud' is none of debug"),
    ],
)
def test_what_is_not_there_is_named(stream: Any, error: str) -> None:
    with pytest.raises(RequestError, match=error):
        run(lambda: following(stream(parts())))


def test_a_look_is_in_the_audit_log_before_anything_is_shown_and_not_each_second() -> None:
    audit = Audit()
    looks = LookLog(cast(Any, audit))

    async def scene() -> None:
        assert await looks.begin(ME, camera="cam1") is None
        assert await looks.begin(ME, camera="cam1") is None
        assert await looks.begin(Peer(43, 0), camera="cam1") is None
        audit.works = False
        assert "no picture is shown" in str(await looks.begin(ME, camera="cam2"))

    run(scene)
    assert audit.entries[0] == ("look", {"pid": 42, "uid": 1000, "camera": "cam1"})
    assert [fields["pid"] for _, fields in audit.entries] == [42, 43, 42]


@pytest.mark.parametrize("audit_works", [True, False])
def test_a_camera_s_picture_is_redacted_and_needs_the_audit_log(audit_works: bool, tmp_path: Path) -> None:
    desk, audit = Desk(tmp_path), Audit()
    audit.works = audit_works
    desk.see(0, (1, NEAR))
    desk.finds = (Detection("person", 0.7, (0.7, 0.3, 0.9, 0.9)),)
    it = parts(recorder=desk.recorder)

    async def scene() -> None:
        stream = CameraTap(it, LookLog(cast(Any, audit))).camera(call(camera="cam1", fps=10, width=320))
        first = await following(stream)
        assert first.fields["lines"] == {"cross": [[0.0, 0.5], [1.0, 0.5]]}
        assert (first.fields["width"], first.fields["objects"][0]["label"]) == (640, "person")
        if not audit_works:
            assert "audit log can't be written" in first.fields["no_picture"]
            assert first.data == b""
        else:
            while not first.data:
                first = await following(stream)
            redacted = first.fields["redacted"]
            assert (redacted["whole"], redacted["redacted"]) == (False, True)
            assert redacted["people"] == redacted["covered"] >= 2
            shown = pixels(first.data).astype(int)
            assert shown.shape == (180, 320, 3)
            for box in (NEAR, (0.7, 0.3, 0.9, 0.9)):
                assert abs(inside(shown, box) - FILL).max() <= 2
            assert (await following(stream)).data == b""  # each picture once
        await stream.aclose()

    run(scene)
    assert it.pipeline.watchers == ()
    assert [kind for kind, _ in audit.entries] == ["look"]


def test_where_the_gentle_pass_fails_all_is_covered_and_alerts_are_not_affected(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.see(0, (1, NEAR))
    frame, _ = desk.recorder.newest("cam1")
    assert isinstance(frame, EvidenceFrame)
    people: PeopleSearch = desk.recorder._release._people

    def broken() -> Any:
        raise OSError("no model")

    async def scene() -> None:
        people.configure({"cam1": broken})
        whole = await desk.recorder.look(frame, "cam1", {"why": "look"}, 320)
        assert redacted_fields(whole) == {"people": None, "covered": 0, "whole": True, "redacted": True}
        assert desk.recorder.troubles == {}
        people._detectors = {"cam1": desk.load}  # mended: pictures of alerts try again at once, looks later
        assert await people.find("cam1", frame.frame) == ()
        assert read_label(await desk.recorder.look(frame, "cam1", {}, 320))["people"] is None

    run(scene)


def test_the_gentle_pass_waits_while_a_picture_of_an_alert_is_searched(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.see(0, (1, NEAR))
    frame, _ = desk.recorder.newest("cam1")
    assert frame is not None
    people: PeopleSearch = desk.recorder._release._people
    order: list[str] = []

    async def scene() -> None:
        people._urgent = 1
        looking = asyncio.ensure_future(people.find_gently("cam1", frame.frame))
        looking.add_done_callback(lambda _: order.append("looked"))
        await people.find("cam1", frame.frame)
        order.append("released")
        people._urgent = 0
        await looking

    run(scene)
    assert order == ["released", "looked"]


def test_a_look_that_is_broken_off_leaves_no_thread_and_no_second_pass(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.see(0, (1, NEAR))
    frame, _ = desk.recorder.newest("cam1")
    assert frame is not None
    people: PeopleSearch = desk.recorder._release._people
    begun, goes_on = threading.Event(), threading.Event()
    asked: list[int] = []

    def slow() -> Any:
        def detect(_: Any) -> tuple[Detection, ...]:
            asked.append(1)
            begun.set()
            goes_on.wait(60)
            return ()

        return detect

    async def scene() -> None:
        people.configure({"cam1": slow})
        first = asyncio.ensure_future(people.find_gently("cam1", frame.frame))
        await asyncio.to_thread(begun.wait, 60)
        first.cancel()
        others = [asyncio.ensure_future(people.find_gently("cam1", frame.frame)) for _ in range(50)]
        await asyncio.sleep(0)
        for one in others[1:]:
            one.cancel()
        assert len(asked) == 1  # the first is still in its inference
        goes_on.set()
        assert await others[0] == ()
        assert len(asked) == 1 + REDACTION_PASSES

    run(scene)
    assert abandoned_threads(0.0) == 0


def test_picture_1_of_a_clip_is_the_one_nearest_to_the_alert() -> None:
    at = datetime.fromtimestamp((int(new_id().replace("-", ""), 16) >> 80) / 1000, UTC)
    names = [f"{at.replace(microsecond=0):%Y%m%dT%H%M%S.%f}-{n}.jpg" for n in (1,)]
    far = "20200101T000000.000000-0.jpg"
    pictures = [Path(far), *map(Path, names)]
    assert nearest_picture(new_id(), pictures).name == names[0]
    assert nearest_picture("not-a-uuid", pictures).name == far


def alert_body(phase: str, alert_id: str = "a1", **more: Any) -> bytes:
    alert = {"alert_id": alert_id, "phase": phase, "rule": "rail", **more}
    return encode(
        {"at": "2026-11-28T06:00:00.000Z", "alert": alert, "latency_ms": {"finding_to_outbox": 2.5}}
    )


def test_alerts_are_found_before_and_after_their_receipt_also_after_a_restart(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 100_000_000)
    first, second = message(body=alert_body("new")), message(body=alert_body("update"))
    put(storage, first, second)
    storage.alerts.record_receipts([first.id])
    storage.close()
    storage = LaneStorage(tmp_path, 100_000_000)
    third = message(body=alert_body("end", acknowledged={"role": "duty"}))
    put(storage, third, message(body=b"{}"))
    found = latest_alerts(storage.alerts, 10)
    messages = parsed([message(body=alert_body("new", "a2"))], found, 10)
    storage.close()
    assert [(one["alert_id"], one["phase"], one["confirmed"]) for one in messages] == [
        ("a2", "new", False),
        ("a1", "end", False),
        ("a1", "update", False),
        ("a1", "new", True),
    ]
    assert messages[1]["acknowledged"] == {"role": "duty"}
    assert messages[3]["steps_ms"] == {"finding_to_outbox": 2.5}
    assert datetime.fromisoformat(messages[3]["receipt_at"]).tzinfo is not None


def test_counts_add_up_over_a_restart_a_receipt_and_a_loss(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 100_000_000)
    alerts = [message(body=alert_body("new")) for _ in range(5)]
    put(storage, *alerts)
    storage.alerts.record_receipts([alerts[0].id, alerts[1].id])
    (row,) = storage.alerts.by_id([alerts[2].id])
    storage.losses.report([Loss(lane="alert", epoch=row.epoch, first=3, last=3, count=1, why="corrupted")])
    storage.delete([row])
    storage.close()
    storage = LaneStorage(tmp_path, 100_000_000)
    found = counts(5, 0, stored_counts(storage.alerts))
    storage.close()
    assert found == {
        "raised": 5,
        "committed": 4,
        "confirmed": 2,
        "owed": 2,
        "lost": 1,
        "lost_more": False,
    }


def test_what_the_disk_refuses_is_raised_and_owed_and_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaneStorage(tmp_path, 100_000_000)
    put(storage, message())
    fail(monkeypatch, storage.alerts.store, "put")
    put(storage, message(), message())
    found = counts(4, 1, stored_counts(storage.alerts))
    monkeypatch.undo()
    storage.close()
    assert (found["committed"], found["owed"], found["confirmed"], found["lost"]) == (1, 4, 0, 0)


def test_a_damaged_file_may_have_lost_more_than_is_known(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 100_000_000)
    storage.losses.report([Loss(lane="alert", epoch=None, why="damaged")])
    assert storage.losses.alerts == LostAlerts(count=0, more=True)
    storage.close()


def test_the_tally_goes_on_from_before_and_begins_with_what_is_stored() -> None:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    tally = AlertTally.restored(None, at, 3).with_raised(["new", "update"])
    assert (tally.raised, tally.alerts, tally.since) == (5, 1, "2026-11-28T00:00:00.000Z")
    assert AlertTally.restored(tally.model_dump_json().encode(), datetime.now(UTC), 9) == tally
    assert AlertTally.restored(b"{", at, 0).raised == 0


def test_the_outbox_shows_one_instant(tmp_path: Path) -> None:
    """No alert is seen twice, or not at all, on its way to the disk."""

    async def scene() -> None:
        outbox, looks, alerts = Outbox.open(tmp_path), [], list[Message]()
        for _ in range(30):
            alert = message()
            alerts.append(alert)
            outbox.expect([alert])
            writing = asyncio.ensure_future(outbox.put(alert))
            found = await outbox.look_at_alerts(alerts.__len__, stored_counts)
            assert found is not None
            seen, unwritten, stored = found
            looks.append(stored.on_disk + len(unwritten) == seen)
            await writing
        assert all(looks)
        outbox.close()

    run(scene)


@pytest.mark.parametrize(
    ("topic", "taken"),
    [
        ("config/desired", True),
        ("alert/ack", True),
        ("roles/desired", True),
        ("command/ping", True),
        ("command/a/b", False),
        ("receipt", False),
        ("groups/all/config/desired", False),
    ],
)
def test_an_order_goes_to_the_gate_as_it_is(topic: str, taken: bool) -> None:
    got: list[Any] = []

    async def on_message(*message: Any) -> None:
        got.append(message)

    it = parts(inbound=SimpleNamespace(on_message=on_message))
    order = ConfigurationView(it).order
    if taken:
        run(lambda: order(call(b"\x01", topic=topic)))
    else:
        with pytest.raises(RequestError, match="is none of config/desired"):
            run(lambda: order(call(b"\x01", topic=topic)))
    assert got == ([(topic, b"\x01", None, False)] if taken else [])


def test_the_log_gives_its_last_lines_without_secrets_and_follows() -> None:
    secrets = SecretFilter(("s3cret-word",))
    line = {
        "timestamp": "t",
        "level": "warning",
        "event": "it",
        "url": "rtsp://u:pw@cam",
        "n": 1,
        "t": "s3cret-word",
    }
    assert fields_of(line, secrets) == {
        "at": "t",
        "level": "warning",
        "event": "it",
        "fields": {"url": "rtsp://[removed]@cam", "n": 1, "t": "[removed]"},
    }

    async def scene() -> None:
        LINES.add({"level": "info", "event": "quiet"})
        LINES.add({"level": "error", "event": "loud"})
        stream = LogView(parts()).log(call(level="error"))
        while (await following(stream)).fields["event"] != "loud":
            pass
        await asyncio.to_thread(LINES.add, {"level": "error", "event": "next"})
        assert (await following(stream)).fields["event"] == "next"
        await stream.aclose()

    run(scene)
    assert LINES._followers == ()


def test_only_so_many_lines_are_kept() -> None:
    lines = RecentLines()
    for n in range(300):
        lines.add({"n": n})
    seen: list[Mapping[str, Any]] = []
    assert [one["n"] for one in lines.follow(seen.append)] == list(range(100, 300))


def test_a_fault_of_a_look_keeps_no_alert_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody looks with stands in the way of the alert: between the rule and the disk."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug of the look")

    monkeypatch.setattr(ResultTap, "_take", fail)

    async def scene() -> None:
        outbox = Outbox.open(tmp_path)
        try:
            stream = ResultTap(cast(AgentParts, SimpleNamespace(outbox=outbox))).results(call())
            looking = asyncio.ensure_future(following(stream))
            await asyncio.sleep(0)
            assert outbox.on_put is not None
            await outbox.put(message())
            assert (await outbox.depth())["alert"] == 1
            looking.cancel()
        finally:
            await asyncio.to_thread(outbox.close)

    run(scene)


def test_a_fault_of_a_look_goes_no_further() -> None:
    seen: list[bytes] = []

    def fail(data: bytes) -> None:
        seen.append(data)
        raise RuntimeError("a bug of the look")

    harmless(fail)(b"$GP")
    assert seen == [b"$GP"]
