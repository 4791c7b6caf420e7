"""Health is three questions for each part: is it running, is it speaking, is what it says valid?

Pure: the monotonic clock comes in with each call.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agent.domain.observations import CameraState, Observation, SelfReport, View
from firmware_bridge.readings import BoardState, LineState

QUIET_AFTER_S = 5.0
"""A source is not speaking after this long, or after five of its usual intervals if that is longer."""
STARTING_S = 15.0
"""A source that has just been started has this long for its first word."""
BAD_SHARE = 0.2
"""What a source says is not valid when more than this share of its packets had to be thrown away."""
RESTART_TOLD_S = 60.0
"""A board that began anew is said to have done so this long."""
NOISE_BYTES = 64
"""So many bytes without a packet are no accident."""
UNREADABLE = "what comes can't be read at all; is its speed or its protocol another?"


@dataclass(frozen=True, slots=True)
class Running:
    """What the supervisor says of a part; ``error`` is why it waits."""

    state: Literal["running", "waiting", "ended"]
    error: str | None = None


@dataclass(slots=True)
class _Part:
    began_s: float
    running: Running
    speaks: bool
    last_s: float | None = None
    interval_s: float = 1.0
    interrupted: bool = False
    state: LineState | CameraState | None = None
    board: BoardState | None = None
    restarts: int = 0
    restarted_s: float | None = None
    recent: tuple[int, int, int] = (0, 0, 0)  # good and bad packets, skipped bytes, since the state before


class Health:
    """What is known of each part."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def set_running(self, name: str, running: Running, now_s: float, *, speaks: bool = True) -> None:
        """The supervisor's word on ``name``; only of a source that ``speaks`` silence can be said."""
        part = self._parts.get(name)
        if part is None:
            self._parts[name] = _Part(now_s, running, speaks)
        else:
            part.running = running
            part.interrupted |= running.state == "waiting"

    def forget(self, name: str) -> None:
        """The part is no more."""
        self._parts.pop(name, None)

    def on_observation(self, observation: Observation) -> None:
        """A source spoke, or told how its line or camera does."""
        part = self._parts.get(observation.source)
        if part is None:
            return
        value = observation.value
        if isinstance(value, BoardState):
            _take_board(part, value, observation.mono_s)
            return
        if isinstance(value, View):
            return
        if isinstance(value, SelfReport):
            before = part.state
            if isinstance(value, LineState) and (before is None or isinstance(before, LineState)):
                part.recent = _since(before, value)
            part.state = value
            return
        if part.last_s is not None and not part.interrupted:  # else the gap was an outage, and is not usual
            part.interval_s += 0.1 * (observation.mono_s - part.last_s - part.interval_s)
        part.last_s, part.interrupted = observation.mono_s, False

    def parts(self, now_s: float) -> list[dict[str, Any]]:
        """Each part with the three answers; ``speaking`` and ``valid`` only where they can be said."""
        return [self._answer(name, part, now_s) for name, part in sorted(self._parts.items())]

    def working(self, now_s: float) -> Iterator[str]:
        """The sources that were heard since they began, and go on: a button speaks only when it is pressed,
        but its board tells of itself. Also a file that has played to its end."""
        for answer in self.parts(now_s):
            part = self._parts[answer["part"]]
            heard = part.last_s is not None or part.board is not None or answer.get("good", 0) > 0
            well = answer.get("speaking") is not False and answer.get("valid") is not False
            if part.speaks and heard and well and answer["running"] != "waiting":
                yield answer["part"]

    def reasons(self, now_s: float) -> list[str]:
        """Why the device is degraded, one line a part; empty when all is well."""
        return list(self._reasons(now_s))

    def _reasons(self, now_s: float) -> Iterator[str]:
        for answer in self.parts(now_s):
            name = answer["part"]
            if answer["running"] == "waiting":
                yield f"{name}: {answer['error']}"
            elif answer.get("valid") is False:
                heard = any(self._parts[name].recent[:2])
                yield f"{name}: {'much of what it says is damaged' if heard else UNREADABLE}"
            elif isinstance(state := self._parts[name].state, LineState) and state.trouble:
                yield f"{name}: {state.trouble}"
            elif answer.get("speaking") is False:
                age_s = answer.get("age_s")
                yield f"{name}: silent" if age_s is None else f"{name}: silent for {int(age_s)} s"
            else:
                part = self._parts[name]
                yield from (f"{name}: {trouble}" for trouble in _board_troubles(part, now_s))
                if isinstance(part.state, CameraState) and part.state.trouble:
                    yield f"{name}: {part.state.trouble}"

    def _answer(self, name: str, part: _Part, now_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = {"part": name, "running": part.running.state}
        if part.running.error:
            answer["error"] = part.running.error
        if part.last_s is not None:
            age_s = now_s - part.last_s
            answer["speaking"] = age_s <= max(QUIET_AFTER_S, 5 * part.interval_s)
            answer["age_s"] = round(age_s, 1)
        elif part.speaks and part.running.state == "running" and now_s - part.began_s > STARTING_S:
            answer["speaking"] = False
        good, bad, skipped = part.recent
        if isinstance(part.state, LineState):
            answer["valid"] = bad <= BAD_SHARE * (good + bad) if good + bad else skipped < NOISE_BYTES
            answer["good"], answer["bad"] = sum(part.state.good.values()), sum(part.state.bad.values())
            answer["skipped_bytes"] = part.state.skipped_bytes
            if part.state.lost:
                answer["lost"] = part.state.lost
        elif isinstance(part.state, CameraState):
            answer["frames"], answer["skipped"] = part.state.frames, part.state.skipped
            answer["looked"], answer["fps"] = part.state.looked, part.state.fps
            answer["detect_ms"] = part.state.detect_ms
            if part.state.lost:
                answer["lost"] = part.state.lost
            if part.state.granted:
                answer["granted"] = part.state.granted
        if part.board is not None:
            board = part.board
            named = {"firmware": board.firmware, "uid": board.uid, "boot": board.boot, "hears": board.hears}
            answer.update({key: value for key, value in named.items() if value is not None})
            answer["restarts"] = part.restarts
        return answer


def _take_board(part: _Part, board: BoardState, now_s: float) -> None:
    """What a board says of itself; its start is counted also where the line was opened anew since."""
    before, part.board = part.board, board
    if before is None or before.boot is None:
        return
    if board.boot not in (None, before.boot) or board.restarts > before.restarts:
        part.restarts += 1
        part.restarted_s = now_s


def _board_troubles(part: _Part, now_s: float) -> Iterator[str]:
    board = part.board
    if board is None:
        return
    if part.restarted_s is not None and now_s - part.restarted_s <= RESTART_TOLD_S:
        yield f"it began anew by itself (start {board.boot})"
    if board.hears is False:
        yield "it does not answer: does the wire to it lead there?"
    if board.failed:
        yield f"failed: {', '.join(board.failed)}"
    if board.refused:
        yield f"it can't switch: {', '.join(board.refused)}"


def _since(before: LineState | None, now: LineState) -> tuple[int, int, int]:
    """What came between two states of a line; a line that was opened anew counts from zero."""
    good, bad, skipped = _counts(now)
    if before is not None:
        good_before, bad_before, skipped_before = _counts(before)
        if good >= good_before and bad >= bad_before and skipped >= skipped_before:
            return good - good_before, bad - bad_before, skipped - skipped_before
    return good, bad, skipped


def _counts(state: LineState) -> tuple[int, int, int]:
    return sum(state.good.values()), sum(state.bad.values()), state.skipped_bytes
