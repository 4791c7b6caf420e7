"""All that an agent, a centre and a technician's commands write is for its owner only, whatever the umask."""

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime.process import OURS
from simulators.broker import LocalBroker
from tests.end_to_end.rig import BROKER, rig
from tests.end_to_end.test_technician import Desk

pytestmark = pytest.mark.end_to_end
OLD = ("alerts.db", "config/config.json", "evidence/cam1/ring/a.jpg", "egress.jsonl", "telemetry-00000001.db")
"""What an earlier version may have left, readable for all."""


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and (mode & 0o077 or stat.S_IMODE(mode) not in (0o600, 0o700)):
            found[str(path.relative_to(folder))] = oct(stat.S_IMODE(mode))
    return found


def test_the_data_of_an_agent_that_did_what_it_can_is_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in OLD[1:]:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"" if name.endswith("db") else b"{}\n")
        (data / name).chmod(0o644)

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            text = device.write_config()
            device.start_agent()
            await device.until(lambda: device.last("config/reported").get("state") == "applied")
            device.board.press("panic_button")
            await device.until(lambda: bool(device.alerts("panic")))
            desk = Desk(device)
            changed = tmp_path / "changed.yaml"
            changed.write_text(text.replace("after: 2s", "after: 3s"))
            code, _, complained = await desk.run("config", "push", "rig-1", str(changed))
            assert code == 0, complained
            for command in ("diagnostics", "ping"):
                code, _, complained = await desk.run("command", command, "rig-1")
                assert code == 0, complained
            await device.order("command/rotate_certificate", nonce=True, id="r1", step="request")
            await device.order("command/what_if", id="w1", rules={"rail": None})  # writes the history now
            await device.until((data / "health.json").exists)
            await device.until(lambda: any((data / "history").glob("*")), what="history")
            assert open_to_others(data) == {}
            device.end_agent()
            assert open_to_others(data) == {}
            unknown = [path.name for path in data.iterdir() if not any(path.match(one) for one in OURS)]
            assert unknown == [], "name them in agent.runtime.process.OURS"

    asyncio.run(scene())


def test_what_the_centre_and_a_technicians_commands_write_is_private(tmp_path: Path) -> None:
    config = Path(__file__).resolve().parents[2] / "configs" / "watch_point.yaml"
    work = tmp_path / "work"
    work.mkdir(mode=0o700)

    async def scene() -> None:
        with LocalBroker(BROKER) as broker:
            environment = os.environ | {"PYTHONPATH": str(config.parents[1])}

            async def start(*words: str) -> asyncio.subprocess.Process:
                command = (sys.executable, "-m", "agent", *words)
                return await asyncio.create_subprocess_exec(*command, cwd=work, env=environment)

            pictures = ("--pictures", "c/pictures", "--broker", broker.url)
            centre = await start("centre", "--db", "c/centre.db", *pictures)
            try:
                verbs = (
                    ("keys", "init", "keys"),
                    ("init", "-o", "new/device.yaml", "--listen", "0.5", "--kind", "watch_point"),
                    ("record", str(config), "--to", "day.jsonl", "--for", "1s"),
                    ("doctor", str(config), "--data", "none", "--bundle", "b.zip"),
                )
                started = [await start(*verb) for verb in verbs]
                codes = await asyncio.gather(*(process.wait() for process in started))
                assert set(codes) <= {0, 1, 78}, codes
                while not (work / "c" / "centre.db-wal").exists():
                    assert centre.returncode is None
                    await asyncio.sleep(0.1)
                written = {path.relative_to(work).as_posix() for path in work.rglob("*")}
                assert {"c/centre.db", "new/device.yaml", "day.jsonl", "b.zip", "keys/root.pem"} <= written
                assert open_to_others(work) == {}
            finally:
                centre.terminate()
                await centre.wait()

    asyncio.run(asyncio.wait_for(scene(), 300))
