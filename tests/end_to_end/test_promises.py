"""One test a promise: the real agent, a real broker, real ptys, the real detector."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from simulators.scene import Scene
from tests.end_to_end.rig import ANY_BROKER, BROKERS, Rig, rig

pytestmark = pytest.mark.end_to_end

HERE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ANY_BROKER)
def test_what_is_seen_and_heard_reaches_the_centre(tmp_path: Path, kind: str) -> None:
    """A man at the railing, a press, a receiver unplugged and back: each with its phases, position and health."""

    async def scene() -> None:
        async with rig(tmp_path, kind, Scene(comes_s=1, leaves_s=600)) as device:
            device.start_agent()
            await device.until(
                lambda: device.last("status").get("state") in ("online", "degraded"), what="status"
            )
            await device.until(lambda: "lat" in device.last("position"), what="position")
            device.board.press("panic_button")
            device.gnss.unplug()
            await device.until(
                lambda: any(phase == "new" for _, phase in device.alerts("quiet")), what="silence"
            )
            await device.until(lambda: "gnss" in str(device.last("status").get("reasons")), what="reason")
            device.gnss.plug()
            device.board.press("panic_button", on=False)
            for rule in ("panic", "quiet"):
                await device.until(
                    lambda rule=rule: [phase for _, phase in device.alerts(rule)][-1:] == ["end"], what=rule
                )
            await device.until(
                lambda: [phase for _, phase in device.alerts("rail")][:1] == ["new"], 180, "the man"
            )
            assert device.camera is not None
            device.camera.leave()
            await device.until(
                lambda: [phase for _, phase in device.alerts("rail")][-1:] == ["end"], 180, "his leaving"
            )
            assert device.end_agent() == 0
            await device.until(lambda: device.last("status").get("state") == "stopped", what="stopped")
            for rule in ("panic", "quiet", "rail"):
                assert len({alert_id for alert_id, _ in device.alerts(rule)}) == 1, rule
            seen = next(
                body for topic, body in device.heard if topic == "alert" and body["alert"]["rule"] == "rail"
            )
            assert seen["alert"]["label"] == "person"
            assert seen["alert"]["score"] > 0.5
            assert seen["alert"]["verified"] in (True, False, "not_in_time")
            assert seen["alert"]["point"]["how"] == "gnss"
            assert {
                "frame_to_detection",
                "detection_to_finding",
                "finding_to_outbox",
                "outbox_to_sent",
            } <= set(seen["latency_ms"])
            assert {"schema", "id", "device", "session", "epoch", "seq", "at", "clock"} <= set(seen)
            parts = {part["part"] for part in device.last("health")["parts"]}
            assert {"gnss", "board", "cam1", "link"} <= parts

    asyncio.run(asyncio.wait_for(scene(), 400))


@pytest.mark.parametrize("kind", BROKERS)
def test_no_alert_is_lost_when_broker_and_agent_die(tmp_path: Path, kind: str) -> None:
    """Presses before, while and after the broker is away, the agent killed in between: each once in the database."""

    def answered(device: Rig, number: int) -> bool:
        return number in device.board.acknowledged

    async def press(device: Rig, name: str) -> None:
        """One press and release, each acknowledged by the agent: from then on it answers for them."""
        for on in (True, False):
            number = device.board.press(name, on)
            await device.until(partial(answered, device, number), what=f"acknowledgement of {name} {on}")

    async def scene() -> None:
        async with rig(tmp_path, kind) as device:
            device.start_agent()
            await device.until(lambda: bool(device.last("status")), what="status")
            presses = 0
            for round_ in range(3):
                for name in ("panic_button", "tamper"):
                    await press(device, name)
                    presses += 1
                device.broker.stop(signal.SIGKILL)
                for name in ("panic_button", "tamper"):
                    await press(device, name)
                    presses += 1
                device.end_agent(signal.SIGKILL)
                device.start_agent()
                await press(device, "panic_button")
                presses += 1
                device.broker.start()
                if round_ == 1:
                    device.end_agent(signal.SIGKILL)
                    device.start_agent()

            def complete() -> bool:
                stored = {**device.stored("panic"), **device.stored("tamper")}
                return len(stored) == presses and all("end" in phases for phases in stored.values())

            await device.until(complete, 180, f"{presses} alerts with their ends")
            for rule in ("panic", "tamper"):
                for alert_id, phases in device.stored(rule).items():
                    assert phases[0] == "new", (rule, alert_id, phases)
                    assert phases[-1] == "end", (rule, alert_id, phases)
            with sqlite3.connect(device.db) as db:
                total, ids = db.execute("SELECT count(*), count(DISTINCT id) FROM message").fetchone()
            assert total == ids
            assert device.end_agent() == 0

    asyncio.run(asyncio.wait_for(scene(), 400))


@pytest.mark.parametrize("kind", ANY_BROKER)
def test_a_push_takes_effect_or_is_refused_or_comes_back_by_itself(tmp_path: Path, kind: str) -> None:
    """As a technician does it, with the command line."""

    async def push(device: Rig, text: str, within: str = "20s") -> tuple[int, str]:
        file = tmp_path / "push.yaml"
        file.write_text(text)
        command = [
            sys.executable,
            "-m",
            "agent",
            "config",
            "push",
            "rig-1",
            str(file),
            "--broker",
            device.broker.url,
            "--key",
            str(device.key_file),
        ]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--confirm-within", within],
            capture_output=True,
            text=True,
            cwd=HERE,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    async def scene() -> None:
        async with rig(tmp_path, kind) as device:
            text = device.write_config()
            device.start_agent()
            await device.until(
                lambda: device.last("config/reported").get("state") == "applied", what="report"
            )

            code, said = await push(
                device,
                text.replace("name: panic_button, severity: critical", "name: panic_button, severity: info"),
            )
            assert code == 0, said
            device.board.press("panic_button")
            await device.until(lambda: bool(device.alerts("panic")), what="the press")
            alert = next(body["alert"] for topic, body in device.heard if topic == "alert")
            assert alert["severity"] == "info"

            broken = text.replace("severity: critical", "severty: critical")
            code, said = await push(device, broken)
            assert code == 78
            assert "rules.panic.severty: unknown key; did you mean 'severity'?" in said
            reported = len([1 for topic, _ in device.heard if topic == "config/reported"])
            await raw_push(device, broken, 7)
            await device.until(
                lambda: len([1 for topic, _ in device.heard if topic == "config/reported"]) > reported,
                what="refusal",
            )
            answer = device.last("config/reported")
            assert (answer["state"], answer["revision"]) == ("rejected", 7)
            assert answer["errors"][0]["path"] == "rules.panic.severty"

            code, said = await push(device, text.replace(device.broker.url, "mqtt://127.0.0.1:9"), "3s")
            assert code == 1, said
            assert "rolled_back" in said
            assert "the broker was not reached within 3 s" in said
            device.board.press("tamper")
            await device.until(lambda: bool(device.alerts("tamper")), what="an alert after the way back")

    async def raw_push(device: Rig, text: str, revision: int) -> None:
        """What a careless centre would send: not checked before."""
        from agent.config.loader import digest

        await device.order("config/desired", retain=True, revision=revision, sha256=digest(text), body=text)

    asyncio.run(asyncio.wait_for(scene(), 400))
