"""``alerts/active``: whoever comes late must see the gravest first, and how many are missing."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.active_list import active_fields
from agent.alerts.alert import Alert, AlertAnswer, AlertPolicy
from agent.domain.escalation import Severity
from agent.domain.findings import Finding
from agent.domain.message import MAX_BODY, encode

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def alert(number: int, severity: Severity, *, answered: bool = False, text: str = "t") -> Alert:
    finding = Finding(key=str(number), text=text, since=START + timedelta(seconds=number))
    terms = AlertPolicy("rule", "switch", severity, True, timedelta(0))
    answer = AlertAnswer("watch-officer", "ack", START) if answered else None
    return Alert(f"a{number}", "new", terms, finding, START, acknowledged=answer)


def test_the_oldest_panic_button_is_listed_among_many_newer_alerts() -> None:
    """42 were active, the newest 30 were listed, and the critical one was none of them."""
    fields = active_fields([alert(0, "critical"), *(alert(number, "info") for number in range(1, 400))])
    assert fields["count"] == 400
    assert fields["alerts"][0]["alert_id"] == "a0"
    assert sum((fields["left_out"] or {}).values()) + len(fields["alerts"]) == 400


def test_the_unanswered_come_before_the_answered_and_the_older_before_the_newer() -> None:
    alerts = [
        alert(1, "critical", answered=True),
        alert(3, "critical"),
        alert(2, "critical"),
        alert(0, "info"),
    ]
    assert [one["alert_id"] for one in active_fields(alerts)["alerts"]] == ["a2", "a3", "a1", "a0"]


@given(
    st.lists(
        st.tuples(st.sampled_from(get_args(Severity)), st.booleans(), st.text(max_size=600)), max_size=120
    )
)
def test_it_fits_and_nothing_is_missing_uncounted(made: list[tuple[Severity, bool, str]]) -> None:
    alerts = [
        alert(number, severity, answered=answered, text=text)
        for number, (severity, answered, text) in enumerate(made)
    ]
    fields = active_fields(alerts)
    listed, left_out = fields["alerts"], fields["left_out"] or {}
    assert len(encode(fields)) < MAX_BODY - 512
    severities = Counter(one["severity"] for one in listed)
    assert severities + Counter(left_out) == Counter(severity for severity, _, _ in made)
