"""The view model of the page *Alerts*: one row for each alert, the most urgent first."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from console.agent_views import ActiveAlert, AlertMessage, Alerts
from console.pages.alerts_view import Place, alert_rows, moment
from console.web.session import Session

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
english = Session("token", "operator")


def at(ago_s: float) -> str:
    return (NOW - timedelta(seconds=ago_s)).isoformat()


def alert(name: str, severity: str = "warning", ago_s: float = 60, **fields: Any) -> dict[str, Any]:
    return {
        "alert_id": name, "phase": "new", "kind": "switch", "rule": "panic", "severity": severity,
        "text": f"{name} pressed", "since": at(ago_s), "at": at(ago_s), **fields,
    }  # fmt: skip


def message(body: dict[str, Any], number: int = 1, **fields: Any) -> AlertMessage:
    made = {
        "message_id": f"{body['alert_id']}-{number}", "alert_id": body["alert_id"], "phase": body["phase"],
        "at": body["at"], "alert": body, "steps_ms": {"frame_to_detection": 4.0}, "confirmed": True,
        "receipt_at": body["at"], "acknowledged": body.get("acknowledged"), "escalation": 0,
        "told": {"brokers": ["mqtts://a"], "outputs": ["siren"]}, **fields,
    }  # fmt: skip
    return cast(AlertMessage, made)


def rows(active: list[dict[str, Any]], recent: list[AlertMessage]) -> Any:
    return alert_rows(Alerts(active=cast(list[ActiveAlert], active), recent=recent), english)


def test_active_by_severity_then_unanswered_then_age_then_ended_newest_first() -> None:
    answer = {"role": "operator", "action": "ack", "at": at(10)}
    active = [
        alert("young", ago_s=30), alert("answered", ago_s=900, acknowledged=answer), alert("old", ago_s=600),
        alert("worst", "critical", 5), alert("odd", "unheard of", 5),
    ]  # fmt: skip
    recent = [
        message(alert("long ago", phase="end", ago_s=9000)), message(alert("lately", phase="end", ago_s=800)),
        message(active[0]),
    ]  # fmt: skip
    found = rows(active, recent)
    assert [row.alert_id for row in found] == [
        "worst", "old", "young", "answered", "odd", "lately", "long ago",
    ]  # fmt: skip
    assert [row.active for row in found] == [True] * 5 + [False] * 2
    assert found[2].age_s(NOW) == 30
    assert found[5].age_s(NOW) == 800


def test_a_row_says_who_was_told_who_answered_and_where() -> None:
    body = alert(
        "one", "critical", camera="cam1", zone="rail", escalation=2, media=["a", "b"],
        point={"lat": 32.1, "lon": 118.7, "error_m": 3.2, "how": "ground_plane"},
        acknowledged={"role": "guard", "action": "close", "at": at(10), "reason": "on <b>my</b> way"},
    )  # fmt: skip
    told = [
        message(body, 2, confirmed=False, receipt_at=None, escalation=1, told={}),
        message({**body, "at": at(90)}, 1),
    ]
    (row,) = rows([body], told)
    assert row.place == Place(32.1, 118.7, 3.2, "ground_plane")
    assert (row.where, row.pictures, row.escalation, row.answered) == ("cam1 · rail", 2, 2, True)
    assert row.answer.startswith("closed by guard at ")
    assert row.answer.endswith(": on <b>my</b> way")
    assert row.bar.total == "4.0 ms"
    assert [one.confirmed for one in row.told] == [False, True]
    assert "raised again 1 ×" in row.told[0].text
    assert "not confirmed yet" in row.told[0].text
    assert "sent to mqtts://a · switches on siren · the centre has it" in row.told[1].text


def test_drills_and_ends_are_marked() -> None:
    found = rows(
        [],
        [message(alert("drill", "info", phase="drill", drill=True)),
         message(alert("over", phase="end", reason="cleared", ago_s=70))],
    )  # fmt: skip
    assert [(row.drill, row.end) for row in found] == [(True, ""), (False, "ended: cleared")]
    assert rows([], [message(alert("gone"))])[0].end == "no longer active"


def test_an_alert_without_fields_is_shown_all_the_same() -> None:
    (row,) = rows([{"alert_id": "bare", "since": "never", "point": {"lat": "x"}, "media": 7}], [])
    assert (row.text, row.since, row.place, row.pictures, row.age_s(NOW)) == ("–", None, None, 0, None)


def test_search_and_dates() -> None:
    (row,) = rows([alert("Gate <1>", camera="cam1")], [])
    assert row.matches("gate CAM1")
    assert row.matches("")
    assert not row.matches("gate cam2")
    assert moment(NOW, english, NOW) == "12:00:00"
    assert moment(NOW, english, NOW + timedelta(days=1)) == "2026-11-30 12:00:00"
