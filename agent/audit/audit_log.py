"""The audit log of one device or centre, with a thread of its own.

Entries that come together are written together: one wait for the disk each time. Where the disk refuses,
entries wait in memory (`MAX_HELD`), and a `gap` entry says afterwards how many waited and how many were lost.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agent.audit.chain_files import ChainFiles
from agent.audit.entry import ANCHORS, Draft, Entry, encodable
from agent.audit.entry_limit import EntryLimit, Source
from agent.domain.message import stamp
from agent.host.clock import boot_id, monotonic_s, utc_now
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


def make_draft(kind: str, who: Sequence[str], fields: Mapping[str, Any]) -> Draft:
    """An entry of this instant."""
    at, now_s = stamp(utc_now()), round(monotonic_s(), 3)
    return Draft(kind, at, boot_id()[:8], now_s, tuple(who), encodable(fields))


@dataclass(slots=True, eq=False)
class _Waiting:
    draft: Draft
    done: "Future[Entry] | None" = None
    """Of `append_durably`: such an entry does not wait in memory."""


class AuditLog:
    """``on_anchor`` is called on the log's thread with each entry that goes to the centre. ``expected``: the
    id of the log, and the number of an entry that it certainly has."""

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
        self._condition = threading.Condition()
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
        self._thread: threading.Thread | None = None

    def append(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None:
        """Queues an entry about key ids ``who``; returns at once, and never raises."""
        at, now_s = utc_now(), monotonic_s()
        with self._condition:
            command = str(fields.get("command" if who else "order", ""))
            if self._limit.admit(Source(kind, command, tuple(who)), fields, stamp(at), now_s):
                self._queue(_Waiting(make_draft(kind, who, fields)))

    def append_durably(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> str:
        """Writes an entry; on disk on return. The hash of its line. Blocking. OSError where that fails."""
        done: Future[Entry] = Future()
        with self._condition:
            if self._closing:
                raise OSError("the audit log is closed")
            self._queue(_Waiting(make_draft(kind, who, fields), done))
        return done.result().hash

    async def written(self) -> bool:
        """Whether all that was appended before is on disk; waits for a disk that works.

        False after `WRITTEN_WITHIN_S`, or where the disk refuses: the entries wait in memory.
        """
        settled: Future[bool] = Future()
        with self._condition:
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

    def close(self) -> None:
        """Writes what waits, and ends the thread. Blocking."""
        with self._condition:
            self._closing = True
            self._sum_up(at_once=True)
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(CLOSED_WITHIN_S)

    def _sum_up(self, *, at_once: bool = False) -> None:
        for source, fields in self._limit.summaries(monotonic_s(), at_once=at_once):
            self._queue(_Waiting(make_draft(source.kind, source.who, fields)))

    def _queue(self, waiting: _Waiting) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()
        self._waiting.append(waiting)
        self._appended += 1
        if len(self._waiting) > MAX_HELD:
            oldest = next((one for one in self._waiting if one.done is None), None)
            if oldest is not None:
                self._waiting.remove(oldest)
                self._settled += 1
                self._lost += 1
        self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(self._has_work, timeout=1.0)
                now_s = monotonic_s()
                self._sum_up()
                if not self._waiting and now_s >= self._due_s:
                    self._queue(_Waiting(make_draft("checkpoint", (), {})))
                group = self._take_group()
                closing = self._closing
            if group:
                self._write(group)
            if closing and (not self._waiting or self._refused is not None):
                self._end()
                return

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
        with self._condition:
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
            with self._condition:
                self._queue(_Waiting(make_draft("checkpoint", (), {})))

    def _on_refusal(self, group: Sequence[_Waiting], error: Exception) -> None:
        """Entries that are waited for fail; the others wait on."""
        reason = describe_error(error)
        if self._refused is None:
            self._refused = stamp(utc_now()), reason
            log.error("audit_log_not_written", error=reason)
        self._retry_s = monotonic_s() + RETRY_S
        with self._condition:
            self._waiting.extendleft(one for one in reversed(group) if one.done is None)
        self._fail([one for one in group if one.done is not None], error)

    def _end(self) -> None:
        with self._condition:
            left = [one for one in self._waiting if one.done is not None]
        self._fail(left, OSError("the audit log is closed"))
        self._files.close()

    def _fail(self, durable: Sequence[_Waiting], error: Exception) -> None:
        self._settle(len(durable))
        for one in durable:
            if one.done is not None:
                one.done.set_exception(error if isinstance(error, OSError) else OSError(str(error)))

    def _settle(self, count: int) -> None:
        """So many entries wait no more; tells those who wait for them."""
        with self._condition:
            self._settled += count
            refused = self._refused is not None
            due = [one for one in self._barriers if refused or one[0] <= self._settled]
            self._barriers = [one for one in self._barriers if one not in due]
        for _, settled in due:
            with suppress(InvalidStateError):  # whoever waited may have given up
                settled.set_result(not refused)
