"""The audit log of one device or centre: written by a thread that lives as long as entries wait.

Entries that come together are written together: one wait for the disk each time. Where the disk refuses,
entries wait in memory (`MAX_HELD`), and a `gap` entry says afterwards how many waited and how many were lost.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agent.audit.chain_files import ChainFiles
from agent.audit.draft import make_draft
from agent.audit.entry import ANCHORS, Draft, Entry
from agent.audit.entry_limit import EntryLimit, Source
from agent.domain.message import stamp
from agent.host.clock import monotonic_s, utc_now
from agent.host.threads import start_thread
from agent.runtime.error_text import describe_error

log = structlog.get_logger()

FOLDER = "audit"
"""The log's folder in the data folder."""
CHECKPOINT_ENTRIES, CHECKPOINT_S = 100, 3600.0
"""A checkpoint follows after so many entries, or so long after the first entry since the last one."""
MAX_HELD = 1000
"""Entries that wait in memory while the disk refuses; beyond that the oldest is lost and counted."""
GROUP = 64
"""Entries in one write."""
RETRY_S = 5.0
"""A disk that refused is tried again after this."""
WRITTEN_WITHIN_S = 2.0
"""How long `AuditLog.written` waits for a disk."""
CLOSED_WITHIN_S = 5.0


@dataclass(slots=True, eq=False)
class _Waiting:
    draft: Draft
    done: "Future[Entry] | None" = None
    """Of `append_durably`: such an entry does not wait in memory."""


class AuditLog:
    """``on_anchor`` is called on the writing thread with each entry that goes to the centre. ``expected``:
    the id of the log, and the number of an entry that it certainly has. Call `tick` about once a second."""

    def __init__(
        self,
        files: ChainFiles,
        on_anchor: Callable[[Entry], None] | None = None,
        expected: tuple[str, int] | None = None,
    ) -> None:
        self._files = files
        self._expected = expected
        self._on_anchor = on_anchor
        self._limit = EntryLimit()
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._appended = self._settled = 0
        """Entries that were queued, and entries that are on disk, refused or lost."""
        self._barriers: list[tuple[int, Future[bool]]] = []
        """Of `written`: the number of entries that must be settled, and whom to tell."""
        self._closing = False
        self._since_anchor, self._due_s = 0, float("inf")
        self._refused: tuple[str, str] | None = None
        """Since when the disk refuses, and why."""
        self._lost = 0
        self._retry_s = 0.0
        self._damage: str | None = None
        """What was found wrong when the log was opened."""
        self._works = False
        """Whether a thread writes what waits."""
        self._ended = threading.Event()

    def append(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None:
        """Queues an entry about key ids ``who``; returns at once, and never raises."""
        at, now_s = utc_now(), monotonic_s()
        with self._lock:
            command = str(fields.get("command" if who else "order", ""))
            if self._limit.admit(Source(kind, command, tuple(who)), fields, stamp(at), now_s):
                self._queue(_Waiting(make_draft(kind, who, fields)))
        self._wake()

    def append_durably(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> str:
        """Writes an entry; on disk on return. The hash of its line. Blocking. OSError where that fails."""
        done: Future[Entry] = Future()
        with self._lock:
            if self._closing:
                raise OSError("the audit log is closed")
            self._queue(_Waiting(make_draft(kind, who, fields), done))
        self._wake()
        return done.result().hash

    async def written(self) -> bool:
        """Whether all that was appended before is on disk; waits for a disk that works.

        False after `WRITTEN_WITHIN_S`, or where the disk refuses: the entries wait in memory.
        """
        settled: Future[bool] = Future()
        with self._lock:
            if self._refused is not None or self._settled >= self._appended:
                return self._refused is None
            self._barriers.append((self._appended, settled))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(settled), WRITTEN_WITHIN_S)
        except TimeoutError:
            return False

    @property
    def trouble(self) -> str | None:
        """The line for ``status``: entries are not written, or the log was found damaged."""
        if self._refused is not None:
            return f"audit log: entries wait in memory: {self._refused[1]}"
        return self._damage

    def tick(self) -> None:
        """Writes what is due: summaries, a checkpoint, and what a disk refused. About once a second."""
        with self._lock:
            now_s = monotonic_s()
            self._sum_up()
            if not self._waiting and now_s >= self._due_s:
                self._queue(_Waiting(make_draft("checkpoint", (), {})))
        self._wake()

    def close(self) -> None:
        """Writes what waits, and ends the log. Blocking."""
        with self._lock:
            self._closing = True
            self._sum_up(at_once=True)
        self._wake()
        self._ended.wait(CLOSED_WITHIN_S)

    def _sum_up(self, *, at_once: bool = False) -> None:
        for source, fields in self._limit.summaries(monotonic_s(), at_once=at_once):
            self._queue(_Waiting(make_draft(source.kind, source.who, fields)))

    def _queue(self, waiting: _Waiting) -> None:
        """Call `_wake` after that, without the lock."""
        self._waiting.append(waiting)
        self._appended += 1
        if len(self._waiting) > MAX_HELD:
            oldest = next((one for one in self._waiting if one.done is None), None)
            if oldest is not None:
                self._waiting.remove(oldest)
                self._settled += 1
                self._lost += 1

    def _wake(self) -> None:
        """Starts a thread where there is work and none works. It ends when all is written: an idle log has
        none, and a disk that hangs holds up no end of the process."""
        with self._lock:
            if self._works or not self._has_work():
                return
            self._works = True
        try:
            start_thread(self._work, "audit")
        except RuntimeError as error:  # no thread can be started: as a disk that refuses
            with self._lock:
                self._works = False
                group = self._take_group()
            self._on_refusal(group, OSError(str(error)))

    def _work(self) -> None:
        while True:
            with self._lock:
                group, closing = self._take_group(), self._closing
            if group:
                self._write(group)
            with self._lock:
                ends = closing and (not self._waiting or self._refused is not None)
                if not ends and self._has_work():
                    continue
                self._works = ends  # after the end no other starts
            break
        if ends:
            self._end()

    def _has_work(self) -> bool:
        if self._refused is not None:
            return self._closing or self._must_try()
        return bool(self._waiting) or self._closing

    def _must_try(self) -> bool:
        """Whether a disk that refused is tried again: now and then, and for each entry that is waited for."""
        return bool(self._waiting) and (
            monotonic_s() >= self._retry_s or any(one.done is not None for one in self._waiting)
        )

    def _take_group(self) -> list[_Waiting]:
        """The entries of the next write, in their order; where the disk refused, waited-for ones at once."""
        if self._refused is not None and not self._closing and not self._must_try():
            return []
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        if self._refused is not None:
            urgent = [one for one in self._waiting if one.done is not None][:GROUP]
            for one in urgent:
                self._waiting.remove(one)
            group += urgent
        return group

    def _write(self, group: list[_Waiting]) -> None:
        lost = self._lost
        try:
            if not self._files.is_open:
                self._files.open(self._expected)
                if trouble := self._files.found.get("trouble"):
                    self._damage = f"audit log: {trouble}"
                    log.error("audit_log_damaged", found=trouble)
            entries = self._files.commit(self._drafts(group, lost))
        except Exception as error:  # whatever it is, the log goes on
            if not isinstance(error, OSError):
                log.exception("audit_failed")
            self._on_refusal(group, error)
            return
        if self._refused is not None:
            self._refused = None
            log.info("audit_log_recovered")
        with self._lock:
            self._lost -= lost
        self._settle(len(group))
        for one, entry in zip(group, entries[-len(group) :], strict=True):
            if one.done is not None:
                one.done.set_result(entry)
        self._after_write(entries)

    def _drafts(self, group: Sequence[_Waiting], lost: int) -> list[Draft]:
        """The group's drafts: after a gap that entry first, and `start` with what was found on the disk."""
        drafts = [
            replace(one.draft, fields={**one.draft.fields, **self._files.found})
            if one.draft.kind == "start"
            else one.draft
            for one in group
        ]
        if self._refused is not None or lost:
            since, reason = self._refused or (None, "the disk took too long")
            held = len(group) + len(self._waiting)
            fields = {"since": since, "reason": reason, "held": held, "lost": lost}
            drafts.insert(0, make_draft("gap", (), fields))
        return drafts

    def _after_write(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.kind in ANCHORS:
                self._since_anchor, self._due_s = 0, float("inf")
                if self._on_anchor is not None:
                    self._on_anchor(entry)
            else:
                self._since_anchor += 1
                self._due_s = min(self._due_s, monotonic_s() + CHECKPOINT_S)
        if self._since_anchor >= CHECKPOINT_ENTRIES:
            self._since_anchor, self._due_s = 0, float("inf")
            with self._lock:
                self._queue(_Waiting(make_draft("checkpoint", (), {})))

    def _on_refusal(self, group: Sequence[_Waiting], error: Exception) -> None:
        """Entries that are waited for fail; the others wait on."""
        reason = describe_error(error)
        if self._refused is None:
            self._refused = stamp(utc_now()), reason
            log.error("audit_log_not_written", error=reason)
        self._retry_s = monotonic_s() + RETRY_S
        with self._lock:
            self._waiting.extendleft(one for one in reversed(group) if one.done is None)
        self._fail([one for one in group if one.done is not None], error)

    def _end(self) -> None:
        with self._lock:
            left = [one for one in self._waiting if one.done is not None]
        self._fail(left, OSError("the audit log is closed"))
        self._files.close()
        self._ended.set()

    def _fail(self, durable: Sequence[_Waiting], error: Exception) -> None:
        self._settle(len(durable))
        for one in durable:
            if one.done is not None:
                one.done.set_exception(error if isinstance(error, OSError) else OSError(str(error)))

    def _settle(self, count: int) -> None:
        """So many entries wait no more; tells those who wait for them."""
        with self._lock:
            self._settled += count
            refused = self._refused is not None
            due = [one for one in self._barriers if refused or one[0] <= self._settled]
            self._barriers = [one for one in self._barriers if one not in due]
        for _, settled in due:
            with suppress(InvalidStateError):  # whoever waited may have given up
                settled.set_result(not refused)
