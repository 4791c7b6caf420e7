"""A drill goes the whole way, is never taken for an alert, touches no rule that runs, and says where it ended."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.alerts.latency import LatencyLedger
from agent.commands.requests import Command
from agent.config.loader import parse
from agent.config.model import Config
from agent.control.drill import Drill, fire
from agent.control.drill_clip import detect_clip, load_clip
from agent.control.drill_plan import OWN, plan_drill, seen_plan
from agent.control.drill_schedule import next_drill
from agent.domain.drill_settings import DrillSettings
from agent.mqtt.envelope import Envelope
from agent.outbox.outbox import Outbox
from agent.outbox.write_buffer import WriteBuffer
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.messages import MessageFactory
from agent.runtime.sanitize import json_object
from models.detection import Detection

CONFIG = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north, timezone: Asia/Shanghai}
broker: {url: "mqtt://127.0.0.1"}
drill: {within: 2s}
sources:
  gnss: {kind: nmea, port: "tcp://127.0.0.1:10110"}
  board: {kind: sensor_board, port: /dev/ttyUSB0}
"""
CAMERAS = """\
  cam1: {kind: camera, url: "rtsp://192.0.2.10/1", purpose: rescue, zones: {rail: [[0, 0], [0.1, 0], [0, 0.1]]}}
  cam2: {kind: camera, url: "rtsp://192.0.2.20/1", purpose: rescue}
"""
ZONE = "camera: cam1, zone: rail"
RULES = {
    "enter": f"{{kind: zone_enter, {ZONE}, schedule: 'Mo 03:00-03:01', labels: [boat]}}",
    "dwell": f"{{kind: zone_dwell, {ZONE}, dwell: 10m, severity: critical, need_ack: true, min_score: 0.9}}",
    "crowd": f"{{kind: count, {ZONE}, more_than: 20, hold: 1m, min_size: 0.9}}",
    "slow": f"{{kind: zone_enter, {ZONE}, frames: 100, grace: 1m}}",
    "line": "{kind: line_cross, camera: cam1, line: [[0, 0], [1, 1]]}",
    "panic": "{kind: switch, source: board, name: panic_button, severity: critical, hold: 90s}",
    "door": "{kind: switch, source: board, name: door, on: false}",
    "deep": "{kind: threshold, source: gnss, quantity: water_temperature, above: 5, hysteresis: 2, hold: 1m}",
    "shallow": "{kind: threshold, source: gnss, quantity: water_temperature, below: 2, need_ack: true}",
    "rising": "{kind: threshold, source: gnss, quantity: water_temperature, rises_by: 1, within: 10m}",
    "quiet": "{kind: silence, source: gnss}",
}
SEEN = [(Detection("person", 0.5, (0.4 + step / 100, 0.4, 0.6 + step / 100, 0.9)),) for step in range(5)]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def config(rules: str = "", cameras: bool = True) -> Config:
    chosen = "".join(f"  {name}: {RULES[name]}\n" for name in rules.split())
    text = CONFIG + (CAMERAS if cameras else "") + (f"rules:\n{chosen}" if chosen else "")
    return parse(text, name="", base=Path("/etc/ringpost"))


@pytest.mark.parametrize(
    ("rules", "rule", "camera", "vision", "chosen"),
    [
        ("panic enter dwell", None, None, True, ("dwell", "cam1")),
        ("panic enter", None, None, True, ("enter", "cam1")),
        ("panic enter dwell", "panic", None, True, ("panic", None)),
        ("panic dwell", None, "cam2", True, (OWN, "cam2")),
        ("quiet line", None, None, True, (OWN, "cam1")),
        ("shallow panic dwell", None, None, False, ("panic", None)),
        ("quiet rising", None, None, False, (OWN, None)),
        ("", None, None, False, (OWN, None)),
    ],
)
def test_what_is_proved(rules: str, rule: Any, camera: Any, vision: bool, chosen: tuple[str, Any]) -> None:
    plan = plan_drill(config(rules), rule, camera, vision=vision)
    assert (plan.name, plan.camera_name) == chosen


@pytest.mark.parametrize(
    ("rule", "camera", "vision", "reason"),
    [
        (
            "dwel",
            None,
            True,
            "no rule 'dwel' that a drill can prove; did you mean 'dwell'? known: dwell, panic",
        ),
        ("line", None, True, "no rule 'line' of kind line_cross that a drill can prove; known: dwell, panic"),
        ("dwell", None, False, "no rule 'dwell' of kind zone_dwell that a drill can prove; known: panic"),
        ("dwell", "cam2", True, "no rule 'dwell' of kind zone_dwell that a drill can prove; there is none"),
        (None, "cam3", True, "no camera 'cam3'; did you mean 'cam2'? known: cam1, cam2"),
        (None, "cam1", False, "no camera 'cam1'; there is none; the extra ringpost[vision] is not installed"),
    ],
)
def test_what_can_not_be_proved_is_said_with_the_alternatives(
    rule: Any, camera: Any, vision: bool, reason: str
) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        plan_drill(config("dwell line panic"), rule, camera, vision=vision)
    assert str(raised.value) == reason


@pytest.mark.parametrize("rule", ["enter", "slow", "dwell", "crowd", "panic", "door", "deep", "shallow"])
def test_each_kind_of_rule_fires(rule: str) -> None:
    plan = plan_drill(config(rule), rule, None, vision=True)
    seen = SEEN if plan.camera else []
    alert = fire(seen_plan(plan, seen) if seen else plan, seen)
    assert (alert.phase, alert.policy.rule, alert.policy.escalate) == ("new", rule, None)
    assert alert.finding.since <= datetime.now(UTC)


@pytest.mark.parametrize("camera", [True, False])
def test_a_device_without_a_rule_that_fits_drills_with_one_of_its_own(camera: bool) -> None:
    plan = plan_drill(config("quiet"), None, None, vision=camera)
    seen = SEEN if camera else []
    assert fire(seen_plan(plan, seen) if seen else plan, seen).policy.rule == OWN


@pytest.mark.parametrize("seen", [[], [()], [(), *SEEN[1:]]])
def test_a_detector_that_misses_the_clip_fails_the_drill(seen: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"the detector of cam1 found nothing in the clip"):
        seen_plan(plan_drill(config("dwell"), None, None, vision=True), seen)


@pytest.mark.slow
def test_the_shipped_clip_passes_the_shipped_model_and_a_camera_of_other_labels() -> None:
    async def scene() -> None:
        plan = plan_drill(config("dwell"), None, None, vision=True)
        assert plan.camera is not None
        camera = plan.camera.model_copy(
            update={"detector": plan.camera.detector.model_copy(update={"labels": ("boat",)})}
        )
        seen = await detect_clip(camera, load_clip(camera, None))
        assert fire(seen_plan(plan, seen), seen).finding.label == "person"

    asyncio.run(scene())


def test_a_clip_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.jpg"
    path.write_bytes(b"no picture")
    camera = config().cameras()["cam1"]
    with pytest.raises(ValueError, match=r"clip.jpg: no readable picture"):
        load_clip(camera, path)
    with pytest.raises(OSError, match=r"not a regular file"):
        load_clip(camera, Path("/dev/zero"))


class Device:
    """A drill on a real outbox; ``receipt`` is the centre."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox.open(folder)
        self.results: list[Mapping[str, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.receipt: dict[str, asyncio.Event] = {}
        self.sent: list[dict[str, Any]] = []
        self.answers = True
        messages = MessageFactory(Envelope(device="bridge-07"), ClockWatch())
        self.buffer = WriteBuffer(self.outbox)
        self.latency = LatencyLedger()
        pipeline: Any = SimpleNamespace(messages=messages, latency=self.latency, buffer=self.buffer)
        self.config = config("panic", cameras=False)
        self.drill = Drill(pipeline, self, self.outbox, lambda: self.config, self.on_result, self.spawn)  # type: ignore[arg-type]  # the part of a link that it uses

    async def receipt_of(self, message_id: str) -> None:
        await self.receipt.setdefault(message_id, asyncio.Event()).wait()

    async def on_result(self, result: Mapping[str, Any]) -> None:
        self.results.append(result)

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def serve(self) -> None:
        """The write loop, the broker and the centre."""
        while True:
            await self.buffer.wait()
            for message in await self.buffer.write({}):
                self.sent.append(json_object(message.body) or {})
                if self.answers:
                    self.latency.acknowledged(message.id, 0.0, asyncio.get_running_loop().time())
                    self.receipt[message.id].set()

    async def drill_once(self) -> Mapping[str, Any]:
        state = await self.drill.command(Command(id="d1"), {"command": "drill"})
        assert state == "accepted"
        await asyncio.wait(self.tasks)
        return self.results[-1]


def run(folder: Path, scene: Any) -> None:
    async def whole() -> None:
        device = Device(folder)
        device.drill.restore()
        serving = asyncio.ensure_future(device.serve())
        try:
            await scene(device)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            device.outbox.close()

    asyncio.run(asyncio.wait_for(whole(), 120))


def test_a_drill_is_an_alert_to_the_outbox_and_none_to_a_person(tmp_path: Path) -> None:
    async def scene(device: Device) -> None:
        result = await device.drill_once()
        (message,) = device.sent
        alert = message["alert"]
        assert (message["schema"], message["drill"], alert["drill"]) == ("alert/1", True, True)
        assert (alert["phase"], alert["severity"], alert["rule"]) == ("drill", "info", "panic")
        assert alert["text"] == "drill: panic button on"
        assert not {"need_ack", "escalation", "media"} & alert.keys()
        assert (result["state"], result["passed"], result["rule"]) == ("succeeded", True, "panic")
        assert result["steps_ms"].keys() == {"rule", "disk", "broker", "receipt"}
        assert device.latency.fields() == {}
        assert device.latency.acknowledgements == {}
        assert device.drill.fields()["drill"]["passed"] is True

    run(tmp_path, scene)


def test_a_missing_receipt_is_a_fault_until_the_next_good_drill_and_after_a_restart(tmp_path: Path) -> None:
    async def fails(device: Device) -> None:
        device.answers = False
        result = await device.drill_once()
        assert (result["state"], result["reason"]) == ("failed", "no acknowledgement of a broker within 2 s")
        assert device.drill.troubles() == ["drill: no acknowledgement of a broker within 2 s"]

    async def passes(device: Device) -> None:
        assert device.drill.troubles() == ["drill: no acknowledgement of a broker within 2 s"]
        await device.drill_once()
        assert device.drill.troubles() == []

    async def passed(device: Device) -> None:
        assert device.drill.troubles() == []
        assert device.drill.last is not None

    for scene in (fails, passes, passed):
        run(tmp_path, scene)


def test_a_disk_that_hangs_is_named(tmp_path: Path) -> None:
    async def scene(device: Device) -> None:
        device.buffer.written = lambda: asyncio.get_running_loop().create_future()  # type: ignore[method-assign]
        result = await device.drill_once()
        assert result["reason"] == "the disk did not take the message within 2 s"

    run(tmp_path, scene)


def test_one_drill_at_a_time(tmp_path: Path) -> None:
    async def scene(device: Device) -> None:
        await device.drill.command(Command(id="d1"), {})
        with pytest.raises(ValueError, match=r"a drill is under way: one at a time"):
            await device.drill.command(Command(id="d2"), {})
        await asyncio.wait(device.tasks)
        await device.drill_once()

    run(tmp_path, scene)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("every", "at", "last", "failed", "due"),
    [
        (None, None, None, False, None),
        ("24h", None, None, False, timedelta(minutes=2)),
        ("24h", None, -HOUR, False, 23 * HOUR),
        ("24h", None, -3 * DAY, False, timedelta(minutes=2)),
        ("24h", None, +DAY, False, 25 * HOUR),  # the clock was set back
        ("24h", None, -HOUR, True, timedelta(minutes=2)),
        ("24h", None, HOUR * 0.9, True, HOUR + timedelta(minutes=9)),
        ("24h", "03:30", None, False, 7.5 * HOUR),  # 03:30 in Shanghai is 19:30 UTC, it is 12:00
        ("24h", "03:30", -16.5 * HOUR, False, 7.5 * HOUR),
        ("24h", "03:30", +0.9 * HOUR, False, 31.5 * HOUR),
        ("7d", "03:30", -16.5 * HOUR, False, 7.5 * HOUR + 6 * DAY),
    ],
)
def test_when_the_next_drill_is_due(every: Any, at: Any, last: Any, failed: bool, due: Any) -> None:
    settings = DrillSettings(every=every, at=at)
    found = next_drill(
        settings, "Asia/Shanghai", last=None if last is None else NOW + last, failed=failed,
        started=NOW, now=NOW + HOUR,
    )  # fmt: skip
    assert (None if found is None else found - NOW) == due


@pytest.mark.parametrize("at", ["24:00", "3:30", "noon", "03:30:00"])
def test_a_time_of_day_is_hours_and_minutes(at: str) -> None:
    with pytest.raises(ValueError, match=r"is no time of day; write it as '03:30'"):
        DrillSettings(every="24h", at=at)
