"""The files of an audit log: segments of entries, and the key of the next entry. Blocking, for one thread.

    audit/0000000001.jsonl   entries, one a line; a file is named after its first entry
    audit/key                the number and the key of the next entry, the hash of the last one
    audit/lock               held while the log is open for writing

A commit appends entries, waits for the disk, and only then replaces the key. A crash between the two leaves
entries newer than the key, and nothing missing: `open` derives the later keys from the older one, checks the
entries, and cuts off what is unfinished. Only a tail that is newer than the key is ever cut off.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.audit.chain_state import KEY, LOCK, ChainState, encode_state, lock_file, read_state, segments
from agent.audit.disk import Disk
from agent.audit.entry import ANCHORS, Draft, Entry, anchor_bytes, parse, public_key, seal
from agent.host.entropy import token_bytes, token_hex

SEGMENT_BYTES, SEGMENTS = 512_000, 16
"""The size at which a new file begins, and the number of files that are kept."""


class ChainFiles:
    """One log. `open` first; OSError on failure, and then again `open`."""

    def __init__(
        self,
        folder: Path,
        *,
        device_key: str = "",
        sign: Callable[[bytes], bytes] | None = None,
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        most_segments: int = SEGMENTS,
    ) -> None:
        """``sign`` signs with the device's own key, whose public half ``device_key`` is (hex)."""
        self.folder = folder
        self.found: dict[str, Any] = {}
        """What `open` found, as fields of the entry `start`."""
        self._device_key, self._sign = device_key, sign
        self._disk = disk or Disk()
        self._segment_bytes, self._most_segments = segment_bytes, most_segments
        self._state: ChainState | None = None
        self._path: Path | None = None
        self._size = 0
        self._unfinished = False
        self._is_new = False
        """Whether no entry names the next key, so that the next entry must name its own."""
        self._lock: int | None = None

    @property
    def state(self) -> ChainState:
        assert self._state is not None  # noqa: S101  `open` was called
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state is not None

    def open(self, expected: tuple[str, int] | None = None) -> None:
        """Locks the folder, and finds the end of the log. OSError where another process has it open.

        ``expected``: the id of the log and the number of an entry that was in it.
        """
        self._disk.make_folder(self.folder)
        if self._lock is None:
            self._lock = lock_file(self.folder / LOCK)
        try:
            state, found = self._recover()
            self._disk.replace(self.folder / KEY, encode_state(state))
        except BaseException:
            self.close()
            raise
        self._state, self.found = state, found
        if (
            expected is not None
            and "trouble" not in found
            and (state.log != expected[0] or state.n <= expected[1])
        ):
            lost = (
                f"log {expected[0]} with entry {expected[1]} is gone: deleted, or an older copy was put back"
            )
            found["trouble"] = lost
        self._is_new = state.n == 1 or "trouble" in found

    def close(self) -> None:
        self._state = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def commit(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Writes entries, on disk on return. OSError where the disk refuses: none is written then.

        The entries of ``drafts`` are the last of the result; others may be written before them.
        """
        state, lines, entries = self.state, bytearray(), list[Entry]()
        removed: list[Path] = []
        path, size = self._path, self._size
        if path is None or size >= self._segment_bytes:
            path, size = self.folder / f"{state.n:010d}.jsonl", 0
            removed = self._too_many()
            drafts = [*self._removal(removed, drafts), *drafts]
        if self._is_new and drafts[0].kind not in ANCHORS:
            drafts = [replace(drafts[0], kind="checkpoint", who=(), fields={}), *drafts]
        for draft in drafts:
            entry = parse(seal(self._anchored(draft, state), state.n, state.seed, state.before))
            entries.append(entry)
            lines += entry.line + b"\n"
            state = state.after(entry)
        if self._unfinished:
            self._disk.cut(path, size)
        self._unfinished = True
        self._disk.append(path, bytes(lines), is_new=path != self._path)
        self._unfinished = self._is_new = False
        self._path, self._size, self._state = path, size + len(lines), state
        with suppress(OSError):  # the next commit replaces it; a start derives the key from the older one
            self._disk.replace(self.folder / KEY, encode_state(state))
            for old in removed:
                self._disk.remove(old)
        return entries

    def _anchored(self, draft: Draft, state: ChainState) -> Draft:
        """An anchor with what the centre needs to check it."""
        if draft.kind not in ANCHORS:
            return draft
        key = public_key(state.seed)
        fields = {**draft.fields, "log": state.log, "key": key, "since": state.anchor}
        if self._sign is not None:
            signature = self._sign(anchor_bytes(state.log, state.n, state.before, key))
            fields |= {"device_key": self._device_key, "device_sig": signature.hex()}
        return replace(draft, fields=fields)

    def _too_many(self) -> list[Path]:
        return segments(self.folder)[: -(self._most_segments - 1) or None]

    def _removal(self, removed: Sequence[Path], drafts: Sequence[Draft]) -> list[Draft]:
        """For each removed file an entry, with its last entry: the disk may refuse between two."""
        ends = (next((entry for entry in reversed(_entries(path)) if entry), None) for path in removed)
        return [
            replace(
                drafts[0], kind="rotated", who=(), fields={"until": end.n, "hash": end.hash, "key": end.next}
            )
            for end in ends
            if end is not None
        ]

    def _recover(self) -> tuple[ChainState, dict[str, Any]]:
        """The state after the last entry, and what a reader should know about it."""
        state, files = read_state(self.folder), segments(self.folder)
        first = sum(int(path.stem) < state.n for path in files) - 1 if state else len(files)
        recent = files[max(0, min(first, len(files) - 2)) :]
        lines = [(path, line) for path in recent for line in path.read_bytes().splitlines(keepends=True)]
        known = [entry for entry in (_parse(line.rstrip(b"\n")) for _, line in lines) if entry is not None]
        last = known[-1] if known else None
        self._path = files[-1] if files else None
        self._size = files[-1].stat().st_size if files else 0
        if state is None:
            self._finish_line(lines)
            fresh = ChainState(token_hex(8), 1, token_bytes(32), "")
            if last is None:
                return fresh, {}
            trouble = f"the key of entry {last.n + 1} is missing; the log goes on with another"
            return replace(fresh, n=last.n + 1, before=last.hash), {"trouble": trouble}
        before = next((entry for entry in known if entry.n == state.n - 1), None)
        if state.n > 1 and (before is None or before.hash != state.before):
            self._finish_line(lines)
            return state, {"trouble": _missing(state.n, before, last)}
        state, end, found = self._newer_entries(state, lines)
        if self._path is not None and (torn := self._size - end):
            found["unfinished_bytes"] = torn
            self._disk.cut(self._path, end)
            self._size = end
        if (
            self._path is not None
        ):  # the process may have ended before the disk had them; the key moves on now
            self._disk.settle(self._path)
        self._finish_removal(known, files)
        return state, found

    def _finish_removal(self, known: Sequence[Entry], files: Sequence[Path]) -> None:
        """Removes the files that a `rotated` entry names, and that a crash left."""
        until = max(
            (int(entry.fields.get("until", 0)) for entry in known if entry.kind == "rotated"), default=0
        )
        for path, following in pairwise(files):
            if int(following.stem) <= until + 1:
                self._disk.remove(path)

    def _newer_entries(
        self, state: ChainState, lines: Sequence[tuple[Path, bytes]]
    ) -> tuple[ChainState, int, dict[str, Any]]:
        """Follows the entries that are newer than the key; where the last good one ends in its file."""
        last, end, offset = None, 0, 0
        for path, line in lines:
            if path != self._path:
                offset = 0
            else:
                offset += len(line)
            entry = _parse(line[:-1]) if line.endswith(b"\n") else None
            if entry is not None and state.precedes(entry):
                state = state.after(entry)
            elif entry is None or entry.n >= state.n:
                continue
            last = entry
            end = offset if path == self._path else 0
        found = {} if last is None else {"last": last.n, "last_at": last.at, "unclean": last.kind != "stop"}
        return state, end, found

    def _finish_line(self, lines: Sequence[tuple[Path, bytes]]) -> None:
        """Keeps a damaged end as a line of its own."""
        if self._path is not None and lines and not lines[-1][1].endswith(b"\n"):
            self._disk.append(self._path, b"\n")
            self._size += 1


def _missing(n: int, before: Entry | None, last: Entry | None) -> str:
    if before is not None:
        return f"entry {n - 1} was changed"
    first = 1 if last is None else last.n + 1
    return f"entries {first}-{n - 1} are missing" if first < n else f"entry {n - 1} is missing"


def _parse(line: bytes) -> Entry | None:
    try:
        return parse(line)
    except ValueError:
        return None


def _entries(path: Path) -> list[Entry | None]:
    return [_parse(line) for line in path.read_bytes().splitlines()]
