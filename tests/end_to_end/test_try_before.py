"""Try before you keep: snapshot, probe and what_if, signed, on a whole agent at a real broker."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.evidence.jpeg import read_label
from simulators.scene import Scene
from tests.end_to_end.rig import NEEDS_MOSQUITTO, Rig, rig
from tests.end_to_end.test_pictures import listen
from tests.thorough import only_long

pytestmark = pytest.mark.end_to_end

PROBE_PAUSE_S = 3.5
"""The agent takes a probe every 3 s."""


async def ask(rigged: Rig, name: str, command_id: str, **fields: Any) -> dict[str, Any]:
    """The last result of a signed command."""
    await rigged.order(f"command/{name}", id=command_id, **fields)

    def results() -> list[dict[str, Any]]:
        return [
            body
            for topic, body in rigged.heard
            if topic == "command/result" and body.get("command_id") == command_id
        ]

    def ended() -> bool:
        return any(one["state"] != "accepted" for one in results())

    await rigged.until(ended, 300, f"the result of {name}")
    return results()[-1]


@only_long
@NEEDS_MOSQUITTO
def test_a_technician_tries_before_a_push(tmp_path: Path) -> None:
    """Else tests/browser/test_cameras.py tries a zone on the device; each command has its own file of tests."""

    async def scene() -> None:
        async with rig(tmp_path, "mosquitto", Scene(comes_s=0.0, leaves_s=3600.0)) as rigged:
            rigged.start_agent()
            await rigged.until(lambda: bool(rigged.alerts("rail")), 300, "the alert of the man")
            pictures: dict[str, bytes] = {}
            ready = asyncio.Event()
            listening = asyncio.ensure_future(listen(rigged.broker.url, pictures, ready))
            await asyncio.wait_for(ready.wait(), 60)

            result = await ask(rigged, "snapshot", "s-1", camera="cam1")
            assert (result["state"], result["width"], result["people_shown"]) == ("succeeded", 640, 0)
            assert result["people_redacted"] >= 1
            await rigged.until(lambda: "media/s-1/1" in pictures, 60, "the snapshot")
            assert read_label(pictures["media/s-1/1"])["covered"] is True

            assert rigged.camera is not None
            result = await ask(rigged, "probe", "p-1", camera_url=f"{rigged.camera.url}?second")
            facts = [result.get(key) for key in ("state", "width", "codec")]
            assert facts == ["succeeded", 640, "MJPG"], result
            await rigged.until(lambda: "media/p-1/1" in pictures, 60, "the picture of the probe")
            assert read_label(pictures["media/p-1/1"])["covered"] is True
            wanted: list[tuple[dict[str, str], str, str]] = [
                ({"camera_url": rigged.camera.url}, "succeeded", "cam1"),
                ({"port": str(rigged.gnss.path)}, "succeeded", "gnss"),
                ({"broker": rigged.broker.url}, "succeeded", "link"),
                ({"camera_url": "http://127.0.0.1:1/"}, "rejected", "not allowed: "),
                ({"port": "/dev/null"}, "rejected", "not allowed: "),
            ]
            for number, (fields, state, text) in enumerate(wanted):
                await asyncio.sleep(PROBE_PAUSE_S)
                result = await ask(rigged, "probe", f"q-{number}", **fields)
                assert result["state"] == state, result
                assert text in (result.get("in_force"), result.get("reason", "")[: len(text)])
            await asyncio.sleep(PROBE_PAUSE_S)
            result = await ask(rigged, "probe", "m-1", model="default")
            assert result["inference_ms"] > 0, result

            result = await ask(rigged, "what_if", "w-1", rules={"rail": None}, hours=1)
            assert (result["state"], result["now"], result["proposed"]) == ("succeeded", 1, 0), result
            assert result["missed"][0]["alert_id"] == rigged.alerts("rail")[0][0]
            assert {phase for _, phase in rigged.alerts("rail")} <= {
                "new",
                "update",
            }  # nothing in force changed
            assert rigged.last("config/reported").get("active", {}).get("source") == "local"
            listening.cancel()

    asyncio.run(scene())
