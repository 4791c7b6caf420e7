"""Rules and zones are changed under a live camera and an active alert: nothing restarts, and the alert goes on."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from simulators.scene import Scene
from tests.end_to_end.rig import BROKER, CAMERA_RULE, Rig, rig
from tests.end_to_end.test_pushes import push
from tests.thorough import only_long

pytestmark = pytest.mark.end_to_end

RAIL = "rail: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]"
PUSHES = (
    (CAMERA_RULE, CAMERA_RULE.replace("severity: critical", "severity: warning")),
    ("dwell: 3s", "dwell: 4s"),
    (RAIL, f"{RAIL}, stairs: [[0, 0], [0.2, 0], [0.2, 0.2]]"),
    ("after: 2s}", "after: 3s}"),
)
"""The severity and the time of the rule with the alert, a zone of its camera, and another rule."""


def rail(device: Rig) -> list[dict[str, Any]]:
    return [
        body["alert"] for topic, body in device.heard if topic == "alert" and body["alert"]["rule"] == "rail"
    ]


def lasted_s(alert: dict[str, Any]) -> int:
    """The duration in its text."""
    found = re.search(r"for (\d+) (s|min)", alert["text"])
    assert found, alert["text"]
    return int(found[1]) * (60 if found[2] == "min" else 1)


def restarted(device: Rig) -> tuple[Any, ...]:
    """What would be more if anything had restarted."""
    log = device.log()
    births = sum(topic == "birth" for topic, _ in device.heard)
    assert device.camera is not None
    events = ("detector_loaded", "part_failed", "part_crashed", "part_ended")
    return births, device.camera.connections, *(log.count(event) for event in events)


@only_long
def test_one_changed_rule_restarts_nothing_and_its_alert_goes_on(tmp_path: Path) -> None:
    """Else the scenario ``one_rule_changed`` holds it in virtual time, and tests/test_going_on.py each rule."""

    async def scene() -> None:
        async with rig(tmp_path, BROKER, Scene(comes_s=-10, leaves_s=10_000)) as device:
            text = device.write_config()
            device.start_agent()
            await device.until(lambda: bool(rail(device)), what="the alert")
            await device.until(lambda: device.last("health").get("parts") is not None, what="health")
            (began, *_), before = rail(device), restarted(device)
            for revision, (old, new) in enumerate(PUSHES, 1):
                assert old in text
                text, told = text.replace(old, new), len(rail(device))
                answer = await push(device, text, revision, 60)
                assert answer["state"] == "applied", answer
                await device.until(lambda: len(rail(device)) > told, what="an update")  # noqa: B023
            assert rail(device)[-1]["severity"] == "warning"
            assert restarted(device) == before

            device.end_agent(signal.SIGKILL)
            told = len(rail(device))
            device.start_agent()
            await device.until(lambda: len(rail(device)) > told, what="the alert after a restart")
            alerts = rail(device)
            assert {alert["alert_id"] for alert in alerts} == {began["alert_id"]}
            assert {alert["since"] for alert in alerts} == {began["since"]}
            assert [alert["phase"] for alert in alerts[1:]] == ["update"] * (len(alerts) - 1)
            times = [lasted_s(alert) for alert in alerts]
            assert times == sorted(times), "no text falls behind"

    asyncio.run(asyncio.wait_for(scene(), 500))
