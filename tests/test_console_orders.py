"""Orders of a page: what is sent, and what the device's answers mean."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from agent.trust.order import peek_body
from agent.trust.roles import OPERATOR_COMMANDS
from agent.trust.signing_key import PassphraseNeededError, SigningKey
from console.agent_client import AgentError, AgentUnreachableError
from console.agent_views import ConfigView, Hello, SentMessage
from console.order_steps import OrderStep
from console.orders import NO_KEY, OrderDesk
from console.session_signer import SessionSigner
from console.web.rights import ROLES, VIEWER, roles_allow

Answer = Callable[[str, dict[str, Any]], list[tuple[str, dict[str, Any]]]]


class Device:
    """Answers orders at once, as the agent's local socket would."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.sent = answer, list[tuple[str, bytes]]()
        self.queues: list[asyncio.Queue[SentMessage]] = []

    async def order(self, topic: str, payload: bytes) -> None:
        self.sent.append((topic, payload))
        for name, body in self.answer(topic, peek_body(payload) or json.loads(payload)):
            for queue in self.queues:
                queue.put_nowait(SentMessage(name, body))

    async def results(self) -> AsyncIterator[SentMessage]:
        queue: asyncio.Queue[SentMessage] = asyncio.Queue()
        self.queues.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.remove(queue)

    async def config(self) -> ConfigView:
        return cast(ConfigView, {"reported": {"highest_revision": 6, "active": {"revision": 6}}})

    async def hello(self) -> Hello:
        return cast(Hello, {"device": "bridge-07"})


def result(body: dict[str, Any], state: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "command/result", {"command_id": body["id"], "state": state, **more}


def run(steps: AsyncIterator[OrderStep]) -> list[OrderStep]:
    async def collect() -> list[OrderStep]:
        async with asyncio.timeout(20):
            return [step async for step in steps]

    return asyncio.run(collect())


def signer() -> SessionSigner:
    return SessionSigner(SigningKey.generate())


def test_a_command_is_signed_and_followed_to_its_end() -> None:
    device = Device(lambda _, body: [result(body, "accepted"), result(body, "succeeded", rules={})])
    steps = run(OrderDesk(device, signer()).command("what_if", {"camera": "cam1"}))
    assert [step.state for step in steps] == ["sent", "accepted", "succeeded"]
    ((topic, payload),) = device.sent
    assert topic == "command/what_if"
    assert peek_body(payload)["command"] == "what_if"
    assert device.queues == []


def test_parts_of_a_text_are_put_together_in_order() -> None:
    def answer(_: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [result(body, "running", part=2, text="b"), result(body, "succeeded", part=1, text="a")]

    assert run(OrderDesk(Device(answer), signer()).command("config_get"))[-1].body["text"] == "ab"


def test_a_command_that_switches_signs_a_nonce_of_the_device() -> None:
    def answer(topic: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [result(body, "succeeded", **({"nonce": "ab" * 16} if topic.endswith("challenge") else {}))]

    device = Device(answer)
    assert run(OrderDesk(device, signer()).command("output", {"source": "board"}))[-1].succeeded
    assert [topic for topic, _ in device.sent] == ["command/challenge", "command/output"]
    envelope = json.loads(device.sent[1][1])
    import base64

    assert json.loads(base64.b64decode(envelope["payload"]))["nonce"] == "ab" * 16


def test_a_used_counter_is_raised_and_the_order_goes_again_once() -> None:
    key = signer()
    (key_id,) = (one.key_id for one in key.keys)
    refusals: list[int] = []

    def answer(_: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        refusals.append(1)
        reason = f"counters: counter 5 of key {key_id} was used; the next is 7"
        return [result(body, "rejected", reason=reason)]

    steps = run(OrderDesk(Device(answer), key).command("probe"))
    assert len(refusals) == 2
    assert (steps[-1].state, steps[-1].reason.partition(":")[0]) == ("refused", "counters")


@pytest.mark.parametrize(
    ("error", "state"),
    [(AgentError("too many orders"), "refused"), (AgentUnreachableError("no agent"), "no_answer")],
)
def test_what_the_socket_says_is_told(error: Exception, state: str) -> None:
    def refuse(_: str, __: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        raise error

    assert run(OrderDesk(Device(refuse), signer()).command("probe"))[-1] == OrderStep(state, str(error))  # type: ignore[arg-type]


def test_an_acknowledgement_ends_with_the_alert_that_names_it() -> None:
    def answer(_: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        other = {"alert": {"alert_id": "a2", "acknowledged": {"role": "operator", "action": "ack"}}}
        ours = {"alert": {"alert_id": "a1", "acknowledged": {"role": body["role"], "action": body["action"]}}}
        return [("alert", other), ("alert", ours)]

    steps = run(OrderDesk(Device(answer), signer()).ack("a1", "operator"))
    assert steps[-1].succeeded
    assert steps[-1].body["alert"]["alert_id"] == "a1"


def test_an_alert_that_ends_by_itself_was_not_acknowledged() -> None:
    ended = {"alert": {"alert_id": "a1", "phase": "end", "reason": "cleared"}}
    steps = run(OrderDesk(Device(lambda _, __: [("alert", ended)]), signer()).ack("a1", "operator"))
    assert (steps[-1].state, steps[-1].reason) == ("failed", "the alert has ended: cleared")


def test_a_refused_acknowledgement_has_the_reason_of_the_device() -> None:
    refused = {
        "command": "ack",
        "command_id": "a1",
        "state": "rejected",
        "reason": "signature: may not order ack",
    }
    device = Device(lambda _, __: [("command/result", refused)])
    assert run(OrderDesk(device, signer()).ack("a1", "operator"))[-1].state == "refused"


def test_a_push_takes_the_next_revision_and_waits_until_it_is_kept() -> None:
    def answer(_: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        states = ("pending", "unconfirmed", "applied")
        return [("config/reported", {"state": state, "revision": body["revision"]}) for state in states]

    device = Device(answer)
    steps = run(OrderDesk(device, signer()).push({"patch": {"rules": {}}, "confirm": "manual"}))
    assert [step.state for step in steps] == ["sent", "accepted", "waiting", "succeeded"]
    body = peek_body(device.sent[0][1])
    assert (body["revision"], body["base_revision"]) == (7, 6)


def test_a_fatal_push_says_why_it_went_back() -> None:
    def answer(_: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [
            (
                "config/reported",
                {"state": "rolled_back", "revision": body["revision"], "reason": "cam1: dark"},
            )
        ]

    last = run(OrderDesk(Device(answer), signer()).push({"patch": {}}))[-1]
    assert (last.state, last.reason) == ("failed", "cam1: dark")


def test_without_a_key_nothing_is_sent_but_what_needs_none() -> None:
    device = Device(lambda _, body: [result(body, "succeeded")])
    desk = OrderDesk(device, None)
    assert run(desk.push({"patch": {}})) == run(desk.ack("a", "operator")) == [OrderStep("refused", NO_KEY)]
    assert device.sent == []
    assert run(desk.command("ping"))[-1].succeeded


def test_counters_of_one_key_rise_across_sessions() -> None:
    key = SigningKey.generate()
    first, second = SessionSigner(key), SessionSigner(key)
    used = [one.next_counters()[key.key_id] for one in (first, second, first, second)]
    assert used == sorted(set(used))
    assert first.advance_to(key.key_id, used[-1] + 5000)
    assert second.next_counters()[key.key_id] > used[-1] + 5000
    assert not first.advance_to(key.key_id, 2**52)


def test_a_key_file_is_read_from_its_bytes(tmp_path: Any) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "key.pem", "horse")
    data = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(PassphraseNeededError):
        SessionSigner.from_pem(data, None, "key.pem")
    with pytest.raises(ValueError, match=r"key\.pem: wrong passphrase"):
        SessionSigner.from_pem(data, "cow", "key.pem")
    assert SessionSigner.from_pem(data, "horse", "key.pem").keys[0].key_id == key.key_id


def test_rights_follow_the_roles_document() -> None:
    assert all(roles_allow({"operator"}, name) for name in OPERATOR_COMMANDS)
    assert not roles_allow({"operator"}, "push")
    assert roles_allow({"configurer"}, "push")
    assert not any(roles_allow({VIEWER}, order) for order in ("push", "ack", "ping", "snapshot"))
    assert ROLES[0] == "operator"
    assert set(ROLES) == {"operator", "configurer", "privacy_officer", "rescuer", "viewer"}
