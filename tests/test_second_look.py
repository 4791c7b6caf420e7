"""The second look at critical alerts: it delays by its limit at most, and swallows and reorders nothing."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts.alert import Alert, AlertPolicy
from agent.alerts.latency import LatencyLedger
from agent.alerts.verification import NOT_IN_TIME, SecondLook, combined_score
from agent.domain.contracts import Verification
from agent.domain.findings import Finding
from agent.domain.message import Message, encode, new_id
from agent.domain.observations import Observation, SeenObject, Sighting
from agent.evidence.alert_verifier import amended
from agent.evidence.object_crop import region_around, score_in_crop
from agent.evidence.second_look import SecondLooks, Verifier
from agent.host.clock import monotonic_s
from agent.outbox.outbox import Outbox
from agent.outbox.send_holds import SendHolds
from agent.outbox.write_buffer import WriteBuffer
from agent.privacy.redaction import FrameWithPeople
from agent.rules.zone_enter import ZoneEnter
from models.detection import Detect, Detection, Frame
from tests.waiting import play, until

BOX = (0.4, 0.4, 0.5, 0.7)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("box", "size", "region"),
    [
        ((0.45, 0.4, 0.55, 0.6), (1280, 720), (0.2, 0.2, 0.8, 0.8)),
        ((0.0, 0.0, 0.1, 0.2), (1280, 720), (0.0, 0.0, 0.6, 0.6)),  # moved into the frame
        ((0.9, 0.8, 1.0, 1.0), (1280, 720), (0.4, 0.4, 1.0, 1.0)),
        ((0.1, 0.0, 0.5, 0.9), (1280, 720), (0.0, 0.0, 1.0, 1.0)),  # no more than the frame
        ((0.5, 0.5, 0.51, 0.52), (416, 416), (0.255, 0.26, 0.755, 0.76)),  # no less than 208 pixels
    ],
)
def test_the_crop_has_the_shape_of_the_frame_and_lies_in_it(box: Any, size: Any, region: Any) -> None:
    assert region_around(box, *size) == pytest.approx(region)


@pytest.mark.parametrize(
    ("label", "labels", "box", "score"),
    [
        ("person", ("person",), (1 / 3, 1 / 3, 2 / 3, 2 / 3), 0.7),
        ("pedestrian", ("person",), (1 / 3, 1 / 3, 2 / 3, 2 / 3), 0.7),
        ("boat", ("person",), (1 / 3, 1 / 3, 2 / 3, 2 / 3), 0.0),
        ("person", ("person",), (0.0, 0.0, 0.3, 0.3), 0.0),  # somebody else
    ],
)
def test_only_the_same_object_agrees(label: str, labels: Any, box: Any, score: float) -> None:
    shapes = []

    def detect(frame: Frame) -> tuple[Detection, ...]:
        shapes.append(frame.shape)
        return (Detection(label, 0.7, box),)

    frame = np.zeros((1000, 1000, 3), np.uint8)
    assert score_in_crop(detect, frame, (0.45, 0.4, 0.55, 0.6), labels) == (score if score else 0.0)
    assert shapes == [(600, 600, 3)]


def test_agreeing_raises_the_score_that_is_told_and_disagreeing_leaves_it() -> None:
    assert combined_score(0.5, 0.6) == pytest.approx(0.65)
    agreed = replace(alert(), verified=True, second_look=SecondLook(20.0, 0.6, 1, "m"))
    assert agreed.fields()["score"] == 0.65
    assert replace(agreed, verified=False).fields()["score"] == 0.5
    assert replace(agreed, verified=False).fields()["verified"] is False
    assert "verified" not in alert().fields()


def alert(phase: Any = "new", alert_id: str = "a", box: Any = BOX) -> Alert:
    policy = AlertPolicy("rail", "zone_enter", "critical", need_ack=False, cool_down=timedelta(0))
    finding = Finding(key="z", text="t", since=AT, source="cam", label="person", score=0.5, box=box)
    return Alert(alert_id, phase, policy, finding, AT)


def sighting(at_s: float, box: Any = BOX) -> Observation:
    frame = FrameWithPeople(np.zeros((90, 160, 3), np.uint8), ())
    seen = SeenObject(track=1, label="person", score=0.5, box=box)
    return Observation("cam", AT, at_s, Sighting(frame=1, objects=(seen,), frame_with_people=frame))


class Rig:
    """Looks at one camera whose detector answers with ``score``."""

    def __init__(self, detect: Callable[[Frame], tuple[Detection, ...]] | None = None) -> None:
        self.score, self.calls = 0.0, 0
        self.looks = SecondLooks()
        self.verdicts: dict[str, tuple[Any, SecondLook | None]] = {}
        self.detect: Detect = detect or self._detect
        self.looks.configure({"cam": Verifier("m", lambda: self.detect)})

    def _detect(self, frame: Frame) -> tuple[Detection, ...]:
        self.calls += 1
        return (Detection("person", self.score, (0.0, 0.0, 1.0, 1.0)),) if self.score else ()

    async def ready(self) -> None:
        self.running = asyncio.ensure_future(self.looks.run())
        self.looks.on_observation(sighting(monotonic_s()))
        await until(lambda: self.looks._cameras["cam"].detect is not None)

    def begin(self, which: Alert, within_s: float = 30.0) -> bool:
        def on_verdict(verified: Any, look: SecondLook | None) -> None:
            assert which.alert_id not in self.verdicts
            self.verdicts[which.alert_id] = (verified, look)

        return self.looks.begin(which, Verification(within_s, ("person",), 0.4), monotonic_s(), on_verdict)


WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_it_agrees_at_once_or_looks_at_further_frames_until_the_limit() -> None:
    async def scene() -> None:
        rig = Rig()
        await rig.ready()
        rig.score = 0.9
        assert rig.begin(alert(alert_id="there", box=WHOLE))
        await until(lambda: "there" in rig.verdicts)
        verified, look = rig.verdicts["there"]
        assert verified is True
        assert look is not None
        assert (look.score, look.looks, look.model) == (0.9, 1, "m")
        rig.score = 0.2
        assert rig.begin(alert(alert_id="not", box=WHOLE))
        rig.looks.on_observation(sighting(monotonic_s(), WHOLE))
        await until(lambda: rig.looks._looks["not"].looks >= 2)
        rig.looks.end("not")  # as at the limit
        verified, look = rig.verdicts["not"]
        assert verified is False
        assert look is not None
        assert look.looks >= 2
        assert look.score == 0.2
        rig.running.cancel()

    play(scene)


def test_without_a_frame_a_box_or_a_detector_nothing_is_held() -> None:
    async def scene() -> None:
        rig = Rig()
        assert not rig.begin(alert())  # no frame
        await rig.ready()
        assert not rig.begin(alert(box=None))
        rig.looks._cameras["cam"].frames.clear()
        rig.looks.on_observation(sighting(monotonic_s() - 60))
        assert not rig.begin(alert())  # an old one
        rig.looks.configure({})
        assert not rig.begin(alert())
        rig.running.cancel()

    play(scene)


def test_a_detector_that_hangs_or_fails_costs_no_more_than_the_limit_once() -> None:
    async def scene() -> None:
        back = threading.Event()

        def hang(_: Frame) -> tuple[Detection, ...]:
            back.wait(60)
            return ()

        rig = Rig(hang)
        await rig.ready()
        assert rig.begin(alert(alert_id="a"), within_s=0.1)
        assert rig.begin(alert(alert_id="b"), within_s=0.1)
        await until(lambda: len(rig.verdicts) == 2)
        assert set(rig.verdicts.values()) == {(NOT_IN_TIME, None)}
        rig.looks._cameras["cam"].hanging = next(
            one for one in threading.enumerate() if one.name == "second look"
        )
        assert not rig.begin(alert(alert_id="c"))
        back.set()
        rig.running.cancel()

        def fail(_: Frame) -> tuple[Detection, ...]:
            raise ValueError("inference failed")

        rig = Rig(fail)
        await rig.ready()
        assert rig.begin(alert(alert_id="d"))
        await until(lambda: "d" in rig.verdicts)
        assert rig.verdicts["d"] == (NOT_IN_TIME, None)
        rig.running.cancel()

    play(scene)


def test_several_share_the_looks_and_a_camera_that_goes_ends_its_own() -> None:
    async def scene() -> None:
        rig = Rig()
        await rig.ready()
        for number in range(30):
            assert rig.begin(alert(alert_id=str(number), box=WHOLE)) == (number < 20)
        await until(lambda: rig.calls >= 20)
        await until(lambda: all(look.looks for look in rig.looks._looks.values()))
        rig.looks.configure({})
        assert len(rig.verdicts) == 20
        assert {verified for verified, _ in rig.verdicts.values()} == {False}
        rig.running.cancel()

    play(scene)


def test_another_limit_restarts_no_evaluator_and_only_critical_rules_ask() -> None:
    rule = ZoneEnter(camera="cam", zone="z", severity="critical")
    off = rule.model_copy(update={"verify_within": timedelta(0)})
    assert off.evaluates_as(rule)
    assert rule.verification() == Verification(1.0, ("person",), 0.4)
    assert off.verification() is None
    assert rule.model_copy(update={"severity": "warning"}).verification() is None


# The hold in the outbox.


def message(group: str, rank: int = 0) -> Message:
    identity = new_id()
    body = encode({"id": identity, "alert": {"alert_id": group, "verified": NOT_IN_TIME}, "latency_ms": {}})
    return Message(lane="alert", topic="alert", id=identity, body=body, rank=rank, group=group)


def with_verdict(one: Message) -> Message:
    return replace(one, body=one.body.replace(b'"not_in_time"', b"true"))


def test_a_held_alert_is_on_disk_and_its_verdict_amends_it_before_it_goes(tmp_path: Path) -> None:
    async def scene() -> None:
        outbox = Outbox.open(tmp_path, 32_000_000)
        buffer = WriteBuffer(outbox)
        ledger, held, free = LatencyLedger(), message("a"), message("b")
        ledger.on_alert(held.id, "rail", {}, monotonic_s())
        outbox.holds.hold("a", 60, lambda: ledger.on_released(held.id, monotonic_s()))
        buffer.add(held, free, end := message("a"))
        await buffer.write({})
        assert [row.id for row in await outbox.due(10)] == [free.id]
        assert [row.id for row in await outbox.by_id([held.id])] == [held.id]  # durable meanwhile
        outbox.rewind()  # the link was away
        assert [row.id for row in await outbox.due(10)] == [free.id]
        buffer.amend(with_verdict(held))
        assert await outbox.due(10) == []
        await buffer.write({"active": b"[]"})
        rows = await outbox.due(10)
        assert [row.id for row in rows] == [held.id, end.id]
        assert b'"verified":true' in rows[0].body
        assert outbox.recall("active") == b"[]"
        assert "second_look" in ledger.on_send(held.id, monotonic_s())
        outbox.close()
        # After a restart: the same, as it lies there.
        outbox = Outbox.open(tmp_path, 32_000_000)
        again = await outbox.due(10)
        assert [(row.id, row.body) for row in again if row.group == "a"] == [
            (row.id, row.body) for row in rows
        ]
        outbox.close()

    play(scene)


def test_the_limit_releases_what_nobody_judges(tmp_path: Path) -> None:
    async def scene() -> None:
        outbox = Outbox.open(tmp_path, 32_000_000)
        outbox.holds.hold("a", 0.05)
        await outbox.put(held := message("a"))
        rows: list[Any] = []
        while not rows:
            rows = await outbox.due(10)
            await asyncio.sleep(0.01)
        assert [row.id for row in rows] == [held.id]
        outbox.close()

    play(scene)


def test_a_disk_that_hangs_or_refuses_holds_nothing_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.disk_thread.HANGS_S", 0.1)

    async def scene() -> None:
        outbox = Outbox.open(tmp_path, 32_000_000)
        buffer, back = WriteBuffer(outbox), threading.Event()
        outbox.thread.submit(lambda: back.wait(60))
        await until(lambda: outbox.hangs)
        outbox.holds.hold("a", 60)
        buffer.add(held := message("a"))
        writing = asyncio.ensure_future(buffer.write({}))
        await asyncio.sleep(0)
        assert await outbox.due(10) == []
        buffer.amend(with_verdict(held))
        assert await outbox.due(10) == []
        outbox.holds.release("a")  # as at the limit
        (row,) = await outbox.due(10)
        assert b'"verified":true' in row.body
        back.set()
        await writing
        await buffer.write({})
        (stored,) = await outbox.by_id([held.id])
        assert stored.body == row.body
        store: Any = outbox.storage.alerts.store
        really = store.put

        def refuse(*_: object, **__: object) -> None:
            raise OSError("full")

        outbox.holds.hold("b", 60)
        await outbox.put(other := message("b"))
        store.put = refuse
        await outbox.put(amended=[with_verdict(other)], remember={"x": b"1"})
        assert other.id in [row.id for row in await outbox.due(10)]
        store.put = really
        await outbox.put(message("c"))  # the disk works again
        (stored,) = await outbox.by_id([other.id])
        assert b'"verified":true' in stored.body
        outbox.close()

    play(scene)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_order_of_events_swallows_or_reorders_an_alert(data: st.DataObject) -> None:
    """A model of the queue: rows come from a store in order, repeated after a rewind; holds come and go."""

    async def scene() -> None:
        holds = SendHolds(lambda: None)
        stored: list[Any] = []
        read = 0
        first_sent: dict[str, list[str]] = {}
        sent: set[str] = set()

        def take() -> None:
            for row in holds.take(data.draw(st.integers(1, 5)), ("alert",)):
                if row.id not in sent:
                    first_sent.setdefault(row.group, []).append(row.id)
                sent.add(row.id)

        for _ in range(data.draw(st.integers(1, 40))):
            group = data.draw(st.sampled_from("abc"))
            match data.draw(st.sampled_from(["put", "hold", "release", "read", "take", "rewind", "amend"])):
                case "put":
                    stored.append(row_of(message(group), len(stored)))
                case "hold" if group not in first_sent:  # only a first phase is held
                    holds.hold(group, 60)
                case "release":
                    holds.release(group)
                case "read":
                    upto = min(len(stored), read + data.draw(st.integers(1, 4)))
                    holds.add(stored[read:upto])
                    read = upto
                case "take":
                    take()
                case "rewind":
                    holds.rewind(("alert",))
                    read = 0
                case "amend" if stored:
                    one = data.draw(st.sampled_from(stored))
                    holds.amend(with_verdict(one.to_message()))
        holds.release_all()
        holds.add(stored[read:])
        for _ in range(len(stored) + 1):
            take()
        assert sent == {row.id for row in stored}
        for group, ids in first_sent.items():
            assert ids == [row.id for row in stored if row.group == group]

    asyncio.run(scene())


def row_of(one: Message, place: int) -> Any:
    from agent.outbox.rows import Row

    return Row(
        one.lane, place, one.id, one.topic, one.body, 1, False, None, 0.0, "e", None, place, 0, one.group,
    )  # fmt: skip


def test_the_amended_message_is_the_same_message() -> None:
    fields = alert().fields() | {"verified": NOT_IN_TIME}
    before = Message(
        lane="alert", topic="alert", id="m", body=encode({"id": "m", "alert": fields}), group="a"
    )
    after = amended(
        before, replace(alert(), verified=True, second_look=SecondLook(31.2, 0.6, 2, "nanodet-g"))
    )
    assert (after.id, after.group, after.topic) == (before.id, before.group, before.topic)
    assert b'"score":0.65' in after.body
    assert b'"verified":true' in after.body
    assert b'"second_look":{"ms":31.2,"score":0.6,"looks":2,"model":"nanodet-g"}' in after.body
