"""The subscriptions of one connection: each is acknowledged by the broker, or requested again with backoff.

A device that may not read its topics gets no receipt, answer, command or push, while all that it sends goes
through. Pure but for the connection: the monotonic clock comes in.
"""

from collections.abc import Sequence
from typing import Any

from agent.mqtt.connection import Connection

REFUSED = 0x80
"""Reason codes from here on refuse, in MQTT 5 as in 3.1.1."""
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 600.0


class Subscriptions:
    """``names`` stand for ``topics`` in texts, in the same order."""

    def __init__(self, connection: Connection, topics: Sequence[str], names: Sequence[str]) -> None:
        self._connection = connection
        self._names = dict(zip(topics, names, strict=True))
        self._requested: dict[int, list[str]] = {}
        self._refused: dict[str, str] = {}
        self._wait_s = FIRST_WAIT_S
        self._retry_at_s: float | None = None

    def begin(self) -> None:
        """Requests all subscriptions."""
        self._request(list(self._names))

    def acknowledged(self, packet_id: int, codes: Sequence[Any], now_s: float) -> list[str]:
        """The broker's SUBACK for one request; the names that are refused for the first time."""
        new = []
        for topic, code in zip(self._requested.pop(packet_id, ()), codes, strict=False):
            if code.value < REFUSED:
                self._refused.pop(topic, None)
                continue
            if topic not in self._refused:
                new.append(self._names[topic])
            self._refused[topic] = f"0x{code.value:02x}"
        if not self._refused:
            self._wait_s, self._retry_at_s = FIRST_WAIT_S, None
        else:
            self._retry_at_s = now_s + self._wait_s
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        return new

    def retry(self, now_s: float) -> None:
        """Requests refused subscriptions again, with backoff."""
        if self._retry_at_s is not None and now_s >= self._retry_at_s:
            self._retry_at_s = None
            self._request(list(self._refused))

    @property
    def waits(self) -> bool:
        """Whether a subscription is requested, or refused."""
        return bool(self._requested or self._refused)

    @property
    def trouble(self) -> str | None:
        """The line for ``health`` about refused subscriptions."""
        if not self._refused:
            return None
        names = ", ".join(self._names[topic] for topic in self._refused)
        codes = ", ".join(sorted(set(self._refused.values())))
        return f"the broker refused the subscription to {names} ({codes}): check its read rights"

    def _request(self, topics: list[str]) -> None:
        packet_id = self._connection.subscribe(topics)
        if packet_id is not None:
            self._requested[packet_id] = topics
