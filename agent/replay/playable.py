"""What can be replayed: files of `ringpost record`, or the history that an agent keeps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

from agent.domain.message import stamp
from agent.domain.observations import Observation
from agent.replay.history_runs import stretches
from agent.replay.history_store import HistoryStore
from agent.replay.recording import Recording, RecordingHeader


class Playable(Protocol):
    """Observations in order."""

    path: Path
    header: RecordingHeader | None
    torn: bool

    def observations(self) -> Iterator[Observation]: ...


class HistoryRecording:
    """The observation history in a folder, as the agent keeps it. ValueError where it has none."""

    def __init__(self, path: Path) -> None:
        self.path, self.torn = path, False
        self.header: RecordingHeader | None = None
        self._store = HistoryStore(path)
        if not self._store.segments():
            raise ValueError(f"{path}: a folder without a history; that of an agent is `history` in its data")

    def observations(self) -> Iterator[Observation]:
        """All observations of all runs of the agent, with a tick each second."""
        return chain.from_iterable(stretches(self._store.blocks(0.0), []))


@dataclass(frozen=True, slots=True)
class Played:
    """Files of one recording in their order, or a history, from ``since`` until ``until``."""

    parts: Sequence[Playable]
    since: datetime | None = None
    until: datetime | None = None

    @property
    def torn(self) -> bool:
        """Whether a torn last line was left out."""
        return any(one.torn for one in self.parts)

    def observations(self) -> Iterator[Observation]:
        """In order. ValueError where the agent was started anew meanwhile: its rules began anew, too."""
        before: Observation | None = None
        for one in chain.from_iterable(part.observations() for part in self.parts):
            if (self.since and one.at < self.since) or (self.until and one.at >= self.until):
                continue
            if before is not None and one.mono_s < before.mono_s - ANEW_S:
                began = f"{stamp(before.at)} and {stamp(one.at)}"
                raise ValueError(f"the agent was started anew between {began}: choose --since and --until")
            before = one
            yield one


ANEW_S = 60.0
"""Observations of several sources are not quite in order; a clock that is this far back is another one."""


def play_of(paths: Sequence[Path], since: str | None = None, until: str | None = None) -> Played:
    """What the command line names. OSError, or ValueError in one line."""
    parts: list[Playable] = [HistoryRecording(path) if path.is_dir() else Recording(path) for path in paths]
    return Played(parts, _instant("--since", since), _instant("--until", until))


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        example = "2026-11-28T14:35:00+08:00"
        raise ValueError(f"{option} {text}: no instant with its time zone, such as {example}")
    return found
