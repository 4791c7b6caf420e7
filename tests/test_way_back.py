"""The broker before is tried where the one that was pushed does not work, and only then."""

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.config.trial import BrokenSourceError
from agent.control.trial_proof import TrialProof
from agent.domain.observations import CameraState, Observation, Sighting
from agent.push_trial import PushTrials
from agent.runtime.health import Health, Running
from agent.vision.detector import DetectorSettings
from firmware_bridge.readings import BoardState
from tests.test_deployment import LOCAL, MOVED, Device
from tests.waiting import until


@pytest.mark.parametrize(
    ("well", "answering", "gone_back"),
    [(False, True, True), (False, False, False), (True, True, False)],
    ids=["not well, the old one answers", "nobody answers: it is the network", "well"],
)
def test_who_is_looked_for_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, well: bool, answering: bool, gone_back: bool
) -> None:
    monkeypatch.setattr("agent.push_trial.FALLBACK_CHECK_EVERY_S", 0.01)
    monkeypatch.setattr("agent.push_trial.FALLBACK_AFTER_S", 0.05)
    device = Device(tmp_path)
    assert device.push(MOVED, 1)["state"] == "applied"
    asked: list[str] = []
    ran: list[str] = []

    async def answers(broker: Any, _: Any) -> bool:
        asked.append(broker.url)
        return answering

    monkeypatch.setattr("agent.push_trial.is_reachable", answers)

    async def apply(config: Config) -> None:
        ran.append(config.broker.url)

    async def nothing() -> None:
        pass

    class Link:
        past = None
        looks = 0
        centre_reached = False

        @property
        def is_healthy(self) -> bool:
            self.looks += 1
            return well

    async def scene() -> None:
        link: Any = Link()
        none: Any = SimpleNamespace()
        trials = PushTrials(
            device.deployment,
            none,
            link,
            none,
            none,
            asyncio.Queue(),
            apply,
            lambda: device.deployment.config,
        )
        mocked: Any = trials
        mocked.proof, mocked.report = SimpleNamespace(prove=nothing), nothing
        task = asyncio.ensure_future(trials.run())

        def over() -> bool:
            if gone_back:
                return bool(ran) and device.deployment.reported()["state"] == "rolled_back"
            return bool(asked) or (well and link.looks > 20)

        await until(over)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scene())
    assert bool(asked) is not well
    assert (ran == ["mqtt://127.0.0.1:1883"]) is gone_back
    answer = device.deployment.reported()
    assert answer["state"] == ("rolled_back" if gone_back else "applied")
    assert answer["active"]["sha256"] == digest(LOCAL if gone_back else MOVED)


@pytest.mark.parametrize(
    ("text", "needs_receipt"),
    [(MOVED, True), (MOVED.replace('1884"', '1884", delivery: puback'), False), (LOCAL, True)],
    ids=["another broker", "another broker without receipts", "the same broker"],
)
def test_the_centre_is_reached_once_it_gives_a_receipt(
    tmp_path: Path, text: str, needs_receipt: bool
) -> None:
    """Any broker acknowledges, also one without a centre."""
    device = Device(tmp_path)
    config = parse(text, name="", base=tmp_path)
    received = asyncio.Event()
    sent: list[Any] = []

    async def acknowledged() -> None:
        pass

    async def receipt_of(message_id: str) -> None:
        assert message_id == "m1"
        await received.wait()

    async def put(message: Any) -> None:
        sent.append(message)

    messages = SimpleNamespace(command_result=lambda *_: SimpleNamespace(id="m1"))
    outbox: Any = SimpleNamespace(put=put)
    link: Any = SimpleNamespace(acknowledged=acknowledged, receipt_of=receipt_of)
    reporter: Any = SimpleNamespace(messages=messages)
    proof = TrialProof(device.deployment, outbox, link, Health(), reporter, lambda: config)

    async def scene() -> None:
        proving = asyncio.ensure_future(proof.prove())
        if needs_receipt:
            await until(lambda: sent)
            assert not proving.done()
            received.set()
        await asyncio.wait_for(proving, 60)

    asyncio.run(scene())
    assert len(sent) == needs_receipt


CAMERA = "  cam1: {kind: camera, url: rtsp://192.0.2.1/1, purpose: a test}\n"
AT = datetime(2026, 11, 30, tzinfo=UTC)
SIGHTING = Sighting(frame=1, objects=())


def frames(width: int, height: int) -> CameraState:
    return CameraState(frames=5, skipped=0, width=width, height=height)


@pytest.mark.parametrize(
    ("before", "after", "working", "speaks", "said"),
    [
        ("", "  gps: {kind: nmea, port: /dev/ttyUSB0}\n", "", {}, ["gps: sends nothing"]),
        ("", "  gps: {kind: nmea, port: /dev/ttyUSB0, required: true}\n", "", {}, "gps: sends nothing; it gave no value within 1 s"),
        ("", "  gps: {kind: nmea, port: /dev/ttyUSB0, required: true}\n", "", {"gps": [BoardState()]}, []),
        ("", CAMERA, "", {}, "cam1: sends nothing; it gave no value"),
        ("", CAMERA, "", {"cam1": [frames(1920, 1080)]}, "cam1: sends nothing"),
        ("", CAMERA, "", {"cam1": [frames(1920, 1080), SIGHTING]}, []),
        ("", CAMERA, "", {"cam1": [SIGHTING]}, []),
        ("", CAMERA, "", {"cam1": [frames(32, 24), SIGHTING]}, "cam1: its frames have 32x24 pixels, fewer than 64x48"),
        ("", CAMERA.replace("a test", "a test, required: false"), "", {}, ["cam1: sends nothing"]),
        (CAMERA, CAMERA.replace("a test", "another"), "", {}, ["cam1: sends nothing"]),
        (CAMERA, CAMERA.replace("a test", "another"), "cam1", {}, "cam1: sends nothing; it worked before the push, but not"),
        (CAMERA, CAMERA.replace("a test", "a test, required: true"), "", {}, "cam1: sends nothing; it gave"),
        (CAMERA, CAMERA.replace("2.1/1", "2.1/2"), "", {}, "cam1: sends nothing; it gave"),
        (CAMERA, CAMERA, "", {}, []),
        (CAMERA, CAMERA.replace("a test", "a test, required: false, detector: {model: broken}"), "", {}, "cam1: can't load"),
    ],
)  # fmt: skip
def test_what_changed_or_is_new_has_to_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
    working: str,
    speaks: dict[str, list[Any]],
    said: Any,
) -> None:
    monkeypatch.setattr("agent.control.trial_proof.NEW_SOURCE_WITHIN_S", 0.3)
    monkeypatch.setattr("agent.control.trial_proof.SIZE_WITHIN_S", 0.3)

    def load(settings: DetectorSettings) -> Any:
        if settings.model == "broken":
            raise OSError("can't load")

    monkeypatch.setattr(DetectorSettings, "load", load)
    device, health = Device(tmp_path), Health()
    configs = [
        parse(LOCAL.replace("rules:", f"{part}rules:"), name="", base=tmp_path, ran_before=True)
        for part in (before, after)
    ]
    for name in configs[1].sources:
        health.set_running(name, Running("running"), time.monotonic())
        for value in speaks.get(name, ()):
            health.on_observation(Observation(name, AT, time.monotonic(), value))
    none: Any = None
    proof = TrialProof(device.deployment, none, none, health, none, lambda: configs[1])
    probe = proof.probe(configs[0], frozenset(filter(None, [working])), 1.0)
    if isinstance(said, list):
        assert asyncio.run(probe) == said
    else:
        with pytest.raises(BrokenSourceError, match=re.escape(said)):
            asyncio.run(probe)
