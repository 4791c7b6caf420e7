"""The topics that a connection subscribes to: all, or fewer after a packet that was too large."""

from collections.abc import Iterable

from agent.mqtt.envelope import Envelope
from agent.mqtt.topics import DOWN, GROUPS, LEFT_OUT, LEFT_OUT_TEXTS, PUSHES


class TopicChoice:
    """``level`` is that of `topics.LEFT_OUT`, from one connection to the next."""

    def __init__(self) -> None:
        self.level = 0
        self._oversized_bytes = 0

    def record_end(self, oversized_bytes: int | None) -> None:
        """A connection ended, perhaps by a packet of so many bytes: then the next one leaves out more."""
        if oversized_bytes is None:
            self.level = 0
        else:
            self._oversized_bytes = oversized_bytes
            self.level = min(self.level + 1, len(LEFT_OUT) - 1)

    @property
    def trouble(self) -> str | None:
        """What is not received, in words for ``health``."""
        if not self.level:
            return None
        sent = f"the broker sent {self._oversized_bytes} bytes at once"
        return f"{LEFT_OUT_TEXTS[self.level]} not received: {sent}"

    def topics(self, envelope: Envelope, groups: Iterable[str]) -> dict[str, str]:
        """The topics to subscribe to, each under its name for people."""
        names = [name for name in DOWN if name not in LEFT_OUT[self.level]]
        found = {name: f"{envelope.prefix}/{name}" for name in names}
        found[envelope.host_status] = envelope.host_status
        if PUSHES in found:
            shared = [f"{GROUPS}/{group}/{PUSHES}" for group in groups]
            found |= {name: f"{envelope.root}/{name}" for name in shared}
        return found
