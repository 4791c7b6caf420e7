"""The log as the page shows it: filtered, bounded, and never more than a browser can take."""

import json
from typing import Any

import pytest

from agent.audit.findings import Report
from console.agent_views import LogLine
from console.pages.log_view import (
    MOST_BATCH,
    MOST_KEPT,
    MOST_SHOWN,
    EntryRow,
    LogFilter,
    LogRing,
    line_text,
    verdict,
)
from console.web.session import Session

session = Session("token", "viewer")


def line(event: str = "connected", level: str = "info", **fields: Any) -> LogLine:
    return LogLine(at="2026-11-30T12:00:00Z", level=level, event=event, fields=fields)


@pytest.mark.parametrize(
    ("level", "words", "passes"),
    [
        ("info", "", True), ("debug", "", True), ("warning", "", True), ("error", "", False),
        ("info", "BROKER mqtt", True), ("info", "broker amqp", False), ("info", "serial", True),
        ("info", "warning", True), ("info", "3", True),
    ],
)  # fmt: skip
def test_filter(level: str, words: str, passes: bool) -> None:
    one = line("serial_silent", "warning", broker="mqtt://a", n=3)
    assert LogFilter(level, words).passes(one) is passes


def test_an_unknown_level_is_always_shown() -> None:
    assert LogFilter("critical").passes(line(level="dreadful"))
    assert line_text(line(level="dreadful"), session)[0] == "error"


def test_a_flood_is_counted_and_bounded() -> None:
    ring = LogRing()
    for number in range(5_000):
        ring.add(line(n=number))
    lines, left_out = ring.batch()
    assert (len(lines), left_out) == (MOST_BATCH, 5_000 - MOST_BATCH)
    assert lines[-1]["fields"] == {"n": 4_999}
    assert ring.batch() == ([], 0)
    assert len(ring.chosen()) == MOST_SHOWN
    assert len(ring.text().splitlines()) == MOST_KEPT


def test_a_new_filter_shows_what_is_kept_and_nothing_twice() -> None:
    ring = LogRing()
    for number in range(10):
        ring.add(line("alert_raised" if number % 2 else "connected", n=number))
    ring.filter = LogFilter(words="alert_raised")
    assert [one["fields"]["n"] for one in ring.chosen()] == [1, 3, 5, 7, 9]
    assert ring.batch() == ([], 0)
    ring.add(line("connected"))
    ring.add(line("alert_raised", n=11))
    assert [one["fields"] for one in ring.batch()[0]] == [{"n": 11}]
    ring.clear()
    assert ring.text() == ""


def test_hostile_text_stays_one_line_of_text() -> None:
    kind, text = line_text(line("<script>", "error", text="a\x1b[31m\nb\u202e", other={"<i>": [1]}), session)
    assert kind == "error"
    assert "<script>" in text
    assert text.isprintable()
    assert json.loads(LogRing().text() or "null") is None


def test_verdict_and_entries() -> None:
    report = Report(entries=4, first=3, last=6)
    kind, text = verdict(report, session.t)
    assert (kind, "3 to 6" in text) == ("good", True)
    report.add("missing", 4)
    kind, text = verdict(report, session.t)
    assert (kind, "entry 4: missing" in text) == ("bad", True)
    row = EntryRow(7, "", "order", "guard", "topic=config/desired")
    assert row.matches("ORDER desired")
    assert not row.matches("look")
