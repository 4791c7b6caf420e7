"""What officers do: signed, audited, seen by the others, and never changed afterwards."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.audit.access_log import access_log_folder
from agent.trust.roles import Role, Roles
from agent.trust.signing_key import SigningKey
from centre.map.action_entry import matches_envelope
from centre.map.action_store import ActionStore, action_db
from centre.map.actions import NO_RIGHT, Actions
from centre.map.alert_queue import AlertQueue
from centre.map.call_out import CallOrder, call_orders, call_out
from centre.map.fleet_orders import NO_BROKER, FleetOrders
from centre.map.force import Force
from centre.map.queued_alert import QueuedAlert
from console.order_steps import OrderStep
from console.session_signer import SessionSigner
from console.web.rights import roles_allow
from tests.map_fleet import Fleet
from tests.map_rows import BIRTH, Rows
from tests.signing import ROLES, ROOT_KEY

SIGNER = SessionSigner(ROOT_KEY)
T = TypeVar("T")


def alert(**fields: Any) -> QueuedAlert:
    queue = AlertQueue()
    queue.apply(Rows().alert(0, **fields))
    return queue.all()[0]


async def all_of(steps: AsyncIterator[T]) -> list[T]:
    return [step async for step in steps]


def run(
    db: Path, fleet: FleetOrders, act: Callable[[Actions], Awaitable[T]], roles: Roles | None = None
) -> T:
    async def session() -> T:
        actions = Actions(db, fleet, roles)
        await actions.start()
        try:
            return await act(actions)
        finally:
            actions.close()

    return asyncio.run(session())


def audited(db: Path) -> list[dict[str, Any]]:
    lines = [
        line
        for file in sorted(access_log_folder(db).glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [json.loads(line) for line in lines]


def test_an_acknowledgement_is_signed_confirmed_and_kept(tmp_path: Path) -> None:
    db, fleet = tmp_path / "c.db", Fleet()

    async def act(actions: Actions) -> list[OrderStep]:
        return await all_of(actions.answer(alert(), SIGNER, "watch-officer", "ack"))

    steps = run(db, fleet, act)
    assert [step.state for step in steps] == ["sent", "succeeded"]
    assert fleet.taken == [
        ("boat-7", "alert/ack", {"alert_id": "a1", "role": "watch-officer", "action": "ack"})
    ]
    entries = ActionStore(action_db(db)).since(0)
    assert [(one.kind, one.role, one.fields.get("state")) for one in entries] == [
        ("answer", "watch-officer", None),
        ("result", "watch-officer", "succeeded"),
    ]
    assert entries[0].key_ids == (ROOT_KEY.key_id,)
    assert matches_envelope(entries[0])
    assert not matches_envelope(replace(entries[0], role="somebody else"))
    assert [one["kind"] for one in audited(db)].count("alert_answered") == 1


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("without a key", {"signer": None}, {}, "Choose your signing key"),
    ("without a role", {"role": " "}, {}, "a role has 1 to 64"),
    ("an ended alert", {}, {"phase": "end"}, "the alert has ended"),
    ("a text without end", {"reason": "x" * 1001}, {}, "up to 1000"),
]


@pytest.mark.parametrize(
    ("given", "fields", "reason"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_refused_answers(tmp_path: Path, given: dict[str, Any], fields: dict[str, Any], reason: str) -> None:
    fleet = Fleet()

    async def act(actions: Actions) -> list[OrderStep]:
        return await all_of(actions.answer(alert(**fields), **{"signer": SIGNER, "role": "desk", **given}))

    [step] = run(tmp_path / "c.db", fleet, act)
    assert step.state == "refused"
    assert reason in step.reason
    assert fleet.taken == []
    assert ActionStore(action_db(tmp_path / "c.db")).since(0) == []


def test_without_a_broker_an_order_says_so_and_is_kept_as_refused(tmp_path: Path) -> None:
    async def act(actions: Actions) -> list[OrderStep]:
        return await all_of(actions.answer(alert(), SIGNER, "desk"))

    [step] = run(tmp_path / "c.db", FleetOrders(None), act)
    assert (step.state, step.reason) == ("no_answer", NO_BROKER)


def test_a_key_that_no_device_knows_is_refused_by_the_device(tmp_path: Path) -> None:
    stranger = SessionSigner(SigningKey.generate())

    async def act(actions: Actions) -> list[OrderStep]:
        return await all_of(actions.note(alert(), stranger, "desk", "all quiet"))

    [step] = run(tmp_path / "c.db", Fleet(), act, ROLES)
    assert (step.state, step.reason) == ("refused", NO_RIGHT)


def test_a_role_for_a_group_of_devices_may_note_there_only(tmp_path: Path) -> None:
    key = SigningKey.generate()
    entry = {"keys": (key.key_id,), "devices": ("group:kind.patrol_boat",), "commands": ("ack",)}
    boats = ROLES.model_copy(update={"roles": {"operator": Role.model_validate(entry)}})
    groups = {"boat-7": ("all", "kind.patrol_boat"), "post-1": ("all", "kind.metro_post")}
    actions = Actions(tmp_path / "c.db", Fleet(), boats, groups_of=groups.__getitem__)
    signer = SessionSigner(key)
    assert actions.right_problem(signer, "boat-7") is None
    assert actions.right_problem(signer, "post-1") == NO_RIGHT
    assert actions.right_problem(signer, "boat-7", "output") == NO_RIGHT
    actions.close()


def test_hand_over_and_note_are_seen_in_another_process_within_a_second(tmp_path: Path) -> None:
    db = tmp_path / "c.db"

    async def session() -> tuple[str, list[str], float]:
        here, there = Actions(db, Fleet()), Actions(db, Fleet())
        await there.start()
        task = asyncio.ensure_future(there.run())
        arrived = asyncio.Event()
        there.board.listen(lambda entry: arrived.set() if entry.kind == "note" else None)
        given = alert(acknowledged={"role": "desk", "action": "ack", "at": "2026-11-30T12:00:20Z"})
        await all_of(here.hand_over(given, SIGNER, "desk", "river-police", "boat 9 is nearer"))
        began_s = time.monotonic()
        await all_of(here.note(given, SIGNER, "desk", "person is on the bank"))
        async with asyncio.timeout(20):
            await arrived.wait()
        took_s = time.monotonic() - began_s
        task.cancel()
        texts = [entry.text for entry in there.board.of(given.key)]
        return there.board.holder(given), texts, took_s

    holder, texts, took_s = asyncio.run(session())
    assert holder == "river-police"
    assert texts == ["boat 9 is nearer", "person is on the bank"]
    print(f"seen by the other process after {took_s:.3f} s")
    assert [one["kind"] for one in audited(db)].count("alert_handed_over") == 1


def test_a_call_out_gives_the_result_of_each_device(tmp_path: Path) -> None:
    fleet = Fleet(mute=frozenset({"post-9"}))
    boat = Force("boat-7")
    outputs = {"outputs": {"board": ["siren"]}, "sources": {"cam1": "camera"}}
    boat.apply(Rows()("birth", **BIRTH, capabilities=outputs))
    orders = [*call_orders(boat, outputs=True, rescue=True), CallOrder("post-9", "output", "board", "siren")]
    orders.append(CallOrder("post-1", "output", "", "siren"))

    async def act(actions: Actions) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        async for one in call_out(actions, alert(), orders, SIGNER, "desk"):
            found.setdefault((one.order.device, one.order.what), []).append(one.step.state)
        return found

    found = run(tmp_path / "c.db", fleet, act)
    assert found["boat-7", "board/siren"] == ["sent", "accepted", "succeeded"]
    assert found["boat-7", "rescue mode"] == ["sent", "accepted", "succeeded"]
    assert found["post-9", "board/siren"] == ["no_answer"]
    assert found["post-1", "/siren"] == ["refused"]
    assert {name for _, name, _ in fleet.taken} == {"output", "rescue_mode"}
    entries = ActionStore(action_db(tmp_path / "c.db")).since(0)
    assert [one.kind for one in entries].count("call_out") == 3
    assert {one.fields["state"] for one in entries if one.kind == "result"} == {"succeeded", "no_answer"}


def test_a_call_out_goes_as_far_as_the_roles_of_the_session(tmp_path: Path) -> None:
    """The key may be that of all sessions: an operator has no rescue mode, as in the pages of a device."""
    fleet = Fleet()
    orders = [
        CallOrder("boat-7", "output", "board", "siren"), CallOrder("boat-7", "rescue_mode", for_s=600),
    ]  # fmt: skip

    async def act(actions: Actions) -> dict[str, str]:
        may = partial(roles_allow, ["operator"])
        steps = call_out(actions, alert(), orders, SIGNER, "operator", may)
        return {one.order.what: one.step.state async for one in steps}

    found = run(tmp_path / "c.db", fleet, act)
    assert found == {"board/siren": "succeeded", "rescue mode": "refused"}
    assert [name for _, name, _ in fleet.taken] == ["output"]


def test_entries_are_never_changed_or_deleted(tmp_path: Path) -> None:
    store = ActionStore(tmp_path / "c.db.map")
    store.add(alert().received_at, "note", ("boat-7", "a1"), "desk", ["k"], "text", {})
    store.close()
    db = sqlite3.connect(tmp_path / "c.db.map")
    for statement in ("UPDATE entry SET text = 'other'", "DELETE FROM entry"):
        with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
            db.execute(statement)
    db.close()
    assert (tmp_path / "c.db.map").stat().st_mode & 0o077 == 0
