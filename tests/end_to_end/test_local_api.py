"""The local socket of a real agent: what a page sees, orders through the gate, a restart, redacted pictures."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.audit.verify import read_entries
from agent.domain.message import new_id
from agent.evidence.jpeg import read_label
from agent.privacy.redaction import FILL
from console.agent_client import AgentClient
from console.agent_views import CameraView, Now
from simulators.scene import Scene
from tests.end_to_end.rig import BROKER, rig
from tests.signing import signed
from tests.test_picture import inside, pixels

pytestmark = pytest.mark.end_to_end
T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


async def first(stream: AsyncIterator[T], wanted: Any = lambda _: True, within_s: float = 120.0) -> T:
    """The first event of a stream that is ``wanted``."""
    async with asyncio.timeout(within_s), aclosing(stream) as events:  # type: ignore[type-var]
        async for event in events:
            if wanted(event):
                return event
    raise AssertionError("the stream has ended")


def shows_people(view: CameraView) -> bool:
    """Whether a picture came in which people were found."""
    return bool(view.jpeg and view.meta["redacted"] and view.meta["redacted"]["people"])


def test_a_page_sees_the_device_and_hands_it_orders(tmp_path: Path) -> None:
    async def scene() -> None:
        picture = Scene(comes_s=2, leaves_s=10_000)
        async with rig(tmp_path, BROKER, picture) as it:
            it.start_agent()
            data = it.folder / "data"
            async with AgentClient(data, timeout_s=120) as page:
                hello = await page.hello()
                assert (hello["device"], hello["kind"], hello["cameras"]) == (
                    "rig-1",
                    "checkpoint_camera",
                    ["cam1"],
                )
                assert stat.S_IMODE((data / "console.sock").stat().st_mode) == 0o600

                # A press is seen as a value and as an alert; its acknowledgement goes through the gate.
                await it.until(lambda: bool(it.alerts("quiet")) or "cam1" in it.log(), what="a start")
                messages = page.results()
                heard = asyncio.ensure_future(
                    first(
                        messages,
                        lambda one: one.topic == "alert" and one.body["alert"]["rule"] == "panic",
                    )
                )
                pressed = asyncio.ensure_future(
                    first(
                        page.sources("board"),
                        lambda update: any(
                            one["key"] == "panic_button" and one["value"]["on"] for one in update.values
                        ),
                    )
                )
                await first(page.sources("gnss"))
                await asyncio.sleep(0.2)
                it.board.press("panic_button")
                alert = (await heard).body["alert"]
                await pressed
                body = {"alert_id": alert["alert_id"], "role": "duty", "action": "ack", "id": new_id()}
                await page.order("alert/ack", signed("ack", "rig-1", body))
                active = (await page.alerts())["active"]
                assert next(one for one in active if one["rule"] == "panic")["acknowledged"]["role"] == "duty"

                # What was raised is committed, owed and confirmed: the same sum after a kill -9.
                def settled(now: Now) -> bool:
                    return now["counts"]["owed"] == 0 and now["counts"]["raised"] >= 2

                counts = (await first(page.now(0.5), settled))["counts"]
                assert counts["committed"] == counts["confirmed"] == counts["raised"]
                assert counts["lost"] == 0
                recent = (await page.alerts())["recent"]
                assert recent[0]["confirmed"]
                assert recent[0]["receipt_at"]

                # A picture of the camera is redacted; the look is in the audit log.
                view = await first(page.camera("cam1", fps=5, width=640), shows_people)
                assert view.meta["no_picture"] is None
                shown, boxes = pixels(view.jpeg).astype(int), read_label(view.jpeg)["people"]
                assert all((abs(inside(shown, box) - FILL) <= 3).mean() > 0.95 for box in boxes)
                looks = [one.fields for one in read_entries(data / "audit") if one.kind == "look"]
                assert [(one["camera"], one["pid"]) for one in looks] == [("cam1", os.getpid())]

                # Hostile clients hold up no alert, and the page keeps its place.
                attack = [sys.executable, "-m", "bench.console_attack", str(data)]
                attacker = subprocess.Popen(attack, cwd=ROOT)  # noqa: ASYNC220
                try:
                    it.board.press("tamper")
                    await it.until(lambda: bool(it.alerts("tamper")), what="an alert under attack")
                    assert (await page.hello())["pid"] == hello["pid"]
                finally:
                    attacker.kill()
                    attacker.wait()

                # The page's own streams go on after a kill -9, and the counts with them.
                now_before = asyncio.ensure_future(
                    first(page.now(0.5), lambda now: now["counts"]["raised"] >= counts["raised"])
                )
                it.end_agent(signal.SIGKILL)
                assert (data / "console.sock").exists()
                it.start_agent()
                await now_before
                after = (await first(page.now(0.5)))["counts"]
                assert after["raised"] >= counts["raised"]
                assert after["since"] == counts["since"]

    asyncio.run(scene())
