"""Health answers three questions for each part: is it running, is it sending, is its data valid? Pure.

The monotonic clock comes in with each call.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agent.domain.observations import CameraState, Observation, SelfReport, View
from firmware_bridge.readings import BoardState, LineState

QUIET_AFTER_S = 5.0
"""A source counts as silent after this long, or after five of its usual intervals where that is longer."""
STARTING_S = 15.0
"""A source has this long after its start for its first value."""
BAD_SHARE = 0.2
"""The data of a source is not valid where more than this share of its packets is damaged."""
RESTART_REPORTED_S = 60.0
"""How long the restart of a board is reported."""
NOISE_BYTES = 64
"""This many bytes without a packet are more than line noise."""
JUDGED_S = 1.0
"""The state of a line that follows another one faster than this is judged together with it: the few bytes of
that time, say before the line was closed, would make it look healthy."""
UNREADABLE = "no valid packets: check baud rate and protocol"


@dataclass(frozen=True, slots=True)
class Running:
    """The state of a part by its supervisor; ``error`` is why it waits."""

    state: Literal["running", "waiting", "ended"]
    error: str | None = None
    crashed: bool = False
    """Whether it waits after an exception that is no OSError: a bug."""


@dataclass(slots=True)
class _Part:
    """The record of one part."""

    started_s: float
    running: Running
    speaks: bool
    last_s: float | None = None
    interval_s: float = 1.0
    interrupted: bool = False
    state: LineState | CameraState | None = None
    board: BoardState | None = None
    restarts: int = 0
    restarted_s: float | None = None
    recent: tuple[int, int, int] = (0, 0, 0)  # good and bad packets, skipped bytes, that are judged
    judged: tuple[LineState, float, tuple[int, int, int]] | None = None
    """The last state of a whole interval, its time, and the counts of that interval."""


class Health:
    """The health record of every part: sources, link and jobs."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def set_running(self, name: str, running: Running, now_s: float, *, speaks: bool = True) -> None:
        """Takes a change of state from the supervisor; silence is reported only of a part that ``speaks``."""
        part = self._parts.get(name)
        if part is None:
            self._parts[name] = _Part(now_s, running, speaks)
        else:
            part.running = running
            part.interrupted |= running.state == "waiting"

    def renew(self, name: str, now_s: float) -> None:
        """A part goes on under changed settings: what it sent under those before is no proof of these."""
        part = self._parts.get(name)
        if part is not None:
            part.started_s, part.last_s, part.interrupted = now_s, None, True
            part.state, part.board, part.recent, part.judged = None, None, (0, 0, 0), None

    def forget(self, name: str) -> None:
        """Removes a part that was stopped."""
        self._parts.pop(name, None)

    def on_observation(self, observation: Observation) -> None:
        """Takes a value of a source, or the state of its line, camera or board."""
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
            if isinstance(value, LineState):
                _take_line(part, value, observation.mono_s)
            part.state = value
            return
        if part.last_s is not None and not part.interrupted:  # else the gap was an outage
            part.interval_s += 0.1 * (observation.mono_s - part.last_s - part.interval_s)
        part.last_s, part.interrupted = observation.mono_s, False

    def parts(self, now_s: float) -> list[dict[str, Any]]:
        """Each part with its three answers; ``speaking`` and ``valid`` only where they are known."""
        return [self._answer(name, part, now_s) for name, part in sorted(self._parts.items())]

    def working(self, now_s: float) -> Iterator[str]:
        """The sources that have sent something since their start and still work. A button sends only when
        pressed, but its board reports its own state. A video file played to its end counts too."""
        for answer in self.parts(now_s):
            part = self._parts[answer["part"]]
            sent = part.last_s is not None or part.board is not None or answer.get("good", 0) > 0
            well = answer.get("speaking") is not False and answer.get("valid") is not False
            if part.speaks and sent and well and answer["running"] != "waiting":
                yield answer["part"]

    def frame_size(self, name: str) -> tuple[int, int] | None:
        """Width and height of the frames of a camera; None where none is known yet."""
        part = self._parts.get(name)
        state = part.state if part is not None else None
        return (state.width, state.height) if isinstance(state, CameraState) and state.frames else None

    def reasons(self, now_s: float) -> list[str]:
        """Why the device is degraded, one line for each part; empty where all parts work."""
        return list(self._reasons(now_s))

    def _reasons(self, now_s: float) -> Iterator[str]:
        for name, own in sorted(self._parts.items()):
            if not own.speaks and own.last_s is None and own.state is None and own.running.state != "waiting":
                continue  # a job that runs
            answer = self._answer(name, own, now_s)
            if answer["running"] == "waiting":
                yield f"{name}: {answer['error']}"
            elif answer.get("valid") is False:
                packets = any(self._parts[name].recent[:2])
                yield f"{name}: {'many of its packets are damaged' if packets else UNREADABLE}"
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
        elif part.speaks and part.running.state == "running" and now_s - part.started_s > STARTING_S:
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
            if part.state.regions_wanted:
                answer["regions"], answer["regions_wanted"] = part.state.regions, part.state.regions_wanted
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


def _take_line(part: _Part, value: LineState, now_s: float) -> None:
    """Takes the counts of a line since the last whole interval."""
    state, at_s, counts = part.judged or (None, float("-inf"), (0, 0, 0))
    since = _since(state, value)
    if now_s - at_s >= JUDGED_S:
        part.recent, part.judged = since, (value, now_s, since)
    else:
        part.recent = (counts[0] + since[0], counts[1] + since[1], counts[2] + since[2])


def _take_board(part: _Part, board: BoardState, now_s: float) -> None:
    """Takes the state of a board; a restart counts even where the line was reopened meanwhile."""
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
    if part.restarted_s is not None and now_s - part.restarted_s <= RESTART_REPORTED_S:
        yield f"it restarted by itself (start {board.boot})"
    if board.hears is False:
        yield "it does not answer: check the wire to it"
    if board.failed:
        yield f"failed: {', '.join(board.failed)}"
    if board.refused:
        yield f"it can't switch: {', '.join(board.refused)}"


def _since(before: LineState | None, now: LineState) -> tuple[int, int, int]:
    """The counts between two states of a line; a line that was reopened counts from zero."""
    good, bad, skipped = _counts(now)
    if before is not None:
        good_before, bad_before, skipped_before = _counts(before)
        if good >= good_before and bad >= bad_before and skipped >= skipped_before:
            return good - good_before, bad - bad_before, skipped - skipped_before
    return good, bad, skipped


def _counts(state: LineState) -> tuple[int, int, int]:
    return sum(state.good.values()), sum(state.bad.values()), state.skipped_bytes
