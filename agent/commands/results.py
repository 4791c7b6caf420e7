"""The limits of a result: its size, and how many may wait for the centre. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.domain.message import MAX_BODY, encode

MAX_RESULT = MAX_BODY - 1024
"""The largest fields of a result in bytes; the rest of `MAX_BODY` is for the envelope."""
MAX_REASON = 500
"""Characters of a reason."""
MAX_WAITING = 1000
"""With so many results that the centre has not received, commands without an effect get none."""
WITHOUT_EFFECT = frozenset({"rejected", "duplicate", "expired"})
"""States of commands that did nothing."""
IDENTIFYING = ("command", "command_id", "answer_to", "state")


def bounded(result: Mapping[str, Any]) -> dict[str, Any]:
    """``result`` in `MAX_RESULT` bytes: where it is larger without the largest fields, which it names."""
    found = dict(result)
    if isinstance(reason := found.get("reason"), str) and len(reason) > MAX_REASON:
        found["reason"] = reason[: MAX_REASON - 1] + "…"
    left_out: list[str] = []
    while len(encode(found)) > MAX_RESULT:
        name = max(found.keys() - {*IDENTIFYING, "left_out"}, key=lambda name: len(encode(found[name])))
        del found[name]
        left_out.append(name[:64])
        found["left_out"] = left_out[:20]
    return found


def is_own_topic(topic: str, prefix: str) -> bool:
    """Whether ``topic`` is a plain topic below ``prefix``, so that a result may name it."""
    return topic.startswith(prefix) and topic.isprintable() and not {"#", "+"} & set(topic)
