"""The commands of the centre, signed, on a whole device with a camera that sees somebody."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from simulators.scene import Scene
from tests.end_to_end.rig import BROKER, Rig, rig

pytestmark = pytest.mark.end_to_end

FINAL = ("succeeded", "failed", "rejected")


def results(device: Rig, command_id: str) -> list[dict[str, Any]]:
    return [
        body
        for topic, body in device.heard
        if topic == "command/result" and body.get("command_id") == command_id
    ]


async def ends(
    device: Rig, name: str, command_id: str, *, nonce: bool = False, **body: Any
) -> dict[str, Any]:
    """The last result of a command."""
    await device.order(f"command/{name}", nonce=nonce, id=command_id, **body)
    await device.until(
        lambda: any(one["state"] in FINAL for one in results(device, command_id)), what=f"the end of {name}"
    )
    return results(device, command_id)[-1]


def test_the_commands_of_a_rescue_on_a_device_in_use(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER, Scene()) as device:
            device.start_agent()
            await device.until(lambda: bool(device.alerts("rail")), what="the alert of the camera")
            ((alert_id, _),) = set(device.alerts("rail")[:1])

            drill = await ends(device, "drill", "drill-1", rule="rail")
            assert (drill["state"], drill["passed"], drill["camera"]) == ("succeeded", True, "cam1"), drill
            assert [phase for one, phase in device.alerts("rail") if phase == "drill"] == ["drill"]

            silenced = await ends(
                device, "silence_alert", "s-1", alert_id=alert_id, for_s=60, reason="seen by the patrol"
            )
            assert silenced["state"] == "succeeded", silenced

            def silences() -> list[str | None]:
                """The reasons in the list of active alerts, which comes in a lane of its own."""
                active = device.last("alerts/active")["alerts"]
                return [
                    one.get("silenced", {}).get("reason") for one in active if one["alert_id"] == alert_id
                ]

            await device.until(lambda: silences() == ["seen by the patrol"], what="the silence in the list")

            began = await ends(device, "rescue_mode", "r-1", nonce=True, for_s=300, reason="a swimmer")
            assert began["state"] == "succeeded", began
            await device.until(lambda: "rescue_mode" in device.last("status"), what="the mode in status")
            again = await ends(device, "restart_part", "p-1", nonce=True, part="gnss")
            assert again["state"] == "succeeded", again
            wrong = await ends(device, "restart_part", "p-2", nonce=True, part="gns")
            assert "did you mean 'gnss'?" in wrong["reason"]
            linked = await ends(device, "restart_part", "p-3", nonce=True, part="link")
            assert linked["state"] == "succeeded", linked

            told = await ends(device, "diagnostics", "d-1")
            assert told["state"] == "succeeded", told
            parts = [one for one in results(device, "d-1") if "part" in one]
            assert [one["part"] for one in parts] == list(range(1, told["parts"] + 1))

            await device.publish("command/drill", b'{"id": "drill-2"}')
            await device.until(
                lambda: any(
                    body["state"] == "rejected" and body["command"] == "drill"
                    for topic, body in device.heard
                    if topic == "command/result"
                ),
                what="the refusal of what is not signed",
            )

            ended = await ends(device, "rescue_mode", "r-2", nonce=True, for_s=0, reason="found")
            assert ended["state"] == "succeeded", ended
            await device.until(lambda: "rescue_mode" not in device.last("status"), what="its end in status")
            assert "crashed" not in device.log()
            for one in ("p-3", "r-1"):  # neither was delivered again
                assert not [
                    said for said in results(device, one) if said["state"] in ("rejected", "duplicate")
                ]

    asyncio.run(asyncio.wait_for(scene(), 400))
