"""A desk of the run: signed pushes, commands and acknowledgements, with the answers that they need first."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agent.cli.pushed_change import PushedChange
from agent.domain.message import SIMULATED_ROOT, encode
from agent.host.clock import Clock
from agent.host.entropy import Entropy
from agent.runtime.sanitize import json_object
from agent.trust.order import Kind, sign_order
from agent.trust.signing_key import SigningKey
from simulators.virtual.broker import VirtualBroker
from simulators.virtual.mqtt_packets import Publish

CLIENT_ID = "desk"
NONCE = frozenset({"output", "rescue", "rescue_mode", "restart_part", "rotate_certificate"})
"""Commands that sign a nonce of the device, see docs/orders.md."""
ANSWER_WITHIN_S = 10.0


class VirtualDesk:
    """It is always connected, and signs with a key that has all roles."""

    def __init__(self, broker: VirtualBroker, key: SigningKey, clock: Clock, entropy: Entropy) -> None:
        self._broker = broker
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._counter = 0
        self._revisions: dict[str, int] = {}
        self._nonces: dict[str, asyncio.Future[str]] = {}
        broker.listen(self._published)

    def push(self, device: str, config: str) -> None:
        """A signed push of a whole configuration."""
        revision = self._revisions[device] = self._revisions.get(device, 0) + 1
        fields = {**PushedChange("push", config).fields(), "revision": revision}
        self._publish(f"{device}/config/desired", self._sign("push", device, fields))

    async def command(self, device: str, name: str, fields: Mapping[str, Any]) -> None:
        """A signed command; ``ack`` is a signed acknowledgement. TimeoutError where the device gives no nonce
        for a command that needs one."""
        if name == "ack":
            self._publish(f"{device}/alert/ack", self._sign("ack", device, fields))
            return
        nonce = await self._nonce(device) if name in NONCE else None
        body = {"command": name, "id": self._entropy.uuid7(), **fields}
        self._publish(f"{device}/command/{name}", self._sign("command", device, body, nonce))

    async def _nonce(self, device: str) -> str:
        command_id = self._entropy.uuid7()
        answer = self._nonces[command_id] = asyncio.get_running_loop().create_future()
        self._publish(f"{device}/command/challenge", encode({"id": command_id}))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return str(await answer)
        except TimeoutError:
            raise TimeoutError(f"{device} gives no nonce within {ANSWER_WITHIN_S:g} s") from None
        finally:
            del self._nonces[command_id]

    def _published(self, _publisher: str, message: Publish) -> None:
        if not self._nonces or not message.topic.endswith("/command/result"):
            return
        body = json_object(message.payload) or {}
        waiting = self._nonces.get(str(body.get("command_id")))
        nonce = body.get("nonce")
        if waiting is not None and not waiting.done() and isinstance(nonce, str):
            waiting.set_result(nonce)

    def _sign(self, kind: Kind, device: str, body: Mapping[str, Any], nonce: str | None = None) -> bytes:
        self._counter = max(self._counter + 1, int(self._clock.unix_s() * 1000))
        counters = {self._key.key_id: self._counter}
        return sign_order(kind, device, body, [self._key], counters=counters, nonce=nonce)

    def _publish(self, topic: str, payload: bytes) -> None:
        self._broker.inject(Publish(f"{SIMULATED_ROOT}/{topic}", payload, qos=1), CLIENT_ID)
