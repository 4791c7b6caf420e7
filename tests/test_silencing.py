"""A silenced alert is quiet and goes on; what makes it worse is heard."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from agent.alerts.active_list import active_fields
from agent.alerts.alert import Alert, AlertPolicy
from agent.alerts.alert_book import AlertBook
from agent.commands.requests import Command, SilenceAlert
from agent.control.silence import AlertSilencer
from agent.domain.escalation import AlarmOutput, EscalationSettings
from agent.domain.findings import Cleared, Finding

AT = datetime(2026, 11, 30, tzinfo=UTC)
SIREN = AlarmOutput(source="board", name="siren", ttl=timedelta(seconds=1000))
MINUTE = timedelta(seconds=60)
ESCALATES = EscalationSettings(output=SIREN).after(MINUTE)
PLAIN = AlertPolicy("rail", "switch", "warning", False, timedelta(0))
ESCALATING = AlertPolicy("rail", "switch", "warning", True, timedelta(0), ESCALATES)


class Book:
    """A book whose finding holds, told once a second."""

    def __init__(self, policy: AlertPolicy = PLAIN, boot: str = "b") -> None:
        self.policy = policy
        self.book = AlertBook(lambda: "a1", boot)
        self.sent: list[tuple[float, Alert]] = []
        self.second = 0
        self.finding = Finding(key="k", text="on", since=AT, since_s=0.0)

    def run(self, until: int, holds: bool = True) -> None:
        while self.second < until:
            at, now_s = AT + timedelta(seconds=self.second), float(self.second)
            stated = self.finding if holds else Cleared("k")
            alerts = [*self.book.on_finding(self.policy, stated, at, now_s), *self.book.tick(at, now_s)]
            self.sent += [(now_s, alert) for alert in alerts]
            self.second += 1

    def silence(self, for_s: float = 300) -> Alert | None:
        at = AT + timedelta(seconds=self.second)
        return self.book.silence("a1", for_s, "known", at, float(self.second))

    def since(self, second: int) -> list[float]:
        return [at_s for at_s, _ in self.sent if at_s >= second]


def test_repeats_of_an_unchanged_alert_are_quiet_and_it_stays_active() -> None:
    loud, quiet = Book(), Book()
    for book in (loud, quiet):
        book.run(5)
    alert = quiet.silence()
    assert alert is not None
    assert (alert.phase, alert.fields()["silenced"]["reason"]) == ("update", "known")
    for book in (loud, quiet):
        book.run(300)
    assert len(loud.since(5)) >= 4
    assert quiet.since(5) == []
    (listed,) = active_fields(quiet.book.active())["alerts"]
    assert listed["silenced"]["until"] == AT + timedelta(seconds=305)
    quiet.run(310)
    assert quiet.since(5) == [305.0]
    assert "silenced" not in quiet.sent[-1][1].fields()
    quiet.run(320, holds=False)
    assert [alert.phase for _, alert in quiet.sent][-1] == "end"


def test_a_change_is_told_all_the_same() -> None:
    book = Book()
    book.run(5)
    book.silence()
    book.finding = replace(book.finding, count=7)
    book.run(20)
    assert [alert.finding.count for at_s, alert in book.sent if at_s >= 5] == [7]
    assert book.book.active()[0].silence is not None


def test_the_first_escalation_breaks_through_and_its_repeats_do_not() -> None:
    book = Book(ESCALATING)
    book.run(30)
    book.silence(300)
    book.run(70)
    (escalated,) = [alert for at_s, alert in book.sent if at_s >= 30 and alert.escalation]
    assert (escalated.escalation, escalated.severity, escalated.silence) == (1, "critical", None)
    assert book.book.wanted_outputs("board", 70.0)
    book.silence(300)
    assert book.book.wanted_outputs("board", 70.0) == {}
    book.run(369)
    assert [at_s for at_s, alert in book.sent if at_s > 70 and alert.escalation > 1] == []
    book.run(375)  # the repeat that was due comes as the silence ends
    assert [alert.escalation for at_s, alert in book.sent if at_s > 365][-1] == 2
    assert book.book.wanted_outputs("board", 375.0)


def test_a_higher_severity_breaks_through() -> None:
    book = Book()
    book.run(5)
    book.silence()
    book.policy = replace(PLAIN, severity="critical")
    book.run(10)
    last = book.sent[-1][1]
    assert (last.severity, last.silence) == ("critical", None)


def test_zero_seconds_end_it_and_an_unknown_alert_has_none() -> None:
    book = Book()
    book.run(5)
    book.silence()
    alert = book.silence(0)
    assert alert is not None
    assert alert.silence is None
    assert book.book.silence("a2", 60, "x", AT, 5.0) is None


@pytest.mark.parametrize(
    ("boot", "at_s", "now_s", "left_s"),
    [("b", 100, 100.0, 205.0), ("c", 100, 7.0, 205.0), ("c", -9999, 7.0, 300.0), ("c", 9999, 7.0, 0.0)],
)
def test_it_survives_a_restart_and_a_reboot(boot: str, at_s: int, now_s: float, left_s: float) -> None:
    """A clock that is wrong after a reboot makes it no longer than it was."""
    book = Book()
    book.run(5)
    book.silence(300)
    again = Book(boot=boot)
    at = AT + timedelta(seconds=at_s)
    assert list(again.book.restore(book.book.dump(), {"rail": PLAIN}, at, now_s)) == []
    (alert,) = again.book.active()
    assert alert.silence is not None
    assert alert.silence.until_s - now_s == left_s


def test_the_command_is_on_disk_before_it_is_answered_and_names_the_active_alerts() -> None:
    book = Book()
    book.run(5)
    raised: list[Alert] = []

    async def scene() -> None:
        written = asyncio.get_running_loop().create_future()
        pipeline: Any = SimpleNamespace(
            book=book.book,
            raise_alerts=lambda alerts, _: raised.extend(alerts),
            buffer=SimpleNamespace(written=lambda: written),
        )
        silencer = AlertSilencer(pipeline)
        wanted = SilenceAlert(id="1", alert_id="a1", for_s=60, reason="known")
        answer = asyncio.ensure_future(silencer.command(wanted, {}))
        await asyncio.sleep(0.01)
        assert not answer.done()
        written.set_result(None)
        assert await answer == "succeeded"
        with pytest.raises(ValueError, match=r"no active alert 'a2'; known: a1"):
            await silencer.command(wanted.model_copy(update={"alert_id": "a2"}), {})
        with pytest.raises(ValueError, match=r"alert_id"):
            await silencer.command(Command(id="1"), {})

    asyncio.run(scene())
    assert [alert.alert_id for alert in raised] == ["a1"]
