"""One push as it waits to be carried out: its payload, its signers, and which changes they may make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.trust.changes import Change

Authorize: TypeAlias = Callable[[Sequence[Change]], None]
"""Raises `agent.trust.refusal.OrderRefused` where the signatures of a push do not suffice for a change."""


@dataclass(frozen=True, slots=True)
class Push:
    """A push whose envelope was opened, in the queue of `agent.push_trial.PushTrials`."""

    payload: bytes
    """The body of the order: a JSON object, see `agent.config.push_check.Desired`."""
    target: str
    """The name of this device, or ``group:<name>`` of the group that it was sent to."""
    authorize: Authorize
    key_ids: tuple[str, ...] = ()
    """The keys that signed it."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """By scope of each key: its counter. The ledger remembers them in one commit with the result."""


def anyone(_changes: Sequence[Change]) -> None:
    """Allows every change."""
