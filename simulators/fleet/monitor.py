"""Beside the centre: when each alert got its receipt, and how often it was sent. On one connection."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import unix_s
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection

RECORDED = ("birth", "status", "health", "position", "config/reported", "alerts/active")
"""Topics of one device that are kept for thin clients; and its telemetry."""


class Monitor:
    """``device``: whose messages are recorded."""

    def __init__(self, url: str, device: str) -> None:
        self.sent: dict[str, int] = {}
        """By the id of an alert's message: how often it came from the device."""
        self.receipt_s: dict[str, float] = {}
        """When its first receipt came, in seconds since 1970: the centre has committed it."""
        self.recorded: dict[str, dict[str, Any]] = {}
        """By topic: a message of ``device``."""
        self.telemetry_recorded = asyncio.Event()
        self._url, self._device = url, device

    async def run(self) -> None:
        """Until cancelled; connects again after a restart of the broker."""
        own = [f"{self._device}/{below}" for below in (*RECORDED, "telemetry/+")]
        topics = [f"{SIMULATED_ROOT}/{one}" for one in ("+/alert", "+/receipt", *own)]
        while True:
            connection = Connection(Broker(url=self._url), "fleet-monitor", None, session_expiry_s=60)
            try:
                await connection.open()
                connection.subscribe(topics)
                while True:
                    match await connection.event(5.0):
                        case ("lost", reason):
                            raise OSError(reason)
                        case ("message", message):
                            self._take(message)
                            connection.acknowledge(message)
            except OSError:
                await asyncio.sleep(0.1)
            finally:
                connection.close()

    def _take(self, message: Any) -> None:
        device, _, below = message.topic.removeprefix(f"{SIMULATED_ROOT}/").partition("/")
        with suppress(ValueError, KeyError):
            body = json.loads(message.payload)
            if below == "receipt":
                for message_id in body["ids"]:
                    self.receipt_s.setdefault(message_id, unix_s())
            elif below == "alert":
                self.sent[body["id"]] = self.sent.get(body["id"], 0) + 1
            elif device == self._device and (below in RECORDED or below.startswith("telemetry/")):
                more = {"topic": below, "qos": 0 if below == "position" else 1, "retain": below in RECORDED}
                self.recorded[below] = {**more, "body": body}
                if below.startswith("telemetry/"):
                    self.telemetry_recorded.set()
