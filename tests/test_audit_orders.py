"""What the gate, the receipts and the connection write into the audit log, and when."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.audit.audit_log import FOLDER
from agent.audit.countersigned import read_countersigned
from agent.domain.message import Message
from agent.mqtt.peer import peer_of
from agent.mqtt.receipts import Receipts
from agent.reporting.audit_sender import MOST_SENT, AuditSender
from agent.trust.roles import sign_roles
from tests.signing import ROLES, ROOT_KEY, signed, signed_command
from tests.test_order_gate import ACK, DEVICE, OUTPUT, PUSH, Behind, by_stranger


class Notes:
    """An audit log that notes its entries, and at each wait what had passed the gate by then."""

    def __init__(self, behind: Behind) -> None:
        self.behind = behind
        self.entries: list[dict[str, Any]] = []
        self.passed: list[int] = []

    def append(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None:
        self.entries.append({"kind": kind, "who": tuple(who), **fields})

    def append_durably(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> str:
        raise NotImplementedError

    async def written(self) -> bool:
        self.passed.append(len(self.behind.pushes) + len(self.behind.acks) + len(self.behind.switched))
        return False  # the disk refuses: the order counts all the same


@pytest.fixture
def gate() -> tuple[Behind, Notes]:
    behind = Behind()
    notes = Notes(behind)
    behind.gate.audit = notes
    return behind, notes


def test_each_order_is_written_with_key_and_roles_before_its_effect(gate: tuple[Behind, Notes]) -> None:
    behind, notes = gate
    behind.hear("config/desired", signed("push", DEVICE, PUSH))
    behind.hear("alert/ack", signed("ack", DEVICE, ACK))
    behind.hear("command/ping", signed_command(DEVICE, "ping", {"id": "c1"}))
    assert [entry["kind"] for entry in notes.entries] == ["push", "ack", "command"]
    assert notes.passed == [0, 1, 2]
    assert (len(behind.pushes), len(behind.acks)) == (1, 1)
    for entry in notes.entries:
        assert entry["who"] == (ROOT_KEY.key_id,)
        assert "operator" in entry["roles"][ROOT_KEY.key_id]
    assert (notes.entries[0]["revision"], notes.entries[1]["body"], notes.entries[2]["command"]) == (
        3,
        ACK,
        "ping",
    )


def test_what_is_refused_is_written_under_the_keys_that_signed_it(gate: tuple[Behind, Notes]) -> None:
    behind, notes = gate
    behind.hear("config/desired", by_stranger("push", PUSH))
    behind.hear("alert/ack", by_stranger("ack", ACK))
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT))
    behind.hear("roles/desired", b"{}")
    found = [(entry["kind"], entry["order"], entry["path"], entry["who"]) for entry in notes.entries]
    assert found[:3] == [
        ("refused", "push", "signature", ()),
        ("refused", "ack", "signature", ()),
        ("refused", "command", "nonce", (ROOT_KEY.key_id,)),
    ]
    assert found[3][:2] == ("refused", "roles")


def test_orders_without_effect_are_written_as_refused(gate: tuple[Behind, Notes]) -> None:
    behind, notes = gate
    ping = signed_command(DEVICE, "ping", {"id": "c1"})
    acked = signed("ack", DEVICE, ACK)
    for topic, payload in (
        ("command/ping", ping),
        ("command/ping", ping),
        ("command/fetch", signed_command(DEVICE, "fetch", {"id": "c1", "alert_id": "a"})),
        ("alert/ack", acked),
        ("alert/ack", acked),
        ("alert/ack", signed("ack", DEVICE, {"alert_id": 5})),
    ):
        behind.hear(topic, payload)
    refused = [entry for entry in notes.entries if entry["kind"] == "refused"]
    assert [(entry["order"], entry["path"]) for entry in refused] == [
        ("command", "counters"), ("command", "rejected"), ("ack", "counters"), ("ack", "body"),
    ]  # fmt: skip
    assert refused[1]["reason"].startswith("no command 'fetch'")
    assert {entry["who"] for entry in refused} == {(ROOT_KEY.key_id,)}


def test_a_roles_document_is_written_with_those_who_signed_it(gate: tuple[Behind, Notes]) -> None:
    behind, notes = gate
    newer = ROLES.model_copy(update={"version": ROLES.version + 1})
    behind.hear("roles/desired", sign_roles(newer, [ROOT_KEY]))
    (entry,) = notes.entries
    assert (entry["kind"], entry["who"], entry["version"]) == ("roles", (ROOT_KEY.key_id,), newer.version)


def test_commands_without_a_signature_are_written_as_such(gate: tuple[Behind, Notes]) -> None:
    behind, notes = gate
    behind.hear("command/ping", b'{"id": "c1"}')
    (entry,) = notes.entries
    assert (entry["kind"], entry["who"], entry["signed"]) == ("command", (), False)


def test_forged_and_too_broad_receipts_are_written() -> None:
    receipts, refused = Receipts(), list[str]()
    receipts.on_refused = refused.append
    assert receipts.handed_out(["a", "b"], {"a"}) == ["a"]
    assert receipts.handed_out(["a"], {"a"}) == ["a"]
    receipts.record_refused("signature: forged")
    receipts.record_malformed("ids: too many")
    assert refused == [
        "1 of 2 ids were not handed out, or have their receipt", "signature: forged", "malformed: ids: too many",
    ]  # fmt: skip


class FakeOutbox:
    """Takes the messages of an `AuditSender`."""

    def __init__(self) -> None:
        self.put_messages: list[Any] = []
        self.remembered: dict[str, bytes] = {}

    def recall(self, key: str) -> bytes | None:
        return self.remembered.get(key)

    async def put(self, *messages: Any, remember: dict[str, bytes]) -> None:
        self.put_messages += messages
        self.remembered |= remember


class FakeMessages:
    def make(self, schema: str, fields: Any, lane: Any, topic: str, *_: Any) -> Message:
        return Message(lane=lane, topic=topic, id="x", body=fields["entry"].encode())


def run_once(folder: Path, outbox: Any, receipts: Sequence[dict[str, Any]] = ()) -> AuditSender:
    messages: Any = FakeMessages()

    async def work() -> AuditSender:
        sender = AuditSender(folder, ROOT_KEY, outbox, messages)
        sender.start(software="1")
        for receipt in receipts:
            sender.on_countersigned(b"{}", receipt)
        await sender.log.written()
        await sender.stop()
        return sender

    return asyncio.run(work())


def test_start_and_stop_are_in_the_outbox_and_a_deleted_log_is_missed(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    run_once(tmp_path, outbox)
    assert [(one.lane, one.topic) for one in outbox.put_messages] == [("result", "audit")] * 2
    assert b'"kind":"stop"' in outbox.put_messages[-1].body
    assert run_once(tmp_path, outbox).log.trouble is None
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    sender = run_once(tmp_path, outbox)
    assert "with entry 4 is gone" in str(sender.log.trouble)
    assert b"with entry 4 is gone" in outbox.put_messages[-2].body


def test_only_checkpoints_of_this_run_are_kept_as_countersigned(tmp_path: Path) -> None:
    """A broker may repeat receipts, or make them up where no centre signs: they cost no write."""
    outbox = FakeOutbox()
    run_once(tmp_path, outbox, [{"log": "x", "n": 1, "hash": str(number)} for number in range(MOST_SENT)])
    assert read_countersigned(tmp_path / FOLDER) == []


def test_whom_a_connection_reached() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        port = server.getsockname()[1]
        assert peer_of(sock) == {"address": f"127.0.0.1:{port}"}
