"""What the next entry of an audit log needs, its file, and the files of a log by name."""

import fcntl
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from agent.audit.entry import ANCHORS, Entry, next_seed, public_key
from agent.domain.message import encode

KEY, LOCK = "key", "lock"


class LogInUseError(OSError):
    """Another process has the log open."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """What the next entry needs. ``anchor``: number and hash of the newest entry that goes to the centre."""

    log: str
    n: int
    seed: bytes
    before: str
    anchor: tuple[int, str] | None = None

    def after(self, entry: Entry) -> "ChainState":
        """The state once ``entry`` is the last one."""
        anchor = (entry.n, entry.hash) if entry.kind in ANCHORS else self.anchor
        return replace(self, n=entry.n + 1, seed=next_seed(self.seed), before=entry.hash, anchor=anchor)

    def precedes(self, entry: Entry) -> bool:
        """Whether ``entry`` is the next one, signed with this key."""
        linked = (entry.n, entry.before) == (self.n, self.before)
        return linked and entry.signed_by(public_key(self.seed))


def read_state(folder: Path) -> ChainState | None:
    """The content of the key file; None where it is absent or damaged. OSError where it can't be read."""
    try:
        body = json.loads((folder / KEY).read_bytes())
        anchor = body["anchor"]
        return ChainState(
            log=str(body["log"]),
            n=int(body["n"]),
            seed=bytes.fromhex(body["seed"]),
            before=str(body["before"]),
            anchor=None if anchor is None else (int(anchor[0]), str(anchor[1])),
        )
    except (FileNotFoundError, KeyError, TypeError, ValueError, IndexError):
        return None


def segments(folder: Path) -> list[Path]:
    """The files with entries, oldest first."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())


def encode_state(state: ChainState) -> bytes:
    fields = {"log": state.log, "n": state.n, "seed": state.seed.hex(), "before": state.before}
    return encode({**fields, "anchor": state.anchor})


def lock_file(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LogInUseError(error.errno, "another process writes this audit log", str(path.parent)) from error
    return descriptor
