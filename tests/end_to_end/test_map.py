"""The map with a real broker, centre and agent: an alert is answered, an output is called out, a death is seen."""

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from centre.map.actions import Actions
from centre.map.call_out import CallOrder, call_out
from centre.map.feed import Feed
from centre.map.fleet_orders import FleetOrders
from centre.map.queued_alert import QueuedAlert
from console.session_signer import SessionSigner
from tests.end_to_end.rig import BROKER, rig
from tests.signing import ROOT_KEY

pytestmark = pytest.mark.end_to_end

CONFIG = """\
schema_version: 1
device: rig-1
kind: metro_post
place: {{ring: perimeter, domain: underground, site: rig, post: north, lat: 32.1, lon: 118.7}}
broker: {{url: "{broker}", resend_after: 5s}}
reporting: {{telemetry_every: 1s, position_every: 1s, health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board", outputs: [siren, light]}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical, need_ack: true,
    ack_within: 2s, escalate: {{repeat: 3s, times: 100, output: {{source: board, name: siren, ttl: 20s}}}}}}
"""


async def until(check: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(120):
            while not check():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None


def test_two_officers_at_one_alert(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.write_config(CONFIG.format(broker=device.broker.url, folder=device.folder))
            device.start_agent()
            await device.until(lambda: device.last("status").get("state") == "online", what="online")
            feed = Feed(device.db)
            await feed.start()
            here = Actions(device.db, FleetOrders(device.broker.url))
            there = Actions(device.db, FleetOrders(None))
            jobs = (feed.run(), here.run(), here.orders.run(), there.run())
            tasks = [asyncio.ensure_future(job) for job in jobs]
            await until(lambda: here.orders.connected, "the connection of the map")
            device.board.press("panic_button")
            await until(lambda: bool(feed.situation.alerts.alarms()), "the alarm")
            [alert] = feed.situation.alerts.alarms()
            assert alert.point is not None
            assert alert.point.how == "surveyed"
            await until(lambda: alert.escalation > 0, "the escalation")
            await answer(here, there, alert)
            await until(lambda: alert.state == "acknowledged", "the acknowledgement in the database")
            await until(lambda: not device.board.on, "silence of the siren")
            orders = [
                CallOrder("rig-1", "output", "board", "light", 30),
                CallOrder("rig-1", "rescue_mode", for_s=60),
            ]
            ends = {}
            async for one in call_out(here, alert, orders, SessionSigner(ROOT_KEY), "desk"):
                ends[one.order.what] = one.step
            assert {what: step.state for what, step in ends.items()} == {
                "board/light": "succeeded", "rescue mode": "succeeded",
            }  # fmt: skip
            assert device.board.on == {"light"}
            force = feed.situation.forces.get("rig-1")
            assert force is not None
            await until(lambda: force.in_rescue_mode(datetime.now(UTC)), "rescue mode on the map")
            assert force.outputs == {"board": ("siren", "light")}
            device.end_agent(signal.SIGKILL)
            await until(lambda: force.link(datetime.now(UTC)) == "offline", "the last will on the map")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for part in (feed, here, there):
                part.close()

    asyncio.run(asyncio.wait_for(scene(), 400))


async def answer(here: Actions, there: Actions, alert: QueuedAlert) -> None:
    """Acknowledges; the other process sees it."""
    began_s = time.monotonic()
    seen_s: list[float] = []
    there.board.listen(lambda _: seen_s.append(time.monotonic() - began_s))
    steps = [
        step
        async for step in here.answer(alert, SessionSigner(ROOT_KEY), "watch-officer", "ack", "on our way")
    ]
    assert [step.state for step in steps] == ["sent", "succeeded"], steps
    await until(lambda: len(seen_s) >= 2, "the entries in the other process")
    print(f"confirmed and seen by the other officer after {seen_s[0]:.2f} s and {seen_s[1]:.2f} s")
    assert [entry.kind for entry in there.board.of(alert.key)] == ["answer", "result"]
    await until(lambda: here.board.holder(alert) == "watch-officer", "the role that has the alert")
