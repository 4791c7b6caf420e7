"""Commands about configurations: what they answer, within the size of a message."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.commands.rate_limit import PUSH_BURST, PUSHES_PER_SECOND, RateLimiter
from agent.commands.requests import Command, ConfigConfirm, ConfigGet, ConfigRollback
from agent.commands.results import MAX_RESULT, bounded
from agent.config.ledger import PushResult
from agent.config.push import Push, Rollback
from agent.control.config_commands import PART_BYTES, ConfigCommands, text_parts
from agent.domain.message import encode
from tests.pushed_configurations import anyone
from tests.test_deployment import LOCAL, Device
from tests.test_push_forms import severity


class Desk:
    """The commands of a device, and their results."""

    def __init__(self, device: Device) -> None:
        self.sent: list[dict[str, Any]] = []
        self.queue: asyncio.Queue[Push | Rollback] = asyncio.Queue(1)
        gate: Any = self
        self.commands = ConfigCommands(device.deployment, self.queue, lambda: gate, self.send)

    def present_signers(self) -> tuple[Any, tuple[str, ...]]:
        return anyone, ("k1",)

    async def send(self, result: Any) -> None:
        self.sent.append(dict(result))


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_the_history_names_revisions_signers_and_refusals_and_fits_a_message(device: Device) -> None:
    for revision in range(1, 13):
        device.patch({"place": {"site": f"s{revision}"}}, revision)
    device.patch({"x" * 900: 1}, 13)
    device.reachable = False
    device.patch({"place": {"site": "y"}}, 14)
    answer: Any = asyncio.run(Desk(device).commands.history(Command(id="c"), {}))
    entries = answer["revisions"]
    assert [entry.get("revision") for entry in entries[:12]] == [*range(12, 1, -1), 14]
    assert [entry["state"] for entry in entries] == ["in_force"] + ["kept"] * 10 + ["rolled_back", "rejected"]
    assert entries[-2]["reason"] == "the broker was not reached within 2 s"
    assert entries[-1]["reason"].startswith("xxx")
    assert entries[0]["at"].endswith("Z")
    assert bounded({"state": "succeeded", **answer})["revisions"] == entries


@pytest.mark.parametrize("letter", ["a", "北", '"', "\n", "\U0001f6a4"])
@pytest.mark.parametrize("length", [0, 1, 5000, 250_000])
def test_a_text_comes_in_parts_that_fit(letter: str, length: int) -> None:
    parts = text_parts(letter * length)
    assert "".join(parts) == letter * length
    assert max(len(encode(part)) for part in parts) <= PART_BYTES


def test_a_configuration_is_shown_as_it_is(device: Device) -> None:
    device.patch({"place": {"site": "s" * 9000}}, 1)
    desk = Desk(device)
    last: Any = asyncio.run(desk.commands.get(ConfigGet(id="c"), {"command": "config_get"}))
    assert (last["part"], last["parts"], len(desk.sent)) == (2, 2, 1)
    assert desk.sent[0]["text"] + last["text"] == device.deployment.ledger.active.text
    assert len(encode({**desk.sent[0], "state": "succeeded"})) <= MAX_RESULT
    local: Any = asyncio.run(desk.commands.get(ConfigGet(id="c", revision=0), {}))
    assert local["text"] == LOCAL
    with pytest.raises(ValueError, match="revision 7 is not kept"):
        asyncio.run(desk.commands.get(ConfigGet(id="c", revision=7), {}))


def test_a_rollback_waits_its_turn_and_answers_at_its_end(device: Device) -> None:
    desk = Desk(device)

    async def scene() -> None:
        assert (
            await desk.commands.roll_back(ConfigRollback(id="c", to_revision=0), {"command_id": "c"})
            == "accepted"
        )
        with pytest.raises(ValueError, match="too many pushes wait"):
            await desk.commands.roll_back(ConfigRollback(id="d"), {})
        order = desk.queue.get_nowait()
        assert isinstance(order, Rollback)
        assert (order.to_revision, order.key_ids) == (0, ("k1",))
        await order.done(PushResult(state="applied", revision=3))
        await order.done(PushResult(state="rolled_back", reason="no receipt"))

    asyncio.run(scene())
    assert [(sent["state"], sent["reason"]) for sent in desk.sent] == [
        ("succeeded", None),
        ("failed", "no receipt"),
    ]


def test_nothing_to_confirm_is_an_error(device: Device) -> None:
    device.patch(severity("critical"), 1)
    with pytest.raises(ValueError, match="no revision waits"):
        asyncio.run(Desk(device).commands.confirm(ConfigConfirm(id="c", revision=1), {}))


def test_a_flood_of_pushes_is_slowed_down_and_a_few_hundred_are_not() -> None:
    limiter = RateLimiter(PUSH_BURST, PUSHES_PER_SECOND)
    admitted = [limiter.admit("push", 0.0) for _ in range(300)].count("admitted")
    assert admitted == PUSH_BURST
    assert [limiter.admit("push", 1.0) for _ in range(300)].count("admitted") == PUSHES_PER_SECOND
