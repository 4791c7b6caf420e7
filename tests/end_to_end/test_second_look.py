"""A critical alert under its second look survives the end of the agent: held in memory, safe on disk."""

import asyncio
import json
import signal
import sqlite3
from pathlib import Path

import pytest

from simulators.scene import Scene
from tests.end_to_end import rig as rigs
from tests.end_to_end.rig import ANY_BROKER, CAMERA_RULE, Rig, rig
from tests.thorough import only_long

pytestmark = pytest.mark.end_to_end

NEVER_AGREES = """
from agent.evidence import second_look
second_look.score_in_crop = lambda *_: 0.0
"""


def waiting(device: Rig) -> list[str]:
    """The ids of undelivered new alerts of the camera rule, as they are on disk."""
    path = device.folder / "data" / "alerts.db"
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT body FROM owed WHERE lane = 'alert'").fetchall()
    except sqlite3.OperationalError:  # the agent has not made it yet
        return []
    bodies = [json.loads(body) for (body,) in rows]
    return [one["id"] for one in bodies if one["alert"]["phase"] == "new" and one["alert"]["rule"] == "rail"]


@only_long  # otherwise tests/test_second_look.py, with a restart of the outbox
@pytest.mark.parametrize("kind", ANY_BROKER)
def test_an_alert_that_waits_for_its_second_look_survives_a_kill(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rigs, "AGENT", NEVER_AGREES + rigs.AGENT)
    slow = CAMERA_RULE.replace("severity: critical", "severity: critical, verify_within: 5s")
    monkeypatch.setattr(rigs, "CAMERA_RULE", slow)

    async def scene() -> None:
        async with rig(tmp_path, kind, Scene(comes_s=1, leaves_s=600)) as device:
            device.start_agent()
            await device.until(lambda: waiting(device) != [], 180, "the alert on disk")
            (identity,) = waiting(device)
            device.end_agent(signal.SIGKILL)
            assert device.alerts("rail") == []  # it was held
            device.start_agent()
            await device.until(lambda: device.alerts("rail") != [], 180, "the alert")
            sent = next(body for topic, body in device.heard if topic == "alert" and body["id"] == identity)
            assert sent["alert"]["verified"] == "not_in_time"
            assert next(phase for _, phase in device.alerts("rail")) == "new"
            assert len(device.stored("rail")) == 1

    asyncio.run(asyncio.wait_for(scene(), 400))
