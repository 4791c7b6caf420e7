"""A camera that is blinded while it runs: told in status and health with its zone and since when, and as an alert."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from agent.vision.visibility import LEARN_FRAMES
from simulators.scene import Scene
from tests.end_to_end.rig import BROKERS, Rig, rig

pytestmark = pytest.mark.end_to_end

RULE = "  cannot-see: {kind: blind, camera: cam1, after: 3s, severity: warning}"


@pytest.mark.parametrize("kind", BROKERS[:1])
def test_a_blinded_camera_says_so_and_says_when_it_sees_again(tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        async with rig(tmp_path, kind, Scene(comes_s=600, leaves_s=700)) as device:  # type: ignore[arg-type]
            device.write_config(device.write_config() + RULE + "\n")
            device.start_agent()
            await device.until(lambda: bool(coverage(device)), what="coverage in health")
            assert coverage(device) == {"seen": ["rail"], "blind": []}
            assert device.camera is not None
            # At two frames a second, every second frame at most is a look at the view: ten make it known.
            await device.until(lambda: frames(device) >= 2 * LEARN_FRAMES + 4, what="a view that is known")
            for number, how in enumerate(("covered", "frozen"), 1):
                device.camera.blinding = how
                await device.until(lambda how=how: why(device) == how, what=f"blind: {how}")
                assert any(
                    f"cam1: blind in rail ({how}) since" in reason
                    for reason in device.last("status")["reasons"]
                )
                assert datetime.fromisoformat(coverage(device)["blind"][0]["since"]).tzinfo is not None
                await device.until(
                    lambda number=number: len(device.alerts("cannot-see")) >= 2 * number - 1, what="its alert"
                )
                device.camera.blinding = None
                await device.until(lambda: why(device) == "", what=f"sight after {how}")
                await device.until(
                    lambda number=number: len(device.alerts("cannot-see")) >= 2 * number, what="its end"
                )
                await device.until(
                    lambda: "blind in rail" not in str(device.last("status")["reasons"]),
                    what="a clear status",
                )
            phases = [phase for _, phase in device.alerts("cannot-see") if phase != "update"]
            assert phases == ["new", "end"] * 2
            assert device.end_agent() == 0

    asyncio.run(asyncio.wait_for(scene(), 400))


def coverage(device: Rig) -> dict:  # type: ignore[type-arg]
    found: dict = device.last("health").get("coverage", {}).get("cam1", {})  # type: ignore[type-arg]
    return found


def frames(device: Rig) -> int:
    """How many frames were looked at, as health tells it last."""
    parts = {part["part"]: part for part in device.last("health")["parts"]}
    return int(parts["cam1"].get("looked", 0))


def why(device: Rig) -> str:
    """Why the zone is blind, as health tells it last; empty where it is seen."""
    blind = coverage(device)["blind"]
    return blind[0]["why"] if blind else ""
