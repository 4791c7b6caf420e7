"""The AlertBook with injected time: one id per occurrence, whatever happens in between."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest

from agent.alerts.active_alert import MAX_PRESENCES, REDISCOVERY_S
from agent.alerts.alert import Alert, AlertAnswer, AlertPolicy
from agent.alerts.alert_book import AlertBook
from agent.alerts.saved_alerts import _SAVED
from agent.alerts.update_policy import MAX_INTERVAL_S, UPDATE_EVERY_S
from agent.commands.commands import names_active_alert
from agent.domain.durations import format_duration
from agent.domain.escalation import MAX_REPEAT_INTERVAL, AlarmOutput, Escalation, EscalationSettings, Severity
from agent.domain.findings import Cleared, Finding, Point
from agent.domain.message import encode

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def terms(rule: str = "rail", cool_down_s: float = 0) -> AlertPolicy:
    return AlertPolicy(rule, "zone_dwell", "critical", False, timedelta(seconds=cool_down_s))


def finding(since_s: float = 0, number: int = 1) -> Finding:
    return Finding(key="rail-e", text="person", since=at(since_s), count=number, zone="rail-e", source="cam1")


@pytest.fixture
def book() -> AlertBook:
    numbers = count(1)
    return AlertBook(lambda: f"id-{next(numbers)}")


def told(alerts: Iterator[Alert]) -> list[tuple[str, str]]:
    return [(alert.alert_id, alert.phase) for alert in alerts]


def play(
    book: AlertBook, script: list[tuple[float, Finding | Cleared | None]], its: AlertPolicy
) -> list[tuple]:
    """What is told, with the second at which it is told; None is a tick."""
    heard = []
    for second, fact in script:
        alerts = (
            book.tick(at(second), second) if fact is None else book.on_finding(its, fact, at(second), second)
        )
        heard += [(second, *one) for one in told(alerts)]
    return heard


def test_an_alert_names_its_pictures_to_its_end_also_over_a_restart() -> None:
    asked: list[str] = []

    def request_pictures(alert: Alert, _: float) -> list[str]:
        asked.append(alert.alert_id)
        return [f"media/{alert.alert_id}/1"]

    first = AlertBook(lambda: "id-1", request_pictures=request_pictures)
    (new,) = first.on_finding(terms(), finding(), at(0), 0)
    after = AlertBook(lambda: "id-2", request_pictures=request_pictures)
    list(after.restore(first.dump(), {"rail": terms()}, at(60), 1000))
    (again,) = after.on_finding(terms(), finding(), at(61), 1001)
    (end,) = after.on_finding(terms(), Cleared("rail-e"), at(62), 1002)
    assert [one.phase for one in (new, again, end)] == ["new", "update", "end"]
    assert [one.fields()["media"] for one in (new, again, end)] == [["media/id-1/1"]] * 3
    assert asked == ["id-1"]
    (bare,) = AlertBook(lambda: "id-3").on_finding(terms(), finding(), at(0), 0)
    assert "media" not in bare.fields()


def test_a_fact_is_new_once_then_updated_then_ended(book: AlertBook) -> None:
    script: list[tuple[float, Finding | Cleared | None]] = [(second, finding()) for second in range(36)]
    script.append((36, Cleared("rail-e")))
    assert play(book, script, terms()) == [
        (0, "id-1", "new"),
        (UPDATE_EVERY_S, "id-1", "update"),
        (3 * UPDATE_EVERY_S, "id-1", "update"),
        (36, "id-1", "end"),
    ]
    assert book.active() == []


def updated(book: AlertBook, facts: Callable[[int], Finding], until_s: int) -> list[float]:
    """The seconds at which what is found each second is told."""
    return [second for second, _, _ in play(book, [(n, facts(n)) for n in range(until_s)], terms())]


def silent(second: int) -> Finding:
    return Finding(key="gnss", text=f"gnss silent for {second} s", since=START, source="gnss")


@pytest.mark.slow
def test_what_goes_on_unchanged_is_told_ever_more_seldom(book: AlertBook) -> None:
    """Whatever counts the seconds is told some 150 times a day, and not 8,640 times."""
    told_at = updated(book, silent, 86_400)
    assert told_at[:8] == [0, 10, 30, 70, 150, 310, 630, 630 + MAX_INTERVAL_S]
    assert {then - before for before, then in pairwise(told_at[6:])} == {MAX_INTERVAL_S}
    assert len(told_at) < 155


@pytest.mark.parametrize(
    ("change", "told_s"),
    [
        ({"count": 2}, 1000),
        ({"zone": "rail-w"}, 1000),
        ({"text": "gnss silent for 3 h; not seen for 5 s"}, 1000),
        ({"point": Point(32.0001, 118.0, 3.0, "ground_plane")}, 1000),
        ({"point": Point(32.00001, 118.0, 3.0, "ground_plane")}, 1230),
        ({"point": Point(32.0001, 118.0, 30.0, "ground_plane")}, 1230),
        ({"point": None}, 1230),
        ({"text": "gnss silent for 3 min"}, 1230),
        ({"score": 0.9}, 1230),
    ],
)
def test_what_changed_is_told_at_once_however_long_it_was_the_same(
    book: AlertBook, change: dict[str, Any], told_s: float
) -> None:
    before = replace(silent(0), point=Point(32.0, 118.0, 3.0, "ground_plane"))
    assert updated(book, lambda n: before if n < 1000 else replace(before, **change), 1235)[7] == told_s


@pytest.mark.parametrize(
    ("box", "told_s"),
    [
        ((0.1, 0.1, 0.2, 0.3), 1230),
        ((0.15, 0.1, 0.25, 0.3), 1230),
        ((0.25, 0.1, 0.35, 0.3), 1000),
        (None, 1230),
    ],
)
def test_without_a_place_on_the_ground_the_one_in_the_picture_counts(
    book: AlertBook, box: Any, told_s: float
) -> None:
    before = replace(silent(0), box=(0.1, 0.1, 0.2, 0.3))
    assert updated(book, lambda n: before if n < 1000 else replace(before, box=box), 1235)[7] == told_s


def test_after_a_change_it_is_told_often_again(book: AlertBook) -> None:
    facts = updated(book, lambda n: finding(number=1 if n < 1000 else 2), 1100)
    assert facts[7:] == [1000, 1010, 1030, 1070]


def test_what_changes_all_the_time_is_told_no_oftener_than_before(book: AlertBook) -> None:
    def on_the_way(n: int) -> Finding:
        return replace(silent(n), point=Point(32 + n * 1e-4, 118.0, 3.0, "ais"))

    assert updated(book, on_the_way, 60) == [0, 10, 20, 30, 40, 50]


def test_a_contact_that_bounces_tells_its_over_once(book: AlertBook) -> None:
    """It waits for its answer; each time it was on for less than what is told."""
    its, heard = asking(), []
    for tenth in range(0, 20, 2):
        heard += list(book.on_finding(its, finding(), at(tenth / 10), tenth / 10))
        heard += list(book.on_finding(its, Cleared("rail-e"), at(tenth / 10 + 0.1), tenth / 10 + 0.1))
    assert [(alert.phase, alert.cleared) for alert in heard[:2]] == [("new", False), ("update", True)]
    assert len(heard) <= 4
    (active,) = book.active()
    assert active.cleared


def test_what_changed_too_soon_to_be_told_is_told_though_nobody_says_it_again(book: AlertBook) -> None:
    """A switch and a crossing are said once: the button is pressed still, and two have crossed."""
    list(book.on_finding(terms(), finding(number=1), at(0), 0))
    assert told(book.on_finding(terms(), finding(number=2), at(0.4), 0.4)) == []
    assert told(book.tick(at(0.8), 0.8)) == []
    (late,) = book.tick(at(1.8), 1.8)
    assert (late.phase, late.finding.count, late.at) == ("update", 2, at(1.8))
    assert [one for second in range(3, 900) for one in book.tick(at(second), second)] == []

    list(book.on_finding(asking(), finding(), at(1000), 1000))
    list(book.on_finding(asking(), Cleared("rail-e"), at(1010), 1010))
    list(book.on_finding(asking(), finding(), at(1010.2), 1010.2))
    assert [one.cleared for one in book.on_finding(asking(), Cleared("rail-e"), at(1010.4), 1010.4)] == [True]
    assert told(book.on_finding(asking(), finding(), at(1010.6), 1010.6)) == []
    assert [one.cleared for one in book.tick(at(1012), 1012)] == [False]


def test_an_answer_is_told_once(book: AlertBook) -> None:
    (alert,) = book.on_finding(asking(), finding(), at(0), 0)
    assert len([*book.tick(at(61), 61)]) == 1
    assert book.acknowledge(alert.alert_id, "watch-officer", "ack", at(70)) is not None
    assert [one for second in range(71, 900) for one in book.tick(at(second), second)] == []


def test_its_end_says_how_it_was_at_last_and_not_when_it_was_told(book: AlertBook) -> None:
    play(book, [(n, silent(n)) for n in range(1000)], terms())
    (active,) = book.active()
    (end,) = book.on_finding(terms(), Cleared("gnss"), at(1000), 1000)
    assert (active.text, end.text) == ("gnss silent for 999 s", "gnss silent for 999 s")


def test_a_changed_count_is_told_within_a_second(book: AlertBook) -> None:
    script = [(0.0, finding()), (0.4, finding(number=2)), (1.2, finding(number=2)), (1.4, finding(number=2))]
    assert play(book, script, terms()) == [(0.0, "id-1", "new"), (1.2, "id-1", "update")]


def test_another_occurrence_has_another_id(book: AlertBook) -> None:
    script = [(0.0, finding()), (1.0, Cleared("rail-e")), (2.0, finding(2))]
    assert [one[1:] for one in play(book, script, terms())] == [
        ("id-1", "new"),
        ("id-1", "end"),
        ("id-2", "new"),
    ]


def test_what_comes_back_within_the_cool_down_is_the_same_alert(book: AlertBook) -> None:
    script = [
        (0.0, finding()),
        (5.0, Cleared("rail-e")),
        (6.0, None),
        (7.0, finding()),
        (20.0, None),
        (30.0, Cleared("rail-e")),
        (35.0, Cleared("rail-e")),
        (39.0, None),
        (40.0, None),
    ]
    assert play(book, script, terms(cool_down_s=10)) == [(0.0, "id-1", "new"), (40.0, "id-1", "end")]


def test_over_without_an_alert_says_nothing(book: AlertBook) -> None:
    assert play(book, [(0.0, Cleared("rail-e")), (1.0, None)], terms()) == []


def test_a_restart_keeps_the_id_and_the_beginning(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    assert told(after.restore(book.dump(), {"rail": terms()}, at(60), 1000)) == []
    (alert,) = after.on_finding(terms(), finding(80), at(81), 1021)
    assert (alert.alert_id, alert.phase, alert.finding.since) == ("id-1", "update", at(0))
    assert told(after.on_finding(terms(), Cleared("rail-e"), at(90), 1030)) == [("id-1", "end")]


def test_what_is_not_found_again_after_a_restart_ends_and_says_why(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    list(after.restore(book.dump(), {"rail": terms()}, at(60), 1000))
    assert told(after.tick(at(100), 1000 + REDISCOVERY_S)) == []
    (alert,) = after.tick(at(200), 1001 + REDISCOVERY_S)
    assert (alert.alert_id, alert.phase, alert.reason) == ("id-1", "end", "not seen again after a restart")


def test_an_alert_whose_rule_is_gone_ends_at_the_restart(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(0), at(0), 0))
    after = AlertBook(lambda: "another")
    (alert,) = after.restore(book.dump(), {}, at(60), 1000)
    assert (alert.phase, alert.reason) == ("end", "its rule is no longer configured")


def test_damaged_memory_is_refused(book: AlertBook) -> None:
    with pytest.raises(ValueError, match="Invalid JSON"):
        list(book.restore(b"{half", {}, at(0), 0))


def test_an_acknowledgement_is_kept_with_the_alert(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(), at(0), 0))
    alert = book.acknowledge("id-1", "dispatcher", "ack", at(3))
    assert alert is not None
    assert alert.fields()["acknowledged"] == {"role": "dispatcher", "action": "ack", "at": at(3)}
    (later,) = book.on_finding(terms(), finding(number=3), at(20), 20)
    assert later.acknowledged == alert.acknowledged
    assert book.acknowledge("id-9", "dispatcher", "ack", at(3)) is None
    for alert_id, named in (("id-1", True), ("id-9", False), (5, False)):
        ack = encode({"alert_id": alert_id, "role": "dispatcher", "action": "ack"})
        assert names_active_alert(book, ack) is named


ESCALATION = Escalation(
    after=timedelta(seconds=60),
    repeat=timedelta(seconds=30),
    times=3,
    severity="critical",
    output=AlarmOutput(source="board", name="siren", ttl=timedelta(seconds=20)),
)


def asking(
    severity: Severity = "warning", cool_down_s: float = 0, escalate: Escalation = ESCALATION
) -> AlertPolicy:
    """A rule whose alerts somebody has to answer."""
    return AlertPolicy("rail", "switch", severity, True, timedelta(seconds=cool_down_s), escalate)


def pass_time(
    book: AlertBook, start: float, end: float, fact: Finding | None = None
) -> list[tuple[float, Alert]]:
    """A tick and perhaps a finding each second; what is told, and when."""
    told = []
    for second in range(int(start), int(end)):
        alerts = [*book.tick(at(second), second)]
        alerts += book.on_finding(asking(), fact, at(second), second) if fact else []
        told += [(second, alert) for alert in alerts]
    return told


def test_what_nobody_answers_is_raised_again_louder_with_a_siren(book: AlertBook) -> None:
    (alert,) = book.on_finding(asking(), finding(), at(0), 0)
    assert (alert.severity, alert.fields()["need_ack"]) == ("warning", True)
    raised = [(second, one) for second, one in pass_time(book, 1, 300, finding()) if one.escalation]
    first = {one.escalation: second for second, one in reversed(raised)}
    assert first == {1: 60, 2: 90, 3: 120}
    fields = raised[0][1].fields()
    assert (fields["alert_id"], fields["phase"], fields["escalation"]) == ("id-1", "update", 1)
    assert (fields["severity"], fields["text"]) == ("critical", "person; nobody answered for 1m")
    assert raised[-1][1].text == "person; nobody answered for 2m, and it is not raised again"


def test_what_is_found_again_is_not_over_though_it_was_raised_again_before(book: AlertBook) -> None:
    """A push changed its rule when it had long been told seldom, and its escalation came first."""
    its = asking(escalate=replace(ESCALATION, after=timedelta(seconds=1500)))
    for second in range(1490):
        list(book.on_finding(its, finding(), at(second), second))
    assert list(book.recheck_rule(its, "its rule was changed", at(1490), 1490)) == []
    told = [one for second in range(1490, 1505) for one in book.tick(at(second), second)]
    assert [one.escalation for one in told] == [1]
    for second in range(1505, 2000):
        told += book.on_finding(its, finding(), at(second), second)
        told += book.tick(at(second), second)
    assert not any(one.cleared or one.phase == "end" for one in told)


def test_the_siren_is_wanted_for_its_time_each_time(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    seen = []
    for second in range(200):
        list(book.tick(at(second), second))
        seen.append("siren" in book.wanted_outputs("board", second))
    assert [second for second in range(1, 200) if seen[second] != seen[second - 1]] == [
        60,
        80,
        90,
        110,
        120,
        140,
    ]
    assert book.wanted_outputs("another", 60) == {}


def test_of_two_alerts_the_longer_counts(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    list(book.on_finding(replace(asking(), rule="other"), finding(), at(0), 5))
    for second in range(70):
        list(book.tick(at(second), second))
    assert book.wanted_outputs("board", 70) == {"siren": 15}


@pytest.mark.parametrize("action", ["ack", "close", "reject"])
def test_an_answer_ends_the_escalation_and_the_siren(book: AlertBook, action: str) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    pass_time(book, 1, 65, finding())
    assert book.wanted_outputs("board", 65)
    assert book.acknowledge("id-1", "dispatcher", action, at(65)) is not None
    assert book.wanted_outputs("board", 65) == {}
    assert {one.escalation for _, one in pass_time(book, 66, 400, finding())} <= {1}


def test_after_an_ack_it_ends_with_the_fact(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    list(book.tick(at(61), 61))
    alert = book.acknowledge("id-1", "dispatcher", "ack", at(65))
    assert alert is not None
    assert (alert.phase, alert.severity, alert.text) == ("update", "critical", "person")
    assert told(book.on_finding(asking(), Cleared("rail-e"), at(70), 70)) == [("id-1", "end")]


def test_a_press_that_is_over_is_not_forgotten_before_somebody_answers(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    (over,) = book.on_finding(asking(), Cleared("rail-e"), at(1), 1)
    assert (over.phase, over.fields()["over"]) == ("update", True)
    assert told(book.on_finding(asking(), Cleared("rail-e"), at(2), 2)) == []
    assert [one.escalation for _, one in pass_time(book, 3, 200)] == [1, 2, 3]
    assert [alert.alert_id for alert in book.active()] == ["id-1"]
    (again,) = book.on_finding(asking(), finding(201), at(201), 201)
    assert (again.alert_id, again.cleared, again.finding.since) == ("id-1", False, at(0))
    list(book.on_finding(asking(), Cleared("rail-e"), at(202), 202))
    ended = book.acknowledge("id-1", "dispatcher", "ack", at(210))
    assert ended is not None
    assert (ended.phase, ended.reason) == ("end", "answered by dispatcher")
    assert book.active() == []
    assert told(book.on_finding(asking(), finding(220), at(220), 220)) == [("id-2", "new")]


@pytest.mark.parametrize(
    ("action", "reason", "said"),
    [("close", None, "closed by chief"), ("reject", "a swimmer", "rejected by chief: a swimmer")],
)
def test_what_was_closed_is_not_told_again_until_it_was_over(
    book: AlertBook, action: str, reason: str | None, said: str
) -> None:
    list(book.on_finding(terms(), finding(), at(0), 0))
    ended = book.acknowledge("id-1", "chief", action, at(5), reason)
    assert ended is not None
    assert (ended.phase, ended.reason) == ("end", said)
    assert book.active() == []
    assert told(book.on_finding(terms(), finding(number=3), at(60), 60)) == []
    assert book.acknowledge("id-1", "chief", "ack", at(61)) is None
    after = AlertBook(lambda: "id-9")
    assert told(after.restore(book.dump(), {"rail": terms()}, at(70), 70)) == []
    assert told(after.on_finding(terms(), finding(number=4), at(71), 71)) == []
    assert not after.unsaved
    assert told(after.on_finding(terms(), Cleared("rail-e"), at(80), 80)) == []
    assert after.unsaved  # else a crash now would bring the silence back
    assert told(after.on_finding(terms(), finding(90), at(90), 90)) == [("id-9", "new")]


def test_what_was_closed_stays_so_through_its_cool_down(book: AlertBook) -> None:
    its = terms(cool_down_s=10)
    list(book.on_finding(its, finding(), at(0), 0))
    book.acknowledge("id-1", "chief", "close", at(5))
    script = [
        (6.0, Cleared("rail-e")),
        (8.0, finding()),
        (9.0, Cleared("rail-e")),
        (18.0, None),
        (19.0, None),
        (20.0, finding(20)),
    ]
    assert play(book, script, its) == [(20.0, "id-2", "new")]


def test_a_closed_alert_whose_fact_is_not_found_again_after_a_restart_is_forgotten(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(), at(0), 0))
    book.acknowledge("id-1", "chief", "close", at(5))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": terms()}, at(70), 0))
    assert told(after.tick(at(200), 1 + REDISCOVERY_S)) == []
    assert told(after.on_finding(terms(), finding(300), at(300), 300)) == [("id-9", "new")]


def test_closed_alerts_go_with_their_rule(book: AlertBook) -> None:
    list(book.on_finding(terms(), finding(), at(0), 0))
    book.acknowledge("id-1", "chief", "close", at(5))
    assert told(book.drop_rule("rail", at(6), "its rule was removed")) == []
    assert told(book.on_finding(terms(), finding(), at(7), 7)) == [("id-2", "new")]


def test_a_restart_in_the_same_boot_loses_no_second(book: AlertBook) -> None:
    first = AlertBook(lambda: "id-1", boot="a")
    list(first.on_finding(asking(), finding(), at(0), 1000))
    list(first.tick(at(61), 1061))
    after = AlertBook(lambda: "id-9", boot="a")
    assert told(after.restore(first.dump(), {"rail": asking()}, at(65), 1065)) == []
    assert after.wanted_outputs("board", 1065) == {"siren": 16}
    assert [one.escalation for one in after.tick(at(91), 1091)] == [2]


def test_after_a_reboot_the_time_to_answer_begins_anew() -> None:
    first = AlertBook(lambda: "id-1", boot="a")
    list(first.on_finding(asking(), finding(), at(0), 1000))
    list(first.tick(at(61), 1061))
    after = AlertBook(lambda: "id-9", boot="b")
    list(after.restore(first.dump(), {"rail": asking()}, at(300), 20))
    assert after.wanted_outputs("board", 20) == {}
    assert [(second, one.escalation) for second, one in pass_time(after, 21, 200)][:2] == [(50, 2), (80, 3)]


def test_what_is_over_and_unanswered_survives_a_restart(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    list(book.on_finding(asking(), Cleared("rail-e"), at(1), 1))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": asking()}, at(60), 1000))
    pass_time(after, 1000, 1400)
    (alert,) = after.active()
    assert (alert.alert_id, alert.cleared, alert.escalation) == ("id-1", True, 3)


def test_an_answer_survives_a_restart(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    book.acknowledge("id-1", "dispatcher", "ack", at(5))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": asking()}, at(60), 1000))
    heard = [one for _, one in pass_time(after, 1000, 1300, finding())]
    assert {one.escalation for one in heard} == {0}
    assert heard[0].acknowledged == AlertAnswer("dispatcher", "ack", at(5))


def test_what_is_not_found_again_after_a_restart_still_waits_for_its_answer(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": asking()}, at(60), 1000))
    heard = [one for _, one in pass_time(after, 1000, 1130) if one.cleared]
    assert (heard[0].phase, heard[0].reason) == ("update", "not seen again after a restart")


def test_an_answer_is_to_what_it_was_then_a_worse_severity_asks_again(book: AlertBook) -> None:
    list(book.on_finding(asking("info"), finding(), at(0), 0))
    book.acknowledge("id-1", "dispatcher", "ack", at(5))
    (worse,) = book.on_finding(asking("warning"), finding(), at(20), 20)
    assert (worse.acknowledged, worse.severity) == (None, "warning")
    assert [second for second, one in pass_time(book, 21, 100) if one.escalation] == [80]
    book.acknowledge("id-1", "dispatcher", "ack", at(101))
    (milder,) = book.on_finding(asking("info"), finding(), at(120), 120)
    assert milder.acknowledged is not None


def test_a_rule_that_no_longer_asks_raises_nothing_again(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    silent = replace(asking(), escalate=None)
    list(book.on_finding(silent, finding(), at(20), 20))
    assert list(book.tick(at(100), 100)) == []
    assert told(book.on_finding(silent, Cleared("rail-e"), at(101), 101)) == [("id-1", "end")]


@pytest.mark.parametrize("how", ["pushed", "restarted"])
def test_what_is_over_ends_once_its_rule_no_longer_asks(book: AlertBook, how: str) -> None:
    """Else it would be active for ever: the fact is over, and nobody has to answer."""
    list(book.on_finding(asking("critical"), finding(), at(0), 0))
    assert told(book.on_finding(asking("critical"), Cleared("rail-e"), at(1), 1)) == [("id-1", "update")]
    asks_no_more = replace(terms(), kind="switch")
    if how == "restarted":
        data, book = book.dump(), AlertBook(lambda: "id-9")
        assert list(book.restore(data, {"rail": asks_no_more}, at(2), 2)) == []
    else:
        list(book.recheck_rule(asks_no_more, "its rule was changed", at(2), 2))
    (end,) = [alert for second in range(3, 400) for alert in book.tick(at(second), second)]
    assert (end.alert_id, end.phase, end.reason) == ("id-1", "end", "its rule no longer asks for an answer")
    assert book.active() == []


@pytest.mark.parametrize("how", ["pushed", "restarted"])
def test_what_is_over_waits_for_its_answer_as_its_rule_says_now(book: AlertBook, how: str) -> None:
    list(book.on_finding(asking("critical"), finding(), at(0), 0))
    list(book.on_finding(asking("critical"), Cleared("rail-e"), at(1), 1))
    later = asking("critical", escalate=EscalationSettings().after(timedelta(seconds=300)))
    if how == "restarted":
        data, book = book.dump(), AlertBook(lambda: "id-9")
        list(book.restore(data, {"rail": later}, at(2), 2))
    else:
        list(book.recheck_rule(later, "its rule was changed", at(2), 2))
    raised = [second for second in range(3, 700) for alert in book.tick(at(second), second)]
    assert raised[0] == 300, "the time without an answer goes on"
    assert [alert.cleared for alert in book.active()] == [True]


def test_the_same_answer_again_is_the_first(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    book.acknowledge("id-1", "dispatcher", "ack", at(5))
    assert book.acknowledge("id-1", "dispatcher", "ack", at(9)) is None
    (active,) = book.active()
    assert active.acknowledged == AlertAnswer("dispatcher", "ack", at(5))
    other = book.acknowledge("id-1", "chief", "close", at(10))
    assert other is not None
    assert other.phase == "end"


def test_answers_that_were_given_before_are_silent_whoever_echoes_them(book: AlertBook) -> None:
    """Two centres that answer each update: today's 25 durable updates a second."""
    list(book.on_finding(asking(), finding(), at(0), 0))
    heard = []
    for tenth in range(300):
        role = "watch-officer" if tenth % 2 else "dispatcher"
        heard.append(book.acknowledge("id-1", role, "ack", at(10 + tenth / 10)))
    assert [one.acknowledged.role for one in heard if one and one.acknowledged] == ["dispatcher"]
    later = [one for second in range(11, 60) for one in book.tick(at(second), second)]
    assert [one.acknowledged.role for one in later if one.acknowledged] == ["watch-officer"]


def test_different_answers_are_told_at_most_once_a_second(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    heard: list[Alert] = []
    for tenth in range(300):
        now_s = 10 + tenth / 10
        answer = book.acknowledge("id-1", "dispatcher", "ack", at(now_s), f"reason {tenth}")
        heard += [answer] if answer else []
        heard += book.tick(at(now_s), now_s) if tenth % 10 == 9 else []
    assert len(heard) <= 31
    (active,) = book.active()
    assert active.acknowledged is not None
    assert active.acknowledged.reason == "reason 299"


@pytest.mark.slow
def test_without_times_it_is_raised_again_ever_more_seldom_until_somebody_answers(book: AlertBook) -> None:
    its = asking(escalate=EscalationSettings().after(timedelta(seconds=60)))
    list(book.on_finding(its, finding(), at(0), 0))
    raised = [second for second in range(1, 86_400) for _ in book.tick(at(second), second)]
    assert raised[:8] == [60, 120, 180, 240, 300, 420, 660, 1140]
    assert {later - before for before, later in pairwise(raised[10:])} == {
        MAX_REPEAT_INTERVAL.total_seconds()
    }
    (active,) = book.active()
    assert active.text == f"person; nobody answered for {format_duration(timedelta(seconds=raised[-1]))}"
    assert book.acknowledge("id-1", "chief", "ack", at(86_400)) is not None
    assert [one for second in range(86_400, 100_000) for one in book.tick(at(second), second)] == []


def test_an_interval_longer_than_the_longest_stays(book: AlertBook) -> None:
    its = asking(escalate=EscalationSettings(repeat=timedelta(hours=2)).after(timedelta(seconds=60)))
    list(book.on_finding(its, finding(), at(0), 0))
    raised = [second for second in range(0, 100_000, 10) for _ in book.tick(at(second), second)]
    assert {later - before for before, later in pairwise(raised)} == {7200}


def visitor(*numbers: int) -> Finding:
    return replace(finding(number=len(numbers)), presences=frozenset(numbers))


def test_six_who_come_one_after_the_other_are_each_told_though_the_first_was_answered(
    book: AlertBook,
) -> None:
    """Within 13 s of each other, so that the zone is never over."""
    its, news = asking("critical", cool_down_s=10), []
    for number in range(1, 7):
        second = 20 * number
        for second in range(20 * number, 20 * number + 15):
            for one in book.on_finding(its, visitor(number), at(second), second):
                if one.phase == "new":
                    news.append(one.alert_id)
                    assert book.acknowledge(one.alert_id, "watch-officer", "ack", at(second)) is not None
        list(book.on_finding(its, Cleared("rail-e"), at(second + 1), second + 1))
        list(book.tick(at(second + 2), second + 2))
    assert len(news) == len(set(news)) == 6


@pytest.mark.parametrize("action", ["ack", "close", "reject"])
def test_one_who_comes_after_the_answer_is_new_and_the_others_are_in_the_same_alert(
    book: AlertBook, action: str
) -> None:
    its = asking("critical")
    list(book.on_finding(its, visitor(1), at(0), 0))
    assert told(book.on_finding(its, visitor(1, 2), at(2), 2)) == [("id-1", "update")]
    book.acknowledge("id-1", "watch-officer", action, at(3))
    assert {phase for n in range(4, 60) for _, phase in told(book.on_finding(its, visitor(1), at(n), n))} <= {
        "update"
    }
    alerts = list(book.on_finding(its, visitor(1, 2, 3), at(60), 60))
    assert [(one.alert_id, one.phase) for one in alerts][-1] == ("id-2", "new")
    assert alerts[-1].acknowledged is None
    assert [one.phase for one in alerts[:-1]] == (["end"] if action == "ack" else [])
    assert [alert.alert_id for alert in book.active()] == ["id-2"]


@pytest.mark.parametrize("its", [asking("warning"), terms()])
def test_elsewhere_the_answer_is_for_all_who_come(book: AlertBook, its: AlertPolicy) -> None:
    list(book.on_finding(its, visitor(1), at(0), 0))
    book.acknowledge("id-1", "watch-officer", "ack", at(3))
    assert told(book.on_finding(its, visitor(1, 2), at(60), 60)) == [("id-1", "update")]


def test_who_stays_while_hundreds_pass_is_not_new_again(book: AlertBook) -> None:
    its = asking("critical")
    for number in range(1, 3 * MAX_PRESENCES):
        list(book.on_finding(its, visitor(1, number), at(number), number))
    book.acknowledge("id-1", "watch-officer", "ack", at(1000))
    for second in range(1000, 1060):
        assert {phase for _, phase in told(book.on_finding(its, visitor(1), at(second), second))} <= {
            "update"
        }


def test_after_a_restart_those_who_were_there_are_not_new(book: AlertBook) -> None:
    its = asking("critical")
    list(book.on_finding(its, visitor(7, 8), at(0), 0))
    book.acknowledge("id-1", "watch-officer", "ack", at(3))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": its}, at(60), 1000))
    for second, numbers in ((10, (1,)), (20, (1, 2)), (30, (1, 2))):
        alerts = told(after.on_finding(its, visitor(*numbers), at(60 + second), 1000 + second))
        assert {phase for _, phase in alerts} <= {"update"}
    assert told(after.on_finding(its, visitor(1, 2, 3), at(100), 1040))[-1] == ("id-9", "new")


def test_whoever_comes_long_after_a_restart_is_new_though_one_who_was_there_is_not_seen_again(
    book: AlertBook,
) -> None:
    its = asking("critical")
    list(book.on_finding(its, visitor(7, 8), at(0), 0))
    book.acknowledge("id-1", "watch-officer", "ack", at(3))
    after = AlertBook(lambda: "id-9")
    list(after.restore(book.dump(), {"rail": its}, at(60), 1000))
    list(after.on_finding(its, visitor(1), at(61), 1001))
    late_s = REDISCOVERY_S + 2
    assert told(after.on_finding(its, visitor(1, 2), at(60 + late_s), 1000 + late_s))[-1] == ("id-9", "new")


def test_fields_leave_out_what_is_not_known(book: AlertBook) -> None:
    (alert,) = book.on_finding(terms(), finding(), at(0), 0)
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


SAVED = (
    b'{"boot":"a","entries":[{"alert":{"alert_id":"id-1","phase":"new","terms":{"rule":"rail","kind":"zone_dwell",'
    b'"severity":"critical","need_ack":true,"cool_down":"PT10S","escalate":null,"patience":"PT20S",'
    b'"crowd":"people"},"finding":{"key":"rail-e","text":"person at rail for 20 s","since":"2026-11-27T18:00:00Z",'
    b'"source":"cam1","zone":"rail","label":"person","count":1,"score":0.7,"box":[0.35,0.5,0.45,0.8],"point":null,'
    b'"latency_s":0.05,"since_s":100.0,"lasted_s":20.0,"who":[1],"memo":null},"at":"2026-11-27T18:00:20Z",'
    b'"acknowledged":{"role":"dispatcher","action":"ack","at":"2026-11-27T18:00:25Z","reason":null},'
    b'"escalation":0,"over":true,"reason":null,"media":[],"silence":null,"verified":null,"second_look":null},'
    b'"told_s":120.0,"over_s":null,"doubt":null,"due_s":null,'
    b'"raised_s":null,"closed":false,"told":{"at_once":[1,"rail","critical",true,null],"words":"person at rail for ",'
    b'"place":null,"box":[0.35,0.5,0.45,0.8]},"wait_s":10.0,"behind":null,"known":[1],"spare":[0,0.0],'
    b'"answers":[["dispatcher","ack",null]]}]}'
)
"""Active alerts as they are on the disks of devices: every version reads and writes these keys."""


def test_the_keys_of_saved_alerts_stay() -> None:
    (entry,) = _SAVED.validate_json(SAVED).entries
    assert _SAVED.dump_json(_SAVED.validate_json(SAVED), by_alias=True) == SAVED
    for later in (b',"silence":null', b',"verified":null,"second_look":null'):  # older agents lack them
        assert _SAVED.validate_json(SAVED.replace(later, b"")).entries == [entry]
    assert (entry.announced_s, entry.known_presences, entry.alert.cleared) == (120.0, {1}, True)
    assert entry.alert.policy.rediscovery_time == timedelta(seconds=20)
    assert (entry.alert.policy.flood_label, entry.alert.finding.presences) == ("people", {1})


def test_changes_of_the_time_to_answer_do_not_put_it_off(book: AlertBook) -> None:
    """A push every ten seconds, each with another time: it is raised again when the latest one has passed."""
    list(book.on_finding(asking(), finding(), at(0), 0))
    first: dict[int, int] = {}
    for second in range(1, 130):
        if second % 10 == 0:
            after = timedelta(seconds=60 + second // 10 % 3)
            its = asking(escalate=replace(ESCALATION, after=after))
            assert list(book.change_policy(its, at(second), second)) == []
        for alert in book.tick(at(second), second):
            first.setdefault(alert.escalation, second)
    assert first == {1: 60, 2: 90, 3: 120}


def test_a_shorter_time_to_answer_counts_from_the_beginning(book: AlertBook) -> None:
    list(book.on_finding(asking(), finding(), at(0), 0))
    shorter = asking(escalate=replace(ESCALATION, after=timedelta(seconds=20)))
    assert list(book.change_policy(shorter, at(50), 50)) == []
    assert [alert.escalation for alert in book.tick(at(50), 50)] == [1]


def test_what_was_closed_stays_closed_under_a_graver_policy_and_for_those_who_were_there(
    book: AlertBook,
) -> None:
    known = replace(finding(), presences=frozenset({1}))
    list(book.on_finding(asking("info"), known, at(0), 0))
    assert book.acknowledge("id-1", "chief", "close", at(5)) is not None
    graver = asking("critical")
    assert list(book.change_policy(graver, at(10), 10)) == []
    assert list(book.on_finding(graver, known, at(20), 20)) == []
    newcomer = replace(finding(), presences=frozenset({1, 2}))
    assert told(book.on_finding(graver, newcomer, at(30), 30)) == [("id-2", "new")]
