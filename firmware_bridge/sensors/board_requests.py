"""The requests to a sensor board, one at a time, and whether the board answers. Pure: time is an argument.

An unanswered request is sent again under the same number, three times in all. An output is switched on for
`HOLD_S` at most and refreshed while it is wanted, so that the siren of an agent that died falls silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

ANSWER_WITHIN_S = 0.2
TRIES = 3
RETRY_AFTER_S = 1.0
REFUSED_WAIT_S = 10.0
"""A board that did not answer gets the next request after `RETRY_AFTER_S`; a refused output after this."""
PING_EVERY_S = 5.0
HOLD_S, REFRESH_S = 10.0, 3.0
OUTPUTS_EVERY_S = 0.1
"""How often the requests are compared with the outputs while one is wanted or on."""

RequestKind: TypeAlias = Literal["hello", "ping", "output"]


@dataclass(slots=True)
class Request:
    """One request. ``output`` is switched on for ``hold_s``; off where that is 0."""

    kind: RequestKind
    sequence: int
    output: str = ""
    hold_s: float = 0.0
    sent_s: float = 0.0
    tries: int = 1


@dataclass(slots=True)
class _Output:
    """The board's last report of an output, and the confirmed end of its on time."""

    on: bool | None = None
    asked_s: float = 0.0
    until_s: float = 0.0
    not_before_s: float = 0.0


class BoardRequests:
    """Brings a board's outputs to the wanted state after any event: a reset, a lost answer, a new agent."""

    def __init__(self, outputs: tuple[str, ...] = (), sequence: int = 0) -> None:
        """``sequence`` is the number before the first request: another one in each run, so that no late
        answer to a run before counts."""
        self.answering: bool | None = None
        """Whether the board answers; None before the first request."""
        self.refused: tuple[str, ...] = ()
        """Outputs that the board reports it can't switch."""
        self._outputs = {name: _Output() for name in outputs}
        self._open: Request | None = None
        self._sequence = sequence & 0xFF
        self._now_s = self._next_s = self._hello_s = self._answered_s = -1e9

    def next_request(self, now_s: float, wanted: Mapping[str, float], *, introduced: bool) -> Request | None:
        """The request to send now, or None; called after each read, and at `due_s`.

        ``wanted``: the outputs that must be on, each with its remaining time in seconds. ``introduced``:
        whether the board has sent its hello.
        """
        self._now_s = now_s
        request = self._open
        if request is not None:
            if now_s - request.sent_s < ANSWER_WITHIN_S:
                return None
            if request.tries < TRIES:
                request.tries, request.sent_s = request.tries + 1, now_s
                return request
            self._open, self.answering = None, False
            self._next_s = now_s + RETRY_AFTER_S
        if now_s < self._next_s:
            return None
        for name, output in self._outputs.items():
            left_s = wanted.get(name, 0.0)
            if now_s >= output.not_before_s and self._is_due(output, left_s):
                return self._new("output", name, min(max(left_s, 0.0), HOLD_S))
        if not introduced and now_s - self._hello_s >= PING_EVERY_S:
            self._hello_s = now_s
            return self._new("hello")
        return self._new("ping") if now_s - self._answered_s >= PING_EVERY_S else None

    def due_s(self, now_s: float, wanted: Mapping[str, float], *, introduced: bool) -> float:
        """When `next_request` may give one, where the board says nothing and ``wanted`` stays as it is."""
        if self._open is not None:
            return self._open.sent_s + ANSWER_WITHIN_S
        due_s = self._answered_s + PING_EVERY_S
        if wanted or any(output.on for output in self._outputs.values()):
            due_s = now_s + OUTPUTS_EVERY_S
        elif not introduced:
            due_s = min(due_s, self._hello_s + PING_EVERY_S)
        return max(due_s, self._next_s)

    def _is_due(self, output: _Output, left_s: float) -> bool:
        """Whether the board needs a request: its state differs, or its on time ends too soon."""
        if left_s <= 0 or output.on is not True:
            return output.on is True or left_s > 0
        held_s = output.until_s - self._now_s
        return held_s < min(left_s, HOLD_S) - 0.5 and (
            held_s < 1.0 or self._now_s - output.asked_s >= REFRESH_S
        )

    def _new(
        self, kind: Literal["hello", "ping", "output"], output: str = "", hold_s: float = 0.0
    ) -> Request:
        self._sequence = (self._sequence + 1) & 0xFF
        self._open = Request(kind, self._sequence, output, hold_s, self._now_s)
        return self._open

    def answered(self, kind: str, sequence: int, code: object = 0) -> Request | None:
        """The open request that this answer completes; None where it answers no open request."""
        request = self._open
        if request is None or (request.kind, request.sequence) != (kind, sequence):
            return None
        self._open, self.answering, self._answered_s = None, True, self._now_s
        if request.kind != "output":
            return request
        output = self._outputs[request.output]
        refused = set(self.refused) - {request.output}
        if code == 0:
            output.on, output.asked_s = request.hold_s > 0, self._now_s
            output.until_s = request.sent_s + request.hold_s
        else:
            refused.add(request.output)
            output.not_before_s = self._now_s + REFUSED_WAIT_S
        self.refused = tuple(sorted(refused))
        return request

    def is_on(self, name: str, on: bool) -> None:
        """Records an output's state from a report."""
        if name in self._outputs:
            self._outputs[name].on = on

    def restarted(self) -> None:
        """The board restarted: forgets the outputs it had been given."""
        for name in self._outputs:
            self._outputs[name] = _Output()
