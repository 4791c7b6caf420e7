"""Whether the broker lets this device hear: each subscription is acknowledged, or asked for again.

Pure but for the connection: the monotonic clock comes in. A device that may not hear gets no receipt, no
answer, no command and no push, while all that it sends goes through.
"""

from collections.abc import Sequence
from typing import Any

from agent.mqtt.connection import Connection

REFUSED = 0x80
"""Reason codes from here on refuse, in MQTT 5 as in 3.1.1."""
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 600.0


class Subscriptions:
    """The topics of one connection; ``names`` are how they are told, in the same order."""

    def __init__(self, connection: Connection, topics: Sequence[str], names: Sequence[str]) -> None:
        self._connection = connection
        self._names = dict(zip(topics, names, strict=True))
        self._asked: dict[int, list[str]] = {}
        self._refused: dict[str, str] = {}
        self._wait_s = FIRST_WAIT_S
        self._again_s: float | None = None

    def begin(self) -> None:
        """Asks for all of them."""
        self._ask(list(self._names))

    def acknowledged(self, number: int, codes: Sequence[Any], now_s: float) -> list[str]:
        """The broker's answer to one request; the names that are refused for the first time."""
        new = []
        for topic, code in zip(self._asked.pop(number, ()), codes, strict=False):
            if code.value < REFUSED:
                self._refused.pop(topic, None)
                continue
            if topic not in self._refused:
                new.append(self._names[topic])
            self._refused[topic] = f"0x{code.value:02x}"
        if not self._refused:
            self._wait_s, self._again_s = FIRST_WAIT_S, None
        else:
            self._again_s = now_s + self._wait_s
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        return new

    def look(self, now_s: float) -> None:
        """Asks again for what was refused, ever more seldom."""
        if self._again_s is not None and now_s >= self._again_s:
            self._again_s = None
            self._ask(list(self._refused))

    @property
    def trouble(self) -> str | None:
        """What it may not hear, in words for ``health``."""
        if not self._refused:
            return None
        names = ", ".join(self._names[topic] for topic in self._refused)
        codes = ", ".join(sorted(set(self._refused.values())))
        return f"the broker refuses to let it hear {names} ({codes}): may it read there?"

    def _ask(self, topics: list[str]) -> None:
        number = self._connection.subscribe(topics)
        if number is not None:
            self._asked[number] = topics
