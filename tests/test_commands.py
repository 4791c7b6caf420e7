"""Commands: each once, each with an answer, and nothing that arrives is executed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.alert import Terms
from agent.alerts import AlertBook
from agent.commands import REMEMBERED, Commands, Order
from agent.parts import Finding

AT = datetime(2026, 11, 28, tzinfo=UTC)
FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


class Desk:
    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.births = 0
        self.failing = False
        self.orders: list[Order] = []
        self.commands = Commands(self.done, rebirth=self.rebirth, output=self.order)

    async def done(self, result: dict[str, Any]) -> None:
        self.results.append(result)

    def order(self, order: Order, result: Mapping[str, Any]) -> None:
        if order.source != "board":
            raise ValueError(f"no output {order.source} {order.output}; known: board siren")
        self.orders.append(order)

    async def rebirth(self) -> None:
        if self.failing:
            raise OSError("disk is full")
        self.births += 1

    def ask(self, name: str, payload: bytes) -> dict[str, Any]:
        asyncio.run(self.commands.carry_out(name, payload, "answers/here"))
        return self.results[-1]


@pytest.mark.parametrize(
    ("name", "payload", "state", "reason"),
    [
        ("ping", b'{"id": "1"}', "succeeded", None),
        ("ping", json.dumps({"id": "1", "expires": FUTURE, "extra": [1]}).encode(), "succeeded", None),
        ("ping", json.dumps({"id": "1", "expires": PAST}).encode(), "expired", None),
        ("ping", b'{"id": "1", "expires": "2026-11-28T00:00:00"}', "rejected", "expires: "),
        ("ping", b'{"id": ""}', "rejected", "id: "),
        ("ping", b'{"id": 7}', "rejected", "id: "),
        ("ping", b"{}", "rejected", "id: Field required"),
        ("ping", b"\xff", "rejected", "payload: "),
        ("ping", b"[" * 10_000, "rejected", "payload: "),
        (
            "shell",
            b'{"id": "1", "run": "reboot"}',
            "rejected",
            "no command 'shell'; known: output, ping, rebirth",
        ),
        ("output", b'{"id": "1", "source": "board", "output": "siren"}', "accepted", None),
        (
            "output",
            b'{"id": "1", "source": "gnss", "output": "siren"}',
            "rejected",
            "no output gnss siren; known: board siren",
        ),
        ("output", b'{"id": "1", "source": "board", "output": "siren", "ttl_s": 601}', "rejected", "ttl_s: "),
        ("output", b'{"id": "1", "source": "board"}', "rejected", "output: Field required"),
        (
            "output",
            json.dumps({"id": "1", "source": "board", "output": "siren", "expires": PAST}).encode(),
            "expired",
            None,
        ),
        ("ping/x", b'{"id": "1"}', "rejected", "no command 'ping/x'"),
    ],
)
def test_every_command_gets_one_answer(name: str, payload: bytes, state: str, reason: str | None) -> None:
    desk = Desk()
    result = desk.ask(name, payload)
    assert len(desk.results) == 1
    assert (result["command"], result["answer_to"], result["state"]) == (name, "answers/here", state)
    assert (reason is None) == ("reason" not in result)
    assert reason is None or result["reason"].startswith(reason)


@pytest.mark.parametrize(
    "payload", [b'{"id": "1"}', b"{", b'{"id": "1", "command": "result", "state": "rejected"}']
)
def test_an_answer_gets_no_answer(payload: bytes) -> None:
    """The subscription to ``command/+`` brings our own results back; answering them would never end."""
    desk = Desk()
    asyncio.run(desk.commands.carry_out("result", payload, "answers/here"))
    assert desk.results == []


def test_an_order_is_taken_once() -> None:
    desk = Desk()
    payload = b'{"id": "1", "source": "board", "output": "siren", "on": false}'
    assert [desk.ask("output", payload)["state"] for _ in range(2)] == ["accepted", "duplicate"]
    assert [(order.output, order.on, order.ttl_s) for order in desk.orders] == [("siren", False, 30)]


def test_a_repeat_is_a_duplicate_and_not_done_again() -> None:
    desk = Desk()
    states = [desk.ask("rebirth", b'{"id": "a"}')["state"] for _ in range(3)]
    assert (states, desk.births) == (["succeeded", "duplicate", "duplicate"], 1)


def test_what_it_remembers_is_bounded() -> None:
    desk = Desk()
    for number in range(REMEMBERED + 5):
        desk.ask("ping", json.dumps({"id": str(number)}).encode())
    assert len(desk.commands._seen) == REMEMBERED
    assert desk.ask("ping", json.dumps({"id": str(REMEMBERED + 4)}).encode())["state"] == "duplicate"


def test_what_the_world_refuses_is_said() -> None:
    desk = Desk()
    desk.failing = True
    assert desk.ask("rebirth", b'{"id": "a"}') | {"answer_to": 0} == {
        "command": "rebirth", "command_id": "a", "answer_to": 0, "state": "failed", "reason": "disk is full",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "taken"),
    [
        (b'{"alert_id": "a1", "role": "watch-officer"}', True),
        (b'{"alert_id": "a1", "role": "watch-officer", "action": "close"}', True),
        (b'{"alert_id": "a1", "role": "x", "action": "reject", "reason": "a swimmer"}', True),
        (b'{"alert_id": "a2", "role": "watch-officer"}', False),
        (b'{"alert_id": "a1"}', False),
        (b'{"alert_id": "a1", "role": "x", "action": "explode"}', False),
        (b"no json", False),
    ],
)
def test_an_answer_to_an_alert_is_by_role_and_for_an_active_one(payload: bytes, taken: bool) -> None:
    book = AlertBook(iter(["a1"]).__next__)
    finding = Finding(key="k", text="t", since=AT)
    (_,) = book.take(Terms("rule", "switch", "critical", True, timedelta(0)), finding, AT, 0.0)
    alert = Desk().commands.acknowledged(book, payload, AT)
    assert (alert is not None) == taken


@pytest.mark.parametrize(
    ("payload", "command_id"),
    [
        (b'{"id": "a", "source": 5}', "a"),
        (b'{"id": "a", "expires": "soon"}', "a"),
        (b'{"id": 5}', None),
        (b"{", None),
    ],
)
def test_who_asked_wrongly_is_told_which_command_it_was(payload: bytes, command_id: str | None) -> None:
    assert Desk().ask("output", payload).get("command_id") == command_id
