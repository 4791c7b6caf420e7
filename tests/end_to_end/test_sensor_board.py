"""A press on a noisy line arrives once; what nobody answers sounds the siren; an agent that died leaves none on."""

import asyncio
import json
import random
import signal
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import ROOT
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from simulators.board import Firmware
from simulators.broker import LocalBroker
from simulators.line_faults import corrupt
from tests.end_to_end.rig import ANY_BROKER, BROKER, Rig, rig
from tests.signing import signed

pytestmark = pytest.mark.end_to_end

CONFIG = """\
schema_version: 1
device: rig-1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: rig, post: gate}}
broker: {{url: "{broker}", resend_after: 5s}}
reporting: {{telemetry_every: 1s, readings_every: 0s, health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board", outputs: [siren, light]}}
rules:
  panic:
    kind: switch
    source: board
    name: panic_button
    need_ack: true
    ack_within: 2s
    escalate: {{repeat: 3s, times: 100, output: {{source: board, name: siren, ttl: 20s}}}}
  tamper: {{kind: switch, source: board, name: tamper, severity: critical}}
"""


def raised(device: Rig, rule: str = "panic") -> list[dict[str, Any]]:
    return [
        body["alert"] for topic, body in device.heard if topic == "alert" and body["alert"]["rule"] == rule
    ]


async def begin(device: Rig) -> None:
    device.write_config(CONFIG.format(folder=device.folder, broker=device.broker.url))
    device.start_agent()
    await device.until(lambda: device.last("status").get("state") == "online", what="online")


@pytest.mark.parametrize("kind", ANY_BROKER)
def test_what_nobody_answers_sounds_the_siren_until_somebody_does(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_ms: list[int] = []
    switch = Firmware._switch

    def note(self: Firmware, content: Mapping[Any, Any], now_s: float) -> int:
        asked_ms.append(content["ttl_ms"])
        return switch(self, content, now_s)

    monkeypatch.setattr(Firmware, "_switch", note)

    async def scene() -> None:
        async with rig(tmp_path, kind) as device:
            await begin(device)
            device.board.press("panic_button")
            await device.until(lambda: bool(raised(device)), what="the press")
            assert raised(device)[0]["severity"] == "warning"
            device.board.press("panic_button", on=False)
            await device.until(lambda: device.board.on == {"siren"}, what="the siren")
            await device.until(
                lambda: any(alert.get("escalation", 0) >= 2 for alert in raised(device)),
                what="raised again twice",
            )
            again = raised(device)[-1]
            assert (again["phase"], again["severity"], again["over"]) == ("update", "critical", True)
            assert "nobody answered for" in again["text"]

            device.end_agent(signal.SIGKILL)
            await device.until(lambda: not device.board.on, what="the siren's end, without an agent")
            assert max(asked_ms) <= 10_000  # of the 20 s that are configured: nobody may be there to end it

            device.start_agent()
            await device.until(
                lambda: device.board.on == {"siren"}, what="the siren again: nobody has answered"
            )
            await device.order("alert/ack", alert_id=again["alert_id"], role="watch-officer")
            await device.until(lambda: not device.board.on, what="silence after the answer")
            await device.until(lambda: raised(device)[-1]["phase"] == "end", what="the end")
            assert raised(device)[-1]["acknowledged"]["role"] == "watch-officer"
            assert {alert["alert_id"] for alert in raised(device)} == {again["alert_id"]}
            assert device.end_agent() == 0

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_closed_alert_is_not_told_again_while_the_button_is_stuck_also_over_a_restart(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            await begin(device)
            device.board.press("panic_button")
            await device.until(lambda: bool(raised(device)), what="the press")
            alert_id = raised(device)[0]["alert_id"]
            await device.order(
                "alert/ack", alert_id=alert_id, role="chief", action="reject", reason="a drill"
            )
            await device.until(lambda: raised(device)[-1]["phase"] == "end", what="the end")
            assert raised(device)[-1]["reason"] == "rejected by chief: a drill"
            device.end_agent(signal.SIGKILL)
            device.start_agent()
            before = len(device.heard)
            await device.until(
                lambda: [topic for topic, _ in device.heard[before:]].count("telemetry/board") >= 5,
                what="reports",
            )
            assert len({alert["alert_id"] for alert in raised(device)}) == 1
            device.board.press("panic_button", on=False)
            device.board.press("panic_button")
            await device.until(lambda: raised(device)[-1]["phase"] == "new", what="the next press")
            assert raised(device)[-1]["alert_id"] != alert_id

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_the_centre_switches_a_light_and_is_told_what_became_of_it(tmp_path: Path) -> None:
    def states(device: Rig, number: str) -> list[str]:
        return [
            body["state"]
            for topic, body in device.heard
            if topic == "command/result" and body.get("command_id") == number
        ]

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            await begin(device)
            await device.order("command/output", nonce=True, id="1", source="board", output="light", ttl_s=60)
            await device.until(lambda: states(device, "1") == ["accepted", "succeeded"], what="light on")
            assert device.board.on == {"light"}
            await device.order("command/output", nonce=True, id="2", source="board", output="light", on=False)
            await device.until(lambda: states(device, "2") == ["accepted", "succeeded"], what="light off")
            assert device.board.on == set()
            await device.order("command/output", nonce=True, id="3", source="board", output="relay")
            await device.until(lambda: states(device, "3") == ["rejected"], what="refusal")
            device.board.deaf = True
            await device.order("command/output", nonce=True, id="4", source="board", output="light")
            await device.until(lambda: states(device, "4") == ["accepted", "failed"], what="failure")
            await device.until(lambda: "does not answer" in str(device.last("status")), what="the reason")
            health = device.last("health")
            assert health["machine"]["disk_free_mb"] > 0
            assert health["link"]["broker"] == device.broker.url
            assert health["link"]["acknowledged_ms"] > 0
            (board,) = [part for part in health["parts"] if part["part"] == "board"]
            assert (board["hears"], board["firmware"], board["boot"]) == (False, "sim 2", 1)
            results = [
                body for topic, body in device.heard if topic == "command/result" and "nonce" not in body
            ]
            assert len(results) == 7  # and none to a result: the subscription brings our own back

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_what_nobody_answers_is_told_at_the_fallback_and_answered_there(tmp_path: Path) -> None:
    async def scene() -> None:
        with LocalBroker(BROKER) as second:
            async with rig(tmp_path, BROKER) as device:
                text = CONFIG.format(folder=tmp_path, broker=device.broker.url)
                text = text.replace("{url:", f'{{fallbacks: ["{second.url}"], url:')
                device.write_config(text.replace("{repeat:", "{fallbacks: true, repeat:"))
                there = Connection(Broker(url=second.url), "desk-2", None)
                await there.open()
                there.subscribe([f"{ROOT}/+/alert"])
                device.start_agent()
                await device.until(lambda: device.last("status").get("state") == "online", what="online")
                device.board.press("panic_button")
                copies: list[dict[str, Any]] = []

                async def listen() -> None:
                    while True:
                        event = await there.event(1)
                        if event is not None and event[0] == "message":
                            copies.append(json.loads(event[1].payload))
                            there.acknowledge(event[1])

                task = asyncio.ensure_future(listen())
                await device.until(lambda: bool(copies), what="the alert at the fallback")
                first = copies[0]
                assert first["alert"]["escalation"] == 1
                assert {"id", "device", "session", "epoch", "seq", "at", "clock"} <= set(first)
                await device.until(
                    lambda: first["id"] in {body["id"] for topic, body in device.heard if topic == "alert"},
                    what="the same message at the first broker",
                )
                answer = {"alert_id": first["alert"]["alert_id"], "role": "second-desk"}
                there.publish(f"{ROOT}/rig-1/alert/ack", signed("ack", "rig-1", answer), 1, False)
                await device.until(
                    lambda: raised(device)[-1].get("acknowledged", {}).get("role") == "second-desk",
                    what="answer",
                )
                await device.until(lambda: not device.board.on, what="silence")
                await device.until(
                    lambda: "acknowledged" in copies[-1]["alert"], what="the answer told there"
                )
                device.board.press("panic_button", on=False)
                await device.until(lambda: copies[-1]["alert"]["phase"] == "end", what="the end told there")
                reasons = device.last("status")["reasons"]
                assert [one for one in reasons if not one.startswith("machine: ")] == []  # it may be busy
                task.cancel()
                there.close()

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_press_on_a_noisy_line_arrives_once(tmp_path: Path) -> None:
    """One byte in a thousand is hit, lost, or has noise before it, both ways."""
    chance = random.Random(11)

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.board.line_fault = lambda data: corrupt(data, chance, flips=1e-3, drops=1e-3, noise=1e-3)
            await begin(device)
            for number in range(10):
                device.board.press("tamper")
                pressed_s = time.monotonic()
                await device.until(
                    lambda number=number: (
                        len({alert["alert_id"] for alert in raised(device, "tamper")}) > number
                    ),
                    what=f"press {number}",
                )
                print(f"press {number}: {(time.monotonic() - pressed_s) * 1000:.0f} ms to the centre")
                off = device.board.press("tamper", on=False)
                await device.until(lambda off=off: off in device.board.acknowledged, what="acknowledgement")
                await device.until(lambda: raised(device, "tamper")[-1]["phase"] == "end", what="the end")
            assert device.end_agent() == 0
            await device.until(
                lambda: device.last("status").get("state") == "stopped", what="the last message"
            )
            with sqlite3.connect(device.db) as db:
                rows = db.execute("SELECT body FROM message WHERE topic = 'alert'").fetchall()
            phases = [json.loads(text)["alert"]["phase"] for (text,) in rows]
            assert (phases.count("new"), phases.count("end")) == (10, 10)

    asyncio.run(asyncio.wait_for(scene(), 400))
