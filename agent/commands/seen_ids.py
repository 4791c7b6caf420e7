"""The ids of commands that were seen, so that a repeated command is recognised and not carried out again.

Ids of carried-out commands are on disk in segments, so that one more id rewrites one segment only. Under
`OLD_KEY` all ids are kept as earlier versions wrote them: read at each start, never written.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MAX_SEEN = 256
"""Ids by command name that are recognised until a restart: of ``ping``, of rejected and expired commands."""
SEGMENT_IDS, SEGMENTS = 1024, 11
"""Ids by command name of carried-out commands, which are recognised across restarts: the latest 10,240."""
KEY = "commands"
"""The segments of a command are remembered under ``commands/<name>/<0 … SEGMENTS - 1>``."""
OLD_KEY = "commands"
_DIGEST_BYTES = 8


@dataclass(slots=True)
class _Segment:
    """Digests in the order of their arrival; ``number`` counts the segments of a command."""

    number: int = 0
    ids: dict[bytes, None] = field(default_factory=dict)

    def dump(self) -> bytes:
        return str(self.number).encode() + b"\0" + b"".join(self.ids)


class SeenIds:
    """Bounded sets of id digests by command name. Not thread-safe."""

    def __init__(self) -> None:
        self._seen: dict[str, OrderedDict[bytes, None]] = {}
        self._effects: dict[str, deque[_Segment]] = {}
        self._old: dict[str, frozenset[bytes]] = {}

    def is_repeat(self, name: str, command_id: str) -> bool:
        """Whether this id was seen before under this name; from now on it was."""
        digest = _digest(command_id)
        seen = self._seen.setdefault(name, OrderedDict())
        segments = self._effects.get(name, ())
        if digest in seen or digest in self._old.get(name, ()) or any(digest in one.ids for one in segments):
            return True
        seen[digest] = None
        while len(seen) > MAX_SEEN:
            seen.popitem(last=False)
        return False

    def add_effect(self, name: str, command_id: str) -> dict[str, bytes]:
        """The command was carried out; returns what to remember, in one commit with its effect."""
        segments = self._effects.setdefault(name, deque([_Segment()], SEGMENTS))
        if len(segments[-1].ids) >= SEGMENT_IDS:
            segments.append(_Segment(segments[-1].number + 1))
        segments[-1].ids[_digest(command_id)] = None
        return {_key(name, segments[-1].number): segments[-1].dump()}

    def restore(self, names: Iterable[str], recall: Callable[[str], bytes | None]) -> list[str]:
        """Takes over what was remembered of the commands ``names``; returns the keys that are damaged.

        No id of a damaged segment counts as a repeat.
        """
        damaged = []
        try:
            self._old = _read_old(recall(OLD_KEY) or b"")
        except ValueError:
            damaged.append(OLD_KEY)
        for name in names:
            segments = []
            for number in range(SEGMENTS):
                key = _key(name, number)
                try:
                    if data := recall(key):
                        segments.append(_read(data))
                except ValueError:
                    damaged.append(key)
            if segments:
                segments.sort(key=lambda segment: segment.number)
                self._effects[name] = deque(segments, SEGMENTS)
        return damaged


def _key(name: str, number: int) -> str:
    return f"{KEY}/{name}/{number % SEGMENTS}"


def _read(data: bytes) -> _Segment:
    number, separator, digests = data.partition(b"\0")
    if not separator or len(digests) % _DIGEST_BYTES or not number.isdigit():
        raise ValueError("ids of commands: cut off")
    return _Segment(int(number), dict.fromkeys(_split(digests)))


def _read_old(rest: bytes) -> dict[str, frozenset[bytes]]:
    """``NAME\\0COUNT\\0`` and COUNT digests, repeated."""
    effects = {}
    while rest:
        name, _, rest = rest.partition(b"\0")
        count, _, rest = rest.partition(b"\0")
        size = int(count) * _DIGEST_BYTES
        if not 0 < size <= len(rest):
            raise ValueError("ids of commands: cut off")
        effects[name.decode()] = frozenset(_split(rest[:size]))
        rest = rest[size:]
    return effects


def _split(digests: bytes) -> Iterable[bytes]:
    return (digests[at : at + _DIGEST_BYTES] for at in range(0, len(digests), _DIGEST_BYTES))


def _digest(command_id: str) -> bytes:
    return hashlib.sha256(command_id.encode()).digest()[:_DIGEST_BYTES]
