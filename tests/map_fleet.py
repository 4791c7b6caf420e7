"""Devices behind an invented broker, for tests of the map's orders: they check signatures as real ones do."""

from collections.abc import Callable
from typing import Any

from agent.domain.message import encode
from agent.trust.refusal import OrderRefused
from agent.trust.trust import Trust
from centre.map.fleet_orders import FleetOrders
from console.agent_client import AgentUnreachableError
from tests.signing import trust_of


class Fleet(FleetOrders):
    """``mute`` devices never answer."""

    def __init__(self, *, mute: frozenset[str] = frozenset()) -> None:
        super().__init__("mqtt://nowhere")
        self.problem = ""
        self.taken: list[tuple[str, str, dict[str, Any]]] = []
        self._mute = mute
        self._trust: dict[str, Trust] = {}
        self._observers: list[Callable[[str, str, bytes], None]] = []

    def observe(self, observer: Callable[[str, str, bytes], None]) -> Callable[[], None]:
        if self.problem:
            raise AgentUnreachableError(self.problem)
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def say(self, device: str, topic: str, body: dict[str, Any]) -> None:
        for observer in tuple(self._observers):
            observer(device, topic, encode(body))

    async def publish(self, device: str, topic: str, payload: bytes) -> None:
        if self.problem:
            raise AgentUnreachableError(self.problem)
        if device in self._mute:
            raise AgentUnreachableError("the device does not answer")
        trust = self._trust.setdefault(device, trust_of(device))
        name = topic.removeprefix("command/")
        if name == "challenge":
            nonce = trust.challenges.issue(0.0)
            self.say(
                device, "command/result", {"command_id": _id(payload), "state": "succeeded", "nonce": nonce}
            )
            return
        try:
            order = trust.open("ack" if topic == "alert/ack" else "command", payload)
        except OrderRefused as error:
            self.say(device, "command/result", {"command": "ack", "state": "rejected", "reason": str(error)})
            return
        self.taken.append((device, name, order.body))
        if topic == "alert/ack":
            answer = {
                "role": order.body["role"],
                "action": order.body["action"],
                "at": "2026-11-30T12:00:30Z",
            }
            alert = {"alert_id": order.body["alert_id"], "phase": "update", "acknowledged": answer}
            self.say(device, "alert", {"alert": alert})
        else:
            assert order.nonce
            for state in ("accepted", "succeeded"):
                self.say(device, "command/result", {"command_id": order.body["id"], "state": state})


def _id(payload: bytes) -> str:
    import json

    return str(json.loads(payload)["id"])
