"""`ringpost doctor` as a process: beside a running agent, and ended by Ctrl-C."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.rig import BROKER, Rig, rig

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agent", "doctor", *arguments]


async def doctor(device: Rig) -> dict[str, Any]:
    """Its checks by name."""
    arguments = command(str(device.config), "--data", str(device.folder / "data"), "--json")
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, cwd=ROOT)
    out, _ = await process.communicate()
    checks = [json.loads(line) for line in out.splitlines()]
    return {one["check"]: one for one in checks if "check" in one}


def is_whole(health: Path) -> bool:
    """Whether the report knows receiver and broker: an early one may lack either."""
    report = json.loads(health.read_text())
    return bool(report.get("receivers")) and bool(report.get("link", {}).get("broker"))


def texts(check: dict[str, Any]) -> str:
    return "; ".join(finding["text"] for finding in check["findings"])


def test_a_running_agent_is_not_disturbed(tmp_path: Path) -> None:
    """Its ports stay its own, its connection stays up, no alert is raised; and its state is told."""

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.start_agent()
            await device.until(
                lambda: bool(device.last("status")), what="the agent"
            )  # a busy machine is degraded
            health = tmp_path / "data" / "health.json"
            await device.until(health.exists, what="the report of the agent")
            await device.until(lambda: is_whole(health), what="receiver and broker in it")
            births = [body["session"] for topic, body in device.heard if topic == "birth"]
            found = await doctor(device)
            assert f"({device.agent.pid if device.agent else 0}), " in texts(found["agent"])
            assert "connected to mqtt://" in texts(found["agent"])
            assert found["ports"]["state"] == "ok"
            assert texts(found["ports"]).count("open by the running agent") == 2
            assert "the running agent gets fixes" in texts(found["fixes"])
            assert "no login: it would take the session of the running agent" in texts(found["broker"])
            assert found["queue"]["state"] == "ok"
            assert found["disk"]["state"] in ("ok", "warning")
            assert found["audit"]["state"] in ("ok", "skipped"), found["audit"]
            assert found["roles"]["state"] == "ok", found["roles"]
            assert [body["session"] for topic, body in device.heard if topic == "birth"] == births
            assert device.alerts("quiet") == []
            device.end_agent()
            found = await doctor(device)
            assert found["agent"]["state"] == "warning"
            assert "logged in with MQTT" in texts(found["broker"])
            assert "acknowledged in" in texts(found["broker"])
            assert "fix" in texts(found["fixes"])

    asyncio.run(scene())


def test_ctrl_c_ends_it_with_the_summary_so_far(tmp_path: Path) -> None:
    """Also while a camera is opened in a child process, which ends with it."""
    import socket

    mute = socket.create_server(("127.0.0.1", 0))  # takes the connection, and never answers
    port = mute.getsockname()[1]
    file = tmp_path / "a.yaml"
    file.write_text(
        "schema_version: 1\ndevice: d\nkind: watch_point\n"
        "place: {ring: inner_city, domain: ground, site: s, post: p}\n"
        f"data: {{directory: {tmp_path}/data, max_mb: 32}}\nevidence: {{record: false}}\n"
        f"broker: {{url: 'mqtt://127.0.0.1:{port}'}}\n"
        f"sources: {{c: {{kind: camera, url: 'rtsp://127.0.0.1:{port}/x', purpose: a test, open_timeout: 60s}}}}\n"
    )
    with subprocess.Popen(
        command(str(file)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        said = []
        while not said or not said[-1].startswith("15 fixes"):
            said.append(process.stdout.readline())
            assert said[-1], said
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    mute.close()
    assert process.returncode == 130, rest
    assert "interrupted: the checks that follow were not made" in rest
    assert " ok, " in rest.splitlines()[-1]
    assert "Traceback" not in rest
