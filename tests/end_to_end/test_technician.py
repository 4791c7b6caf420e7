"""What a technician does from the command line, with a real agent, a real broker and signatures."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from agent.trust.signing_key import SigningKey
from tests.end_to_end.rig import BROKER, Rig, rig

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).resolve().parents[2]


class Desk:
    """A technician's shell: a broker, a key."""

    def __init__(self, device: Rig, key: Path | None = None) -> None:
        self.environment = os.environ | {
            "RINGPOST_BROKER": device.broker.url,
            "RINGPOST_SIGNING_KEY": str(key or device.key_file),
            "PYTHONPATH": str(ROOT),
        }
        self.folder = device.folder

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", *arguments,
            cwd=self.folder, env=self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complained = await asyncio.wait_for(process.communicate(), 300)
        return process.returncode or 0, said.decode(), complained.decode()


def test_push_confirm_roll_back_and_history(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            text = device.write_config()
            device.start_agent()
            await device.until(lambda: device.last("config/reported").get("state") == "applied")
            desk = Desk(device)
            changed = tmp_path / "changed.yaml"
            changed.write_text(text.replace("after: 2s", "after: 3s"))

            code, said, complained = await desk.run("config", "diff", "rig-1", str(changed))
            assert code == 1, complained
            assert "-  quiet: {kind: silence, source: gnss, after: 2s}" in said
            assert "rule quiet: restarts; an active alert goes on" in said

            code, said, complained = await desk.run("config", "push", "rig-1", str(changed), "--dry-run")
            assert (code, "validated" in said) == (0, True), complained
            assert "+  quiet: {kind: silence, source: gnss, after: 3s}" in said
            code, said, complained = await desk.run("config", "push", "rig-1", str(changed))
            assert code == 0, complained
            assert said.startswith("rig-1: revision 2 applied; active: revision 2, ")  # 1 was the dry run

            patch = '{"rules": {"quiet": {"after": "4s"}}}'
            code, _, complained = await desk.run(
                "config", "push", "rig-1", "--patch", patch, "--confirm", "manual"
            )
            assert code == 0, complained
            assert "ringpost config confirm rig-1" in complained
            code, _, complained = await desk.run("config", "confirm", "rig-1")
            assert code == 0, complained
            code, said, complained = await desk.run("config", "get", "rig-1", "--text")
            assert (code, "after: 4s" in said) == (0, True), complained

            code, _, complained = await desk.run("config", "rollback", "rig-1")
            assert code == 0, complained
            code, said, _ = await desk.run("config", "get", "rig-1")
            assert "active: revision 2, " in said
            code, said, complained = await desk.run("config", "history", "rig-1")
            assert code == 0, complained
            assert said.splitlines()[0].split() == ["revision", "state", "at", "signed", "by", "sha256"]
            assert len(said.splitlines()) >= 4
            assert SigningKey.load(device.key_file).key_id in said
            code, said, _ = await desk.run("config", "drift", "rig-1")
            assert (code, said) == (0, "rig-1: no drift\n")

            wrong = tmp_path / "wrong.yaml"
            wrong.write_text("rules:\n  quiet:\n    source: gnsss\n")
            code, said, _ = await desk.run("config", "push", "rig-1", "--patch", str(wrong))
            assert code == 1
            assert f"{wrong}:2: rules.quiet" in said or f"{wrong}:3: rules.quiet.source" in said, said

            SigningKey.generate().save(tmp_path / "stranger.pem")
            stranger = Desk(device, tmp_path / "stranger.pem")
            for arguments in (
                ("config", "push", "rig-1", "--patch", patch),
                ("config", "rollback", "rig-1"),
                ("command", "snapshot", "rig-1", "--camera", "cam1"),
            ):
                code, said, complained = await stranger.run(*arguments)
                assert code == 77, (arguments, said, complained)
                assert "is not in the roles document" in said + complained

            code, said, complained = await desk.run("command", "ping", "rig-1", "--json")
            assert (code, json.loads(said)["state"]) == (0, "succeeded"), complained

    asyncio.run(asyncio.wait_for(scene(), 900))


def test_two_technicians_push_to_one_device_and_one_of_them_is_told(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.write_config()
            device.start_agent()
            await device.until(lambda: device.last("config/reported").get("state") == "applied")
            desk = Desk(device)
            patches = [f'{{"rules": {{"quiet": {{"after": "{seconds}s"}}}}}}' for seconds in (3, 4)]
            ended = await asyncio.gather(
                *(desk.run("config", "push", "rig-1", "--patch", patch) for patch in patches)
            )
            codes = sorted(code for code, _, _ in ended)
            assert codes in ([0, 0], [0, 1]), ended  # one after the other is fine, too
            # By when the second push meets the first: on trial, in force, or in force before it is sent.
            reasons = ("one in flight", "is not newer than", "changed meanwhile: revision 1 is in force")
            for code, said, complained in ended:
                if code:
                    assert any(reason in said + complained for reason in reasons), ended

    asyncio.run(asyncio.wait_for(scene(), 300))
