"""Commands: each once, each with an answer, and nothing that arrives is executed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from agent.alerts.alert import AlertPolicy
from agent.alerts.alert_book import AlertBook
from agent.commands.commands import MAX_BYTES, Commands, acknowledge
from agent.commands.rate_limit import BURST, PER_SECOND, RateLimiter
from agent.commands.requests import OutputCommand
from agent.commands.results import bounded
from agent.commands.seen_ids import SeenIds
from agent.domain.findings import Finding

AT = datetime(2026, 11, 28, tzinfo=UTC)
FUTURE = "2999-01-01T00:00:00+00:00"
ANSWERS = "ringpost/v1/x/desk"
PAST = "2020-01-01T00:00:00+00:00"


class Desk:
    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.kept: dict[str, bytes] = {}
        self.births = 0
        self.failing = False
        self.now_s = 0.0
        self.damaged: list[str] = []
        self.orders: list[OutputCommand] = []
        self.commands = Commands(
            self.done,
            rebirth=self.rebirth,
            output=self.order,
            answers_below="ringpost/v1/x/",
            clock=lambda: self.now_s,
        )

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
        asyncio.run(self.commands.carry_out(name, payload, **{"answer_to": ANSWERS} | how))
        return self.results[-1] if self.results else {}

    def restarted(self) -> "Desk":
        """A new process on the same disk."""
        again = Desk()
        again.kept = dict(self.kept)
        again.damaged = again.commands.restore(again.kept.get)
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
    assert (result["command"], result["answer_to"], result["state"]) == (name, ANSWERS, state)
    assert (reason is None) == ("reason" not in result)
    assert reason is None or result["reason"].startswith(reason)


@pytest.mark.parametrize(
    "payload", [b'{"id": "1"}', b"{", b'{"id": "1", "command": "result", "state": "rejected"}']
)
def test_an_answer_gets_no_answer(payload: bytes) -> None:
    """The subscription to ``command/+`` brings our own results back; answering them would never end."""
    desk = Desk()
    asyncio.run(desk.commands.carry_out("result", payload, ANSWERS))
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
    monkeypatch.setattr("agent.commands.seen_ids.SEGMENT_IDS", 3)
    monkeypatch.setattr("agent.commands.seen_ids.SEGMENTS", 4)
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
    assert sorted(desk.kept) == [f"commands/output/{number}" for number in range(4)]
    assert max(map(len, desk.kept.values())) <= 3 * 8 + 3
    again = desk.restarted()
    repeats = [number for number in range(50) if again.commands._ids.is_repeat("output", f"s{number}")]
    assert repeats == list(range(39, 50))


@pytest.mark.slow
@pytest.mark.parametrize("restart_every", [997, 20_000])
def test_an_id_is_known_after_ten_thousand_others_and_restarts(restart_every: int) -> None:
    kept: dict[str, bytes] = {}
    ids = SeenIds()
    ids.add_effect("rescue", "other")
    for number in range(10_001):
        if number % restart_every == restart_every - 1:
            ids = SeenIds()
            assert ids.restore(["output", "rescue"], kept.get) == []
        kept |= ids.add_effect("output", f"s{number}")
    ids = SeenIds()
    ids.restore(["output", "rescue"], kept.get)
    assert all(ids.is_repeat("output", f"s{number}") for number in range(10_001))
    assert not ids.is_repeat("output", "s10001")
    assert max(map(len, kept.values())) < 8_200  # of a commit, whatever came before


def test_ids_that_an_earlier_version_wrote_are_still_known() -> None:
    digests = [sha256(name.encode()).digest()[:8] for name in ("s0", "s1")]
    desk = Desk()
    desk.kept = {"commands": b"output\x002\x00" + b"".join(digests)}
    for one in (desk.restarted(), desk.restarted().restarted()):
        assert one.ask("output", siren(1))["state"] == "duplicate"
        assert one.ask("output", siren(2))["state"] == "accepted"


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
    desk = Desk()
    desk.ask("output", siren(1))
    desk.kept |= {"commands": data, "commands/output/3": data[:4]}
    again = desk.restarted()
    assert again.damaged == ["commands", "commands/output/3"]
    assert [again.ask("output", siren(number))["state"] for number in (1, 2)] == ["duplicate", "accepted"]


@pytest.mark.parametrize(
    "topic",
    ["ringpost/v1/y/desk", "ringpost/v1/x", "ringpost/v1/x/#", "ringpost/v1/x/a\nb", "$SYS/x", "", "z" * 300],
)
def test_a_foreign_response_topic_is_left_out(topic: str) -> None:
    assert Desk().ask("ping", b'{"id": "1"}', answer_to=topic)["answer_to"] is None


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        ({"state": "failed", "reason": "x" * 5000}, None),
        ({"state": "succeeded", "rows": ["x" * 100] * 100, "count": 3}, ["rows"]),
        ({"state": "succeeded"} | {f"f{number}": "ü" * 3000 for number in range(9)}, 8),
    ],
)
def test_a_result_is_bounded(fields: dict[str, Any], left_out: Any) -> None:
    result = bounded({"command": "probe", "command_id": "1"} | fields)
    assert len(json.dumps(result, ensure_ascii=False).encode()) <= 8 * 1024 - 1024 + 200
    found = result.get("left_out")
    assert (len(found) if isinstance(left_out, int) else found) == left_out
    assert result["state"] == fields["state"]


def test_a_thousand_repeats_of_an_acknowledgement_write_nothing() -> None:
    book = AlertBook(iter(["a1"]).__next__)
    finding = Finding(key="k", text="t", since=AT)
    policy = AlertPolicy("rule", "switch", "critical", True, timedelta(0))
    list(book.on_finding(policy, finding, AT, 0.0))
    answers = [b'{"alert_id": "a1", "role": "officer"}', b'{"alert_id": "a1", "role": "desk"}']
    assert acknowledge(book, answers[0], AT) is not None
    assert acknowledge(book, answers[1], AT + timedelta(seconds=5)) is not None
    book.dump()
    for second in range(1000):
        assert acknowledge(book, answers[second % 2], AT + timedelta(seconds=second)) is None
        assert not book.unsaved


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
