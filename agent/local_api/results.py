"""``results``: the messages that tell of orders and alerts, as they come to the outbox."""

import json
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from agent.domain.message import Message
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.harmless import harmless
from agent.local_api.parts import AgentParts, Answer, Call

TOPICS = frozenset({"command/result", "config/reported", "status", "alert", "alerts/active"})
MOST_WAITING, KNOWN_IDS = 500, 1000


class ResultTap:
    """Hears the outbox while anyone listens."""

    def __init__(self, parts: AgentParts) -> None:
        self._outbox = parts.outbox
        self._waiting: dict[ChangeSignal, deque[Message]] = {}
        self._ids: deque[str] = deque(maxlen=KNOWN_IDS)
        """A write that failed is tried again with the same messages."""

    async def results(self, _: Call) -> AsyncGenerator[Answer, None]:
        """Each message once; of a client that is too slow, the newest."""
        signal, waiting = ChangeSignal(), deque[Message](maxlen=MOST_WAITING)
        self._waiting[signal] = waiting
        self._outbox.on_put = harmless(self._take)
        try:
            while True:
                while waiting:
                    message = waiting.popleft()
                    yield Answer({"topic": message.topic, "body": json.loads(message.body)})
                await signal.wait()
        finally:
            del self._waiting[signal]
            if not self._waiting:
                self._outbox.on_put = None

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.topic in TOPICS and message.id not in self._ids:
                self._ids.append(message.id)
                for signal, waiting in self._waiting.items():
                    waiting.append(message)
                    signal.fire()
