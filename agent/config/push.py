"""One push as it waits to be carried out: its payload, its signers, and which changes they may make."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.config.ledger import PushResult
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


@dataclass(frozen=True, slots=True)
class Rollback:
    """An ordered return to an earlier configuration, in the same queue."""

    to_revision: int | None
    """None: the one before; 0: the local file."""
    target: str | None
    """The group whose push made it; None where it was a push to this device."""
    authorize: Authorize
    key_ids: tuple[str, ...]
    done: Callable[[PushResult], Awaitable[None]]
    """Called with its result."""
