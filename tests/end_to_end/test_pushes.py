"""What a push is proved by: the centre's receipt where the broker is another, and each source that it changed."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.config.loader import digest
from agent.domain.message import ROOT
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.supervisor import supervise
from centre.server import Centre
from simulators.broker import LocalBroker
from tests.end_to_end.rig import ANY_BROKER, BROKER, Rig, rig
from tests.signing import CENTRE_KEY, signed

pytestmark = pytest.mark.end_to_end


async def push(device: Rig, text: str, revision: int, within_s: float) -> dict[str, Any]:
    """The answer at its end. The push goes to the broker where the device is."""
    body = {"revision": revision, "sha256": digest(text), "body": text, "confirm_within_s": within_s}
    await device.order("config/desired", retain=True, **body)

    def answered() -> bool:
        answer = device.last("config/reported")
        return answer.get("revision") == revision and answer.get("state") != "pending"

    await device.until(answered, within_s + 30, f"the answer to revision {revision}")
    return device.last("config/reported")


@pytest.mark.parametrize("kind", ANY_BROKER)
def test_a_broker_without_a_centre_is_no_proof_and_one_with_it_is(tmp_path: Path, kind: Any) -> None:
    async def scene() -> None:
        async with rig(tmp_path, kind) as device:
            with LocalBroker(kind) as other:
                text = device.write_config()
                device.start_agent()
                await device.until(lambda: device.last("config/reported").get("state") == "applied")
                moved = text.replace(device.broker.url, other.url)
                answer = await push(device, moved, 1, 4)
                assert answer["state"] == "rolled_back"
                assert answer["reason"] == "no receipt of the centre arrived within 4 s"
                device.board.press("tamper")
                await device.until(lambda: bool(device.alerts("tamper")), what="an alert after the way back")

                centre = Centre(
                    tmp_path / "other.db", Broker(url=other.url), ROOT,
                    lambda _, topic, body: device.heard.append((topic, body)), key=CENTRE_KEY,
                )  # fmt: skip
                running = asyncio.ensure_future(
                    supervise("centre", centre.run, lambda _: None, longest_wait_s=0.5)
                )
                try:
                    await asyncio.wait_for(centre.ready.wait(), 60)
                    answer = await push(device, moved + "# again\n", 2, 20)
                    assert answer["state"] == "applied", answer
                    ledger = (tmp_path / "data/config/config.json").read_text()
                    assert '"fallback"' in ledger
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
                    centre.close()

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_what_worked_is_not_taken_away_and_what_is_new_is_warned_of(tmp_path: Path) -> None:
    """A push that names a port where no board is would else leave the panic button dead, and say `applied`."""

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            text = device.write_config()
            device.start_agent()

            def board_told() -> bool:
                parts = {part["part"]: part for part in device.last("health").get("parts", ())}
                return parts.get("board", {}).get("good", 0) > 0

            await device.until(board_told, 90, "the board")
            board, gnss = f'"{tmp_path}/board"', f'"{tmp_path}/gnss"'
            swapped = text.replace(board, "?").replace(gnss, board).replace("?", gnss)
            for revision, moved in enumerate((swapped, text.replace(board, "/dev/ttyUSB97")), 1):
                answer = await push(device, moved, revision, 4)
                assert answer["state"] == "rolled_back", answer
                assert answer["reason"].startswith(("board: ", "gnss: ")), answer
                assert "it worked before" in answer["reason"]
            device.board.press("panic_button")
            await device.until(lambda: bool(device.alerts("panic")), what="the press after the way back")

            new = text.replace("sources:\n", "sources:\n  spare: {kind: nmea, port: /dev/ttyNONE}\n")
            answer = await push(device, new, 9, 4)
            assert answer["state"] == "applied"
            assert [line.partition(":")[0] for line in answer["warnings"]] == ["spare"]

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_patch_a_group_s_push_a_confirmation_and_a_rollback(tmp_path: Path) -> None:
    """Through the real agent: all layers are named, what is not confirmed goes back, a rollback brings it back."""

    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device:
            device.write_config()
            device.start_agent()
            await device.until(lambda: device.last("config/reported").get("state") == "applied")

            async def answer(state: str, **fields: Any) -> dict[str, Any]:
                def answered() -> bool:
                    found = device.last("config/reported")
                    return found.get("state") == state and fields.items() <= found.items()

                await device.until(answered, 60, f"{state} {fields}")
                return device.last("config/reported")

            patch = {"rules": {"quiet": {"after": "9s"}}}
            order = signed("push", "group:kind.checkpoint_camera", {"revision": 1, "patch": patch})
            connection = Connection(Broker(url=device.broker.url), "office", None)
            await connection.open()
            connection.publish(f"{ROOT}/groups/kind.checkpoint_camera/config/desired", order, 1, True)
            await connection.event(2)
            connection.close()
            await answer("applied", target="group:kind.checkpoint_camera")

            patch = {"rules": {"tamper": {"severity": "critical"}}}
            fields = {"patch": patch, "confirm": "manual", "confirm_within_s": 60}
            await device.order("config/desired", retain=True, revision=1, **fields)
            await answer("unconfirmed", revision=1)
            device.end_agent(signal.SIGKILL)
            device.start_agent()
            assert "before it was confirmed" in (await answer("rolled_back", revision=1))["reason"]

            await device.order("config/desired", retain=True, revision=2, **fields)
            await answer("unconfirmed", revision=2)
            await device.order("command/config_confirm", id="confirm-2", revision=2)
            found = await answer("applied", revision=2)
            assert [layer["target"] for layer in found["layers"]] == [
                "group:kind.checkpoint_camera",
                "device",
            ]

            await device.order("command/config_rollback", id="back")
            found = await answer("applied", target="group:kind.checkpoint_camera")
            assert [layer["target"] for layer in found["layers"]] == ["group:kind.checkpoint_camera"]

            def results(command_id: str) -> list[dict[str, Any]]:
                return [body for _, body in device.heard if body.get("command_id") == command_id]

            await device.until(lambda: len(results("back")) == 2, what="both results of the rollback")
            assert [body["state"] for body in results("back")] == ["accepted", "succeeded"]
            await device.order("command/config_history", id="history")
            await device.until(lambda: bool(results("history")), what="the history")
            states = [entry["state"] for entry in results("history")[0]["revisions"]]
            assert states == ["in_force", "kept", "kept", "kept", "rolled_back"]

    asyncio.run(asyncio.wait_for(scene(), 400))
