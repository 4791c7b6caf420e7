"""The log as the page shows it: a bounded ring, a filter, and batches that a browser can take. Pure."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.audit.entry import Entry
from agent.audit.findings import Report
from agent.runtime.sanitize import printable
from console.agent_views import LogLine
from console.pages.words import Kind, Translate, instant
from console.web.session import Session

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST_KEPT = 2_000
"""Lines of a page that stay searchable."""
MOST_SHOWN = 400
MOST_BATCH = 150
"""Lines that go to the browser at once; what comes faster is counted only."""
MOST_ENTRIES = 200


@dataclass(frozen=True, slots=True)
class LogFilter:
    """``level`` and above; each word stands in event, fields or level."""

    level: str = "info"
    words: str = ""

    def passes(self, line: LogLine) -> bool:
        known = line["level"] if line["level"] in LEVELS else "critical"
        if LEVELS.index(known) < LEVELS.index(self.level):
            return False
        if not self.words:
            return True
        text = f"{line['event']} {fields_text(line['fields'])} {line['level']}".casefold()
        return all(word in text for word in self.words.casefold().split())


class LogRing:
    """The newest lines, and those that the browser does not have yet."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MOST_KEPT)
        self._waiting: deque[LogLine] = deque(maxlen=MOST_BATCH)
        self._left_out = 0
        self.filter = LogFilter()

    def add(self, line: LogLine) -> None:
        """Takes a line of the agent."""
        self._lines.append(line)
        if self.filter.passes(line):
            self._left_out += len(self._waiting) == MOST_BATCH
            self._waiting.append(line)

    def batch(self) -> tuple[list[LogLine], int]:
        """The lines to add now, and how many before them are left out."""
        lines, left_out = list(self._waiting), self._left_out
        self._waiting.clear()
        self._left_out = 0
        return lines, left_out

    def chosen(self) -> list[LogLine]:
        """The newest lines that pass the filter; those that wait are among them, and wait no more."""
        self.batch()
        return [line for line in self._lines if self.filter.passes(line)][-MOST_SHOWN:]

    def clear(self) -> None:
        """The agent sends its last lines again."""
        self._lines.clear()
        self.batch()

    def text(self) -> str:
        """All lines that are kept, one JSON object a line, for a file."""
        return "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in self._lines)


def fields_text(fields: Mapping[str, Any]) -> str:
    """Fields of a line or an entry as ``name=value``."""
    shown = (
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}"
        for name, value in fields.items()
        if value is not None
    )
    return " ".join(shown)


def line_text(line: LogLine, session: Session) -> tuple[str, str]:
    """Kind and text of a line for `LineView`."""
    at = instant(line["at"])
    when = session.time(at) if at else str(line["at"])
    text = f"{when}  {line['level']:<8}  {line['event']}  {fields_text(line['fields'])}"
    return (line["level"] if line["level"] in LEVELS else "error"), printable(text)


HIDDEN = frozenset({"log", "key", "since", "device_key", "device_sig"})
"""Fields of an entry for verification, not for reading."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of the audit log."""

    n: int
    when: str
    kind: str
    who: str
    text: str

    def matches(self, words: str) -> bool:
        text = f"{self.n} {self.kind} {self.who} {self.text}".casefold()
        return all(word in text for word in words.casefold().split())


def entry_row(entry: Entry, session: Session) -> EntryRow:
    at = instant(entry.at)
    when = f"{at.astimezone(session.zone):%Y-%m-%d} {session.time(at)}" if at else entry.at
    fields = {name: value for name, value in entry.fields.items() if name not in HIDDEN}
    return EntryRow(entry.n, when, entry.kind, ", ".join(entry.who), printable(fields_text(fields)))


def verdict(report: Report, t: Translate) -> tuple[Kind, str]:
    """What a verification found, in one sentence."""
    if report.intact:
        text = t(
            "The audit log is intact: entries {first} to {last} are signed and in their order.",
            first=report.first, last=report.last,
        )  # fmt: skip
        return "good", " ".join((text, *report.notes))
    problems = "; ".join(map(str, report.problems[:5]))
    return "bad", t("The audit log is NOT intact: {problems}", problems=problems)
