"""The AlertBook with injected time: one id per occurrence, whatever happens in between."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from agent.alerts import FOUND_AGAIN_WITHIN_S, UPDATE_EVERY_S, Alert, AlertBook, Terms
from agent.parts import Finding, Over

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def terms(rule: str = "rail", cool_down_s: float = 0) -> Terms:
    return Terms(rule, "zone_dwell", "critical", False, timedelta(seconds=cool_down_s))


def finding(since_s: float = 0, number: int = 1) -> Finding:
    return Finding(key="rail-e", text="person", since=at(since_s), count=number, zone="rail-e", source="cam1")


@pytest.fixture
def book() -> AlertBook:
    numbers = count(1)
    return AlertBook(lambda: f"id-{next(numbers)}")


def told(alerts: Iterator[Alert]) -> list[tuple[str, str]]:
    return [(alert.alert_id, alert.phase) for alert in alerts]


def play(book: AlertBook, script: list[tuple[float, Finding | Over | None]], its: Terms) -> list[tuple]:
    """What is told, with the second at which it is told; None is a tick."""
    heard = []
    for second, fact in script:
        alerts = book.tick(at(second), second) if fact is None else book.take(its, fact, at(second), second)
        heard += [(second, *one) for one in told(alerts)]
    return heard


def test_a_fact_is_new_once_then_updated_then_ended(book: AlertBook) -> None:
    script: list[tuple[float, Finding | Over | None]] = [(second, finding()) for second in range(26)]
    script.append((26, Over("rail-e")))
    assert play(book, script, terms()) == [
        (0, "id-1", "new"),
        (UPDATE_EVERY_S, "id-1", "update"),
        (2 * UPDATE_EVERY_S, "id-1", "update"),
        (26, "id-1", "end"),
    ]
    assert book.active() == []


def test_a_changed_count_is_told_within_a_second(book: AlertBook) -> None:
    script = [(0.0, finding()), (0.4, finding(number=2)), (1.2, finding(number=2)), (1.4, finding(number=2))]
    assert play(book, script, terms()) == [(0.0, "id-1", "new"), (1.2, "id-1", "update")]


def test_another_occurrence_has_another_id(book: AlertBook) -> None:
    script = [(0.0, finding()), (1.0, Over("rail-e")), (2.0, finding(2))]
    assert [one[1:] for one in play(book, script, terms())] == [
        ("id-1", "new"),
        ("id-1", "end"),
        ("id-2", "new"),
    ]


def test_what_comes_back_within_the_cool_down_is_the_same_alert(book: AlertBook) -> None:
    script = [
        (0.0, finding()),
        (5.0, Over("rail-e")),
        (6.0, None),
        (7.0, finding()),
        (20.0, None),
        (30.0, Over("rail-e")),
        (35.0, Over("rail-e")),
        (39.0, None),
        (40.0, None),
    ]
    assert play(book, script, terms(cool_down_s=10)) == [(0.0, "id-1", "new"), (40.0, "id-1", "end")]


def test_over_without_an_alert_says_nothing(book: AlertBook) -> None:
    assert play(book, [(0.0, Over("rail-e")), (1.0, None)], terms()) == []


def test_a_restart_keeps_the_id_and_the_beginning(book: AlertBook) -> None:
    list(book.take(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    assert told(after.restore(book.dump(), {"rail": terms()}, at(60), 1000)) == []
    (alert,) = after.take(terms(), finding(80), at(81), 1021)
    assert (alert.alert_id, alert.phase, alert.finding.since) == ("id-1", "update", at(0))
    assert told(after.take(terms(), Over("rail-e"), at(90), 1030)) == [("id-1", "end")]


def test_what_is_not_found_again_after_a_restart_ends_and_says_why(book: AlertBook) -> None:
    list(book.take(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    list(after.restore(book.dump(), {"rail": terms()}, at(60), 1000))
    assert told(after.tick(at(100), 1000 + FOUND_AGAIN_WITHIN_S)) == []
    (alert,) = after.tick(at(200), 1001 + FOUND_AGAIN_WITHIN_S)
    assert (alert.alert_id, alert.phase, alert.reason) == ("id-1", "end", "not seen again after a restart")


def test_an_alert_whose_rule_is_gone_ends_at_the_restart(book: AlertBook) -> None:
    list(book.take(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    (alert,) = after.restore(book.dump(), {}, at(60), 1000)
    assert (alert.phase, alert.reason) == ("end", "its rule is no longer configured")


def test_damaged_memory_is_refused(book: AlertBook) -> None:
    with pytest.raises(ValueError, match="Invalid JSON"):
        list(book.restore(b"{half", {}, at(0), 0))


def test_an_acknowledgement_is_kept_with_the_alert(book: AlertBook) -> None:
    list(book.take(terms(), finding(), at(0), 0))
    alert = book.acknowledge("id-1", "dispatcher", "ack", at(3))
    assert alert is not None
    assert alert.fields()["acknowledged"] == {"role": "dispatcher", "action": "ack", "at": at(3)}
    (later,) = book.take(terms(), finding(number=3), at(20), 20)
    assert later.acknowledged == alert.acknowledged
    assert book.acknowledge("id-9", "dispatcher", "ack", at(3)) is None


def test_fields_leave_out_what_is_not_known(book: AlertBook) -> None:
    (alert,) = book.take(terms(), finding(), at(0), 0)
    assert alert.fields() == {
        "alert_id": "id-1",
        "phase": "new",
        "kind": "zone_dwell",
        "rule": "rail",
        "severity": "critical",
        "text": "person",
        "camera": "cam1",
        "zone": "rail-e",
        "count": 1,
        "since": at(0),
    }
