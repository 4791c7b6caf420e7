"""The audit log of a whole device: what it was ordered, whom it reached, and what the centre has seen of it."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.audit.chain_state import segments
from agent.audit.countersigned import read_countersigned
from agent.audit.verify import read_entries
from tests.end_to_end.rig import BROKER, Rig, rig

pytestmark = pytest.mark.end_to_end


def audit(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["audit", *map(str, arguments)])
    return result.exit_code, result.output


def entries(device: Rig, kind: str) -> list[dict[str, Any]]:
    found = read_entries(device.folder / "data" / "audit")
    return [{"who": entry.who, **entry.fields} for entry in found if entry.kind == kind]


def test_the_whole_way(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.start_agent()
            await device.until(lambda: bool(read_countersigned(data / "audit")), what="a countersignature")
            (login,) = entries(device, "broker_login")
            assert login["broker"] == device.broker.url
            assert login["address"].startswith("127.0.0.1:")
            await device.order("command/silence_alert", id="c-1", alert_id="none", for_s=60, reason="test it")
            await device.publish("command/silence_alert", json.dumps({"id": "c-2"}).encode())
            await device.until(lambda: len(entries(device, "refused")) == 2, what="the refusals")
            (command,) = [one for one in entries(device, "command") if one["command"] == "silence_alert"]
            assert command["body"]["reason"] == "test it"
            assert list(command["roles"]) == list(command["who"])
            without_effect, unsigned = entries(device, "refused")
            assert (without_effect["path"], without_effect["who"]) == ("rejected", command["who"])
            assert (unsigned["order"], unsigned["path"], unsigned["who"]) == ("command", "signature", ())
            code, said = audit("verify", "--data", data, "--db", device.db)
            assert code == 0, said

            device.end_agent(signal.SIGKILL)
            kept = {path: path.read_bytes() for path in (data / "audit").iterdir()}
            assert audit("verify", "--data", data, "--db", device.db)[0] == 0
            device.start_agent()
            await device.until(lambda: len(entries(device, "start")) == 2, what="a second start")
            assert entries(device, "start")[1]["unclean"] is True
            newest = entries(device, "start")[1]
            await device.until(
                lambda: read_countersigned(data / "audit")[-1].witness.hash != "" and newest is not None,
            )
            assert device.end_agent() == 0
            code, said = audit("verify", "--data", data, "--db", device.db)
            assert code == 0, said
            assert "countersigned by the centre" in said

            for path in segments(data / "audit"):
                path.unlink()
            for path, content in kept.items():
                path.write_bytes(content)
            device.start_agent()
            await device.until(
                lambda: any(topic == "centre/audit" for topic, _ in device.heard), what="a warning"
            )
            device.end_agent()
            code, said = audit("verify", "--data", data, "--db", device.db)
            assert (code, "the log was rewritten" in said) == (1, True), said
            assert audit("verify", "--db", device.db)[0] == 1

    asyncio.run(asyncio.wait_for(scene(), 400))
