"""The gate: what passes it, what it refuses and how it answers, what it takes once only."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from agent.audit.silent import SilentAudit
from agent.commands.commands import Commands
from agent.commands.requests import NOT_ACTIVE, Ack, Command, OutputCommand
from agent.config.push import Push
from agent.control.order_gate import OrderGate
from agent.domain.message import encode
from agent.trust.changes import Change
from agent.trust.order import sign_order
from agent.trust.refusal import OrderRefused
from agent.trust.roles import sign_roles
from agent.trust.signing_key import SigningKey
from agent.trust.trust import NEEDS_NONCE, Trust
from tests.signing import CENTRE_KEY, ROLES, ROOT_KEY, signed, signed_command, trust_of

DEVICE = "bridge-07"


class Behind:
    """What is behind a gate: it notes what passes, and fails where it is told to."""

    def __init__(self, trust: Trust | None = None) -> None:
        self.pushes: list[Push] = []
        self.acks: list[dict[str, Any]] = []
        self.switched: list[OutputCommand] = []
        self.results: list[dict[str, Any]] = []
        self.refused: list[tuple[Mapping[str, Any], Sequence[Mapping[str, str]]]] = []
        self.failure: OSError | None = None
        self.roles: list[int] = []
        self.commands = Commands(
            self.send_result,
            rebirth=self.nothing,
            output=lambda command, _: self.switched.append(command),
            answers_below=f"ringpost/v1/{DEVICE}/",
            more={"challenge": (Command, self.challenge)},
            clock=lambda: 0.0,
        )
        self.trust = trust or trust_of(DEVICE)
        self.gate = OrderGate(
            self.trust, self.commands, take_push=self.take_push, acknowledge=self.acknowledge,
            refuse_push=self.refuse_push,
        )  # fmt: skip
        self.gate.on_roles = lambda roles: self.roles.append(roles.version)

    async def nothing(self) -> None: ...

    async def send_result(self, result: Mapping[str, Any], _: Mapping[str, bytes]) -> None:
        if self.failure is not None:
            raise self.failure
        self.results.append(dict(result))

    async def challenge(self, _: Command, __: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"nonce": self.trust.challenges.issue(self.trust._monotonic())}

    async def take_push(self, push: Push) -> None:
        self.pushes.append(push)

    async def acknowledge(self, body: bytes) -> bool:
        if self.failure is not None:
            raise self.failure
        self.acks.append(json.loads(body))
        return self.acks[-1]["alert_id"] == ACK["alert_id"]

    async def refuse_push(self, body: Mapping[str, Any], errors: Sequence[Mapping[str, str]]) -> None:
        self.refused.append((body, errors))

    def hear(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        asyncio.run(self.gate.on_message(topic, payload, None, retained))

    def last_reason(self) -> str:
        assert self.results[-1]["state"] == "rejected", self.results
        return str(self.results[-1]["reason"])


PUSH = {"revision": 3, "sha256": "0" * 64, "body": "device: x"}
ACK = {"alert_id": "a1", "role": "officer", "action": "ack"}
OUTPUT = {"id": "c1", "source": "board", "output": "siren"}


def test_a_signed_push_passes_with_its_signers_and_its_rights() -> None:
    behind = Behind()
    behind.hear("config/desired", signed("push", DEVICE, PUSH), retained=True)
    (push,) = behind.pushes
    assert json.loads(push.payload) == PUSH
    assert (push.target, push.key_ids) == (DEVICE, (ROOT_KEY.key_id,))
    assert list(push.counters) == [f"{ROOT_KEY.key_id} push {DEVICE}"]
    push.authorize([Change("broker.url", "guarded")])
    with pytest.raises(OrderRefused):
        Behind(Trust(DEVICE)).trust.open("push", signed("push", DEVICE, PUSH))


def test_a_retained_push_comes_again_and_is_taken_once() -> None:
    behind, payload = Behind(), signed("push", DEVICE, PUSH)
    for _ in range(5):
        behind.hear("config/desired", payload, retained=True)
    assert (len(behind.pushes), behind.refused) == (1, [])
    behind.hear("config/desired", b"", retained=True)  # the retained message was cleared
    assert (len(behind.pushes), behind.refused) == (1, [])


STRANGER = SigningKey.generate()


def by_stranger(kind: Any, body: Mapping[str, Any]) -> bytes:
    return sign_order(kind, DEVICE, body, [STRANGER], counters={STRANGER.key_id: 1})


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (encode(PUSH), "signature"),
        (b"\x00", "signature"),
        (by_stranger("push", PUSH), "signature"),
        (signed("push", "bridge-08", PUSH), "device"),
        (signed("command", DEVICE, PUSH), "signature"),
        (sign_order("push", DEVICE, PUSH, [ROOT_KEY]), "counters"),
        (sign_order("push", DEVICE, PUSH, [CENTRE_KEY], counters={ROOT_KEY.key_id: 9**15}), "counters"),
    ],
)
def test_a_refused_push_is_answered_and_changes_nothing(payload: bytes, path: str) -> None:
    behind = Behind()
    behind.hear("config/desired", payload)
    assert behind.pushes == []
    ((body, errors),) = behind.refused
    assert [one["path"] for one in errors] == [path]
    assert errors[0]["message"]
    if path != "signature" or payload.startswith(b'{"payloadType'):
        assert body.get("revision") == 3  # so that the desk finds its answer


def test_groups_have_their_own_topic_and_their_own_signature() -> None:
    behind = Behind(Trust(DEVICE, lambda: ["all"], ROLES))
    behind.hear("groups/all/config/desired", signed("push", "group:all", PUSH))
    assert [push.target for push in behind.pushes] == ["group:all"]
    behind.hear("groups/all/config/desired", signed("push", DEVICE, PUSH))
    behind.hear("groups/boats/config/desired", signed("push", "group:boats", PUSH))
    behind.hear("config/desired", signed("push", "group:all", PUSH))
    assert len(behind.pushes) == 1
    assert [errors[0]["path"] for _, errors in behind.refused] == ["device", "group", "group"]
    behind.hear("groups/all/command/output", signed_command(DEVICE, "output", OUTPUT))
    behind.hear("groups/all/alert/ack", signed("ack", DEVICE, ACK))
    assert (behind.switched, behind.acks, behind.results) == ([], [], [])


def test_commands_without_effect_need_no_signature_and_all_others_do() -> None:
    behind = Behind()
    behind.hear("command/ping", encode({"id": "p1"}))
    behind.hear("command/challenge", encode({"id": "n1"}))
    assert [result["state"] for result in behind.results] == ["succeeded", "succeeded"]
    assert len(behind.results[-1]["nonce"]) == 32
    for name in ("output", "fetch", "rescue", "snapshot", "drill", "config_rollback", "no-such-command"):
        behind.hear(f"command/{name}", encode({"id": "x", **OUTPUT}))
        assert "is not signed" in behind.last_reason()
    assert behind.switched == []


def nonce(behind: Behind) -> str:
    return behind.trust.challenges.issue(behind.trust._monotonic())


def test_a_siren_needs_a_signature_a_role_and_a_nonce_and_is_switched_once() -> None:
    behind = Behind()
    order = signed_command(DEVICE, "output", OUTPUT, nonce(behind))
    behind.hear("command/output", order)
    assert len(behind.switched) == 1
    assert behind.results[-1]["keys"] == [ROOT_KEY.key_id]
    behind.hear("command/output", order)
    assert behind.results[-1]["state"] == "duplicate"
    assert behind.results[-1]["reason"] == "was taken before"
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT | {"id": "c2"}))
    assert "nonce" in behind.last_reason()
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT | {"id": "c3"}, "0" * 32))
    assert "not one of this session" in behind.last_reason()
    centre = sign_order(
        "command", DEVICE, {"command": "output", **OUTPUT}, [CENTRE_KEY], counters={CENTRE_KEY.key_id: 1},
        nonce=nonce(behind),
    )  # fmt: skip
    behind.hear("command/output", centre)
    assert "may not order output" in behind.last_reason()
    assert len(behind.switched) == 1


@pytest.mark.parametrize("name", sorted(NEEDS_NONCE))
def test_an_order_for_one_command_is_none_for_another(name: str) -> None:
    behind = Behind()
    behind.hear(f"command/{name}", signed_command(DEVICE, "ping", OUTPUT, nonce(behind)))
    assert "was signed for command 'ping'" in behind.last_reason()
    assert behind.switched == []


def test_a_retained_command_is_neither_taken_nor_answered() -> None:
    behind = Behind()
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT, nonce(behind)), retained=True)
    assert (behind.switched, behind.results) == ([], [])


def test_an_acknowledgement_is_taken_once_and_silently() -> None:
    behind, ack = Behind(), signed("ack", DEVICE, ACK)
    for _ in range(3):
        behind.hear("alert/ack", ack)
    assert (behind.acks, behind.results) == ([ACK], [])
    for payload in (encode(ACK), by_stranger("ack", ACK), signed("command", DEVICE, ACK)):
        behind.hear("alert/ack", payload)
        assert behind.results[-1]["command"] == "ack"
        assert behind.last_reason()
    assert behind.acks == [Ack.model_validate(ACK).model_dump(exclude_none=True)]


def test_an_acknowledgement_of_no_active_alert_is_answered() -> None:
    """Silence would look like a device that does not answer."""
    behind = Behind()
    behind.hear("alert/ack", signed("ack", DEVICE, {**ACK, "alert_id": "a9"}))
    [result] = behind.results
    assert (result["command"], result["command_id"], result["state"]) == ("ack", "a9", "rejected")
    assert result["reason"] == NOT_ACTIVE


@pytest.mark.parametrize("topic", ["alert/ack", "command/output"])
def test_what_could_not_be_stored_counts_when_it_comes_again(topic: str) -> None:
    behind = Behind()
    behind.failure = OSError(28, "full")
    if topic == "alert/ack":
        payload = signed("ack", DEVICE, ACK)
    else:
        payload = signed_command(DEVICE, "output", OUTPUT, nonce(behind))
    with pytest.raises(OSError, match="full"):
        behind.hear(topic, payload)
    behind.failure = None
    if topic == "alert/ack":
        behind.hear(topic, payload)
        assert len(behind.acks) == 1
    else:
        behind.hear(topic, payload)
        assert "nonce" in behind.last_reason()  # used up: the desk asks for another one


def test_a_flood_of_forged_orders_has_few_answers_and_signed_ones_pass() -> None:
    behind = Behind()
    forged = by_stranger("command", {"command": "output", **OUTPUT})
    for _ in range(500):
        behind.hear("command/output", forged)
        behind.hear("alert/ack", by_stranger("ack", ACK))
        behind.hear("command/ping", encode({"id": "p"}))
    assert len(behind.results) < 80
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT, nonce(behind)))
    behind.hear("alert/ack", signed("ack", DEVICE, ACK))
    assert (len(behind.switched), len(behind.acks)) == (1, 1)


def test_a_roles_document_is_replaced_by_a_newer_one_only() -> None:
    behind = Behind()
    newer = ROLES.model_copy(update={"version": 2, "roles": {}})
    behind.hear("roles/desired", sign_roles(newer, [STRANGER]))
    assert "the present roles document demands" in behind.last_reason()
    assert behind.trust.roles == ROLES
    behind.hear("roles/desired", sign_roles(newer, [ROOT_KEY]))
    assert (behind.roles, behind.results[-1]["version"]) == ([2], 2)
    behind.hear("roles/desired", sign_roles(newer, [ROOT_KEY]))  # retained: comes at each connection
    assert len(behind.results) == 2
    behind.hear("config/desired", signed("push", DEVICE, PUSH))
    assert "has no role on this device" in behind.refused[-1][1][0]["message"]


def test_without_roles_all_orders_are_refused_with_the_way_out() -> None:
    behind = Behind(Trust(DEVICE))
    behind.hear("config/desired", signed("push", DEVICE, PUSH))
    assert "ringpost keys init" in behind.refused[0][1][0]["message"]
    behind.hear("alert/ack", signed("ack", DEVICE, ACK))
    assert "ringpost keys init" in behind.last_reason()
    behind.hear("command/output", signed_command(DEVICE, "output", OUTPUT))
    assert "ringpost keys init" in behind.last_reason()
    behind.hear("command/ping", encode({"id": "p1"}))
    assert behind.results[-1]["state"] == "succeeded"


# Receipts.


def test_only_the_centre_gives_receipts() -> None:
    ours = trust_of(DEVICE)
    body = {"ids": ["m1"]}
    assert json.loads(ours.open_receipt(sign_order("receipt", DEVICE, body, [CENTRE_KEY]))) == body
    for forged in (
        encode(body),
        sign_order("receipt", DEVICE, body, [STRANGER]),
        sign_order("receipt", "bridge-08", body, [CENTRE_KEY]),
        sign_order("ack", DEVICE, body, [CENTRE_KEY]),
        json.dumps(
            json.loads(sign_order("receipt", DEVICE, body, [CENTRE_KEY]))
            | {"payload": base64.b64encode(encode({"device": DEVICE, "body": {"ids": ["m2"]}})).decode()}
        ).encode(),
    ):
        with pytest.raises(OrderRefused):
            ours.open_receipt(forged)


def test_without_a_key_of_the_centre_receipts_are_taken_as_the_broker_brings_them() -> None:
    body = {"ids": ["m1"]}
    ours = Trust(DEVICE)
    assert json.loads(ours.open_receipt(encode(body))) == body
    assert json.loads(ours.open_receipt(sign_order("receipt", DEVICE, body, [CENTRE_KEY]))) == body


@pytest.mark.parametrize(
    ("topic", "order"),
    [
        ("alert/ack", lambda: signed("ack", DEVICE, ACK)),
        ("command/rebirth", lambda: signed_command(DEVICE, "rebirth", {"id": "r1"})),
    ],
)
def test_a_commit_of_others_uses_up_no_order_whose_effect_is_to_come(
    topic: str, order: Callable[[], bytes]
) -> None:
    """Else a power cut loses it: the broker delivers it again, and it was "taken before"."""
    behind = Behind()
    seen: list[bool] = []

    def takes_it_after_a_restart(stored: Mapping[str, bytes]) -> bool:
        again = trust_of(DEVICE)
        again.restore(stored.get, {})
        try:
            again.open("ack" if topic == "alert/ack" else "command", payload)
        except OrderRefused:
            return False
        return True

    class SlowDisk(SilentAudit):
        async def written(self) -> bool:
            seen.append(takes_it_after_a_restart(behind.trust.remembered()))
            return True

    behind.gate.audit = SlowDisk()
    payload = order()
    behind.hear(topic, payload)
    assert seen == [True]
    assert not takes_it_after_a_restart(behind.trust.remembered())


def test_the_first_result_of_a_command_is_stored_with_its_counter() -> None:
    behind = Behind()
    stored: list[dict[str, bytes]] = []

    async def send(result: Mapping[str, Any], _: Mapping[str, bytes]) -> None:
        behind.gate.settle_present()
        stored.append(behind.trust.remembered())

    behind.commands._send_result = send
    payload = signed_command(DEVICE, "rebirth", {"id": "r1"})
    behind.hear("command/rebirth", payload)
    again = trust_of(DEVICE)
    again.restore(stored[0].get, {})
    with pytest.raises(OrderRefused, match="was taken before"):
        again.open("command", payload)
