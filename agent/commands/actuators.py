"""Commands for sirens, lights and relays: the requested outputs, and what the board confirmed. Pure.

An output is requested until its time is over; its source switches it, however often the board is unplugged
meanwhile. A command is done when the board reports the output in the requested state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.commands.requests import OutputCommand
from agent.domain.observations import Observation
from firmware_bridge.readings import Switch

CONFIRMED_WITHIN_S = 5.0
"""A command that the board has not confirmed within this time has failed."""


@dataclass(frozen=True, slots=True)
class _PendingCommand:
    """A command whose last result is not sent yet."""

    command: OutputCommand
    result: Mapping[str, Any]
    requested_s: float

    def until_s(self) -> float:
        """The instant until which it requests its output to be on."""
        return self.requested_s + self.command.ttl_s * self.command.on


class Actuators:
    """The requests in force, and the commands that wait for confirmation."""

    def __init__(self) -> None:
        self._until_s: dict[tuple[str, str], float] = {}
        self._pending: list[_PendingCommand] = []

    def request(
        self,
        command: OutputCommand,
        outputs: Mapping[str, Sequence[str]],
        result: Mapping[str, Any],
        now_s: float,
    ) -> None:
        """Takes a command. ValueError where ``outputs``, the outputs of each source, does not list it."""
        if command.output not in outputs.get(command.source, ()):
            names = ", ".join(f"{source} {name}" for source, known in outputs.items() for name in known)
            raise ValueError(f"no output {command.source} {command.output}; known: {names or 'none'}")
        pending = _PendingCommand(command, result, now_s)
        self._until_s[command.source, command.output] = pending.until_s()
        self._pending.append(pending)

    def wanted(self, source: str, now_s: float) -> dict[str, float]:
        """The outputs of ``source`` that should be on, each with the seconds remaining."""
        return {
            name: until_s - now_s
            for (owner, name), until_s in self._until_s.items()
            if owner == source and until_s > now_s
        }

    def on_observation(self, observation: Observation) -> list[dict[str, Any]]:
        """Results of the commands that this report of a board confirms."""
        value = observation.value
        if not self._pending or not isinstance(value, Switch):
            return []
        reported = (observation.source, value.name, value.on)
        return self._finish(
            {**pending.result, "state": "succeeded"}
            if (pending.command.source, pending.command.output, pending.command.on) == reported
            else None
            for pending in self._pending
        )

    def tick(self, at: datetime, now_s: float) -> list[dict[str, Any]]:
        """Results of the commands that expired or were not confirmed in time; their requests end."""
        return self._finish(self._overdue(pending, at, now_s) for pending in self._pending)

    def _overdue(self, pending: _PendingCommand, at: datetime, now_s: float) -> dict[str, Any] | None:
        command = pending.command
        expired = command.expires is not None and command.expires < at
        if not expired and now_s - pending.requested_s < CONFIRMED_WITHIN_S:
            return None
        output = command.source, command.output
        if self._until_s.get(output) == pending.until_s():  # else a later command is in force
            del self._until_s[output]
        if expired:
            return {**pending.result, "state": "expired"}
        reason = f"{command.source} did not confirm it within {CONFIRMED_WITHIN_S:g} s"
        if not command.on:
            reason += "; an unacknowledged alert may keep it on"
        return {**pending.result, "state": "failed", "reason": reason}

    def _finish(self, results: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
        """The results that exist; ``results`` has one entry for each pending command, None while it waits."""
        entries = list(results)
        waiting = zip(self._pending, entries, strict=True)
        self._pending = [pending for pending, result in waiting if result is None]
        return [result for result in entries if result is not None]
