"""Commands: each once, each with an answer, and nothing that arrives is executed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.alerts.alert import AlertPolicy
from agent.alerts.alert_book import AlertBook
from agent.commands.commands import KEY, MAX_BYTES, Commands, acknowledge
from agent.commands.rate_limit import BURST, PER_SECOND, RateLimiter
from agent.commands.requests import OutputCommand
from agent.domain.findings import Finding

AT = datetime(2026, 11, 28, tzinfo=UTC)
FUTURE = "2999-01-01T00:00:00+00:00"
PAST = "2020-01-01T00:00:00+00:00"


class Desk:
    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.kept: dict[str, bytes] = {}
        self.births = 0
        self.failing = False
        self.orders: list[OutputCommand] = []
        self.commands = Commands(self.done, rebirth=self.rebirth, output=self.order)

    async def done(self, result: dict[str, Any], remember: Mapping[str, bytes]) -> None:
        self.results.append(result)
        self.kept |= remember

    def order(self, order: OutputCommand, result: Mapping[str, Any]) -> None:
        if order.source != "board":
            raise ValueError(f"no output {order.source} {order.output}; known: board siren")
        self.orders.append(order)

    async def rebirth(self) -> None:
        if self.failing:
            raise OSError("disk is full")
        self.births += 1

    def ask(self, name: str, payload: bytes, **how: Any) -> dict[str, Any]:
        asyncio.run(self.commands.carry_out(name, payload, **{"answer_to": "answers/here"} | how))
        return self.results[-1] if self.results else {}

    def restarted(self) -> "Desk":
        """A new process on the same disk."""
        again = Desk()
        again.kept = dict(self.kept)
        again.commands.restore(again.kept.get(KEY))
        return again


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


def siren(number: int) -> bytes:
    return json.dumps({"id": f"s{number}", "source": "board", "output": "siren"}).encode()


@pytest.fixture
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.rate_limit.BURST", 1e9)


@pytest.mark.slow
@pytest.mark.usefixtures("no_limit")
def test_a_siren_command_is_a_duplicate_whatever_came_since_and_after_a_restart() -> None:
    """Replayed by a broker, by whoever recorded it, or because its acknowledgement was lost."""
    desk = Desk()
    desk.ask("output", siren(0))
    for number in range(5000):  # pings take no place among what has an effect
        desk.ask("ping", json.dumps({"id": str(number)}).encode())
    for number in range(1, 600):
        desk.ask("output", siren(number))
    for one in (desk, desk.restarted(), desk.restarted().restarted()):
        assert [one.ask("output", siren(number))["state"] for number in (0, 1, 599)] == ["duplicate"] * 3
    assert len(desk.orders) == 600


@pytest.mark.usefixtures("no_limit")
def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.seen_ids.MAX_SEEN", 5)
    monkeypatch.setattr("agent.commands.seen_ids.MAX_EFFECTS", 7)
    desk = Desk()
    for number in range(50):
        desk.ask("ping", json.dumps({"id": str(number)}).encode())
        desk.ask("output", siren(number))
        desk.ask(f"unknown-{number}", json.dumps({"id": str(number)}).encode())
    assert {name: len(ids) for name, ids in desk.commands._ids._seen.items()} == {
        "ping": 5,
        "output": 5,
        "": 5,
    }
    assert len(desk.commands.dump()) < 7 * 8 + 20
    assert desk.restarted().commands.dump() == desk.commands.dump() == desk.kept[KEY]


def test_a_command_that_was_not_carried_out_may_be_sent_again_after_a_restart() -> None:
    desk = Desk()
    wrong = json.dumps({"id": "s1", "source": "gnss", "output": "siren"}).encode()
    assert desk.ask("output", wrong)["state"] == "rejected"
    assert desk.kept == {}
    assert desk.restarted().ask("output", siren(1))["state"] == "accepted"


@pytest.mark.parametrize(
    "data", [b"output\x00", b"output\x002\x00123", b"output\x00-1\x00", b"\xff\x00x\x00"]
)
def test_damaged_ids_are_said_and_forgotten(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Desk().commands.restore(data)


@pytest.mark.parametrize("payload", [siren(1), b"{", b"x" * 100_000])
def test_a_retained_command_is_neither_carried_out_nor_answered(payload: bytes) -> None:
    """It comes again with each connection: a siren after each restart, a row on the disk for each."""
    desk = Desk()
    desk.ask("output", payload, retained=True)
    assert (desk.results, desk.orders, desk.kept) == ([], [], {})
    assert desk.ask("output", siren(1))["state"] == "accepted"  # published for this device, now


@pytest.mark.parametrize("name", ["ping", "output", "shell", "fetch", "x" * 60_000])
@pytest.mark.parametrize("payload", [siren(1), b"{", b"[" * 60_000, b'{"id": "' + b"y" * 60_000 + b'"}'])
def test_an_answer_is_small_whatever_was_asked(name: str, payload: bytes) -> None:
    result = Desk().ask(name, payload, answer_to="z" * 60_000)
    assert len(json.dumps(result)) < 1024
    assert result["answer_to"] is None


def test_a_large_command_is_rejected_unread() -> None:
    payload = json.dumps({"id": "1", "more": "y" * MAX_BYTES}).encode()
    assert Desk().ask("ping", payload) | {"answer_to": 0} == {
        "command": "ping", "answer_to": 0, "state": "rejected", "reason": "payload: larger than 16384 bytes",
    }  # fmt: skip


@pytest.mark.slow
def test_a_flood_of_one_command_is_bounded_and_keeps_no_other_from_being_carried_out() -> None:
    desk = Desk()
    for number in range(4500):
        desk.ask("ping", json.dumps({"id": f"p{number}"}).encode())
        desk.ask(f"x{number}", b"{")
    assert len(desk.results) < 4 * BURST
    assert next(one["reason"] for one in desk.results if "at once" in one.get("reason", "")).startswith(
        "more than 30 at once"
    )
    assert desk.ask("output", siren(1))["state"] == "accepted"


def test_the_limit_is_a_rate() -> None:
    limiter = RateLimiter()
    said = [limiter.admit("ping", second / 10) for second in range(10_000)]
    assert said.count("admitted") == pytest.approx(BURST + 1000 * PER_SECOND, abs=2)
    assert said[int(BURST)] == "first_dropped" or "first_dropped" in said[: int(BURST) + 5]
    assert limiter.admit("ping", -50.0) == "dropped"  # a clock that runs back gives no tokens
    assert limiter.admit("ping", 5000.0) == "admitted"


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
    (_,) = book.on_finding(AlertPolicy("rule", "switch", "critical", True, timedelta(0)), finding, AT, 0.0)
    alert = acknowledge(book, payload, AT)
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
