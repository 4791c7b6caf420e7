"""The ids of commands that were seen, so that a repeated command is recognised and not carried out again."""

import hashlib
from collections import OrderedDict

MAX_SEEN = 256
"""Ids by command name that are recognised until a restart: of ``ping``, of rejected and expired commands."""
MAX_EFFECTS = 4096
"""Ids by command name of carried-out commands, which are recognised across restarts."""
_DIGEST_BYTES = 8


class SeenIds:
    """Bounded sets of id digests by command name. Not thread-safe."""

    def __init__(self) -> None:
        self._seen: dict[str, OrderedDict[bytes, None]] = {}
        self._effects: dict[str, OrderedDict[bytes, None]] = {}

    def is_repeat(self, name: str, command_id: str) -> bool:
        """Whether this id was seen before under this name; from now on it was."""
        digest = _digest(command_id)
        seen = self._seen.setdefault(name, OrderedDict())
        if digest in seen or digest in self._effects.get(name, ()):
            return True
        _add(seen, digest, MAX_SEEN)
        return False

    def add_effect(self, name: str, command_id: str) -> None:
        """The command was carried out: its id is part of `dump`."""
        _add(self._effects.setdefault(name, OrderedDict()), _digest(command_id), MAX_EFFECTS)

    def dump(self) -> bytes:
        """The ids of carried-out commands, for `restore`: ``NAME\\0COUNT\\0`` and COUNT digests, repeated."""
        return b"".join(
            name.encode() + b"\0" + str(len(ids)).encode() + b"\0" + b"".join(ids)
            for name, ids in self._effects.items()
        )

    def restore(self, data: bytes | None) -> None:
        """Takes over a dump. ValueError where it is damaged; then no command counts as a repeat."""
        effects: dict[str, OrderedDict[bytes, None]] = {}
        rest = data or b""
        while rest:
            name, _, rest = rest.partition(b"\0")
            count, _, rest = rest.partition(b"\0")
            size = int(count) * _DIGEST_BYTES
            if not 0 < size <= len(rest):
                raise ValueError("ids of commands: cut off")
            digests = (rest[at : at + _DIGEST_BYTES] for at in range(0, size, _DIGEST_BYTES))
            effects[name.decode()] = OrderedDict.fromkeys(digests)
            rest = rest[size:]
        self._effects = effects


def _digest(command_id: str) -> bytes:
    return hashlib.sha256(command_id.encode()).digest()[:_DIGEST_BYTES]


def _add(ids: OrderedDict[bytes, None], digest: bytes, max_count: int) -> None:
    """Adds an id, and drops the oldest where there are too many."""
    ids[digest] = None
    while len(ids) > max_count:
        ids.popitem(last=False)
