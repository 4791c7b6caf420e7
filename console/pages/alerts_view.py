"""What the page *Alerts* says of each alert: all messages about one alert as one row. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from agent.domain.escalation import SEVERITIES
from agent.runtime.sanitize import as_dict, as_list
from console.agent_views import AlertMessage, Alerts
from console.pages.latency_view import Bar, alert_bar
from console.pages.words import NONE, Translate, as_number, instant
from console.web.session import Session

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """One message about the alert: when, what, to whom, and whether the centre has it."""

    message_id: str
    text: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Place:
    """WGS-84 degrees; the true place is within ``error_m`` where that is known."""

    lat: float
    lon: float
    error_m: float | None
    how: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert; texts of the device are as they came."""

    alert_id: str
    severity: str
    text: str
    active: bool
    drill: bool
    since: datetime | None
    at: datetime | None
    rule: str
    where: str
    answer: str
    answered: bool
    escalation: int
    verified: str
    """What the second look found, in words."""
    end: str
    pictures: int
    place: Place | None
    bar: Bar
    told: tuple[Told, ...]

    def age_s(self, now: datetime) -> float | None:
        """Since when it holds, or since when it is over."""
        at = self.since if self.active else self.at
        return None if at is None else (now - at).total_seconds()

    def matches(self, words: str) -> bool:
        """Whether each word stands in it, in any case."""
        text = f"{self.text} {self.rule} {self.where} {self.severity} {self.alert_id}".casefold()
        return all(word in text for word in words.casefold().split())


def alert_rows(alerts: Alerts, session: Session) -> list[AlertRow]:
    """The active alerts first: the most severe, then those without an answer, then the oldest; then those
    that ended, the newest first."""
    messages: dict[str, list[AlertMessage]] = {}
    for message in alerts["recent"]:
        messages.setdefault(message["alert_id"], []).append(message)
    rows = [
        _row(cast(Any, alert), messages.pop(alert["alert_id"], []), session, active=True)
        for alert in alerts["active"]
    ]
    for others in messages.values():
        newest = max(others, key=lambda one: str(one["at"]))
        rows.append(_row(newest["alert"], others, session, active=False))
    return sorted(rows, key=_order)


def _order(row: AlertRow) -> tuple[Any, ...]:
    if not row.active:
        return 1, -(row.at or LONG_AGO).timestamp() if row.at else 0.0
    rank = SEVERITIES.index(row.severity) if row.severity in SEVERITIES else -1
    return 0, -rank, row.answered, row.since.timestamp() if row.since else 0.0


def _row(
    alert: Mapping[str, Any],
    messages: Sequence[AlertMessage],
    session: Session,
    *,
    active: bool,
) -> AlertRow:
    t = session.t
    newest_first = sorted(messages, key=lambda one: str(one["at"]), reverse=True)
    answer = as_dict(alert.get("acknowledged"))
    if not answer:
        answer = next((as_dict(one["acknowledged"]) for one in newest_first if one["acknowledged"]), {})
    steps = _steps(alert, newest_first)
    alert = {**(newest_first[0]["alert"] if newest_first else {}), **alert}
    where = [str(alert[key]) for key in ("camera", "source", "zone", "label") if alert.get(key)]
    drill = bool(alert.get("drill")) or alert.get("phase") == "drill"
    return AlertRow(
        str(alert.get("alert_id")),
        str(alert.get("severity")),
        str(alert.get("text") or alert.get("rule") or NONE),
        active,
        drill,
        instant(alert.get("since")),
        instant(alert.get("at")) or (instant(newest_first[0]["at"]) if newest_first else None),
        f"{alert.get('rule')} ({alert.get('kind')})",
        " · ".join(where),
        _answer(answer, session),
        bool(answer),
        int(as_number(alert.get("escalation")) or 0),
        _verified(alert.get("verified"), t),
        "" if active else _end(alert, t),
        max(len(as_list(alert.get("media"))), 1 if alert.get("camera") and not drill else 0),
        _place(as_dict(alert.get("point"))),
        alert_bar(steps, t),
        tuple(_told(one, session) for one in newest_first),
    )


def _steps(alert: Mapping[str, Any], newest_first: Sequence[AlertMessage]) -> Mapping[str, Any]:
    """The ledger of the message that raised it: a later one has no way from a frame to a detection."""
    raised = [one["steps_ms"] for one in newest_first if one["phase"] in ("new", "drill") and one["steps_ms"]]
    newest = [one["steps_ms"] for one in newest_first if one["steps_ms"]]
    return next(iter((*raised, as_dict(alert.get("steps_ms")), *newest)), {})


def _answer(answer: Mapping[str, Any], session: Session) -> str:
    if not answer:
        return ""
    t, at = session.t, instant(answer.get("at"))
    words = {"ack": t("acknowledged"), "close": t("closed"), "reject": t("rejected")}
    action = words.get(str(answer.get("action")), str(answer.get("action")))
    when = moment(at, session) if at else NONE
    text = t("{action} by {role} at {when}", action=action, role=answer.get("role"), when=when)
    return f"{text}: {answer['reason']}" if answer.get("reason") else text


def _verified(verdict: object, t: Translate) -> str:
    if verdict is None:
        return ""
    words = {"True": t("verified by a second look"), "False": t("not verified by a second look")}
    return words.get(str(verdict), t("no second look in time"))


def _end(alert: Mapping[str, Any], t: Translate) -> str:
    if alert.get("phase") == "end":
        return t("ended: {reason}", reason=alert["reason"]) if alert.get("reason") else t("ended")
    return "" if alert.get("phase") == "drill" else t("no longer active")


def _place(point: Mapping[str, Any]) -> Place | None:
    lat, lon = as_number(point.get("lat")), as_number(point.get("lon"))
    if lat is None or lon is None:
        return None
    return Place(lat, lon, as_number(point.get("error_m")), str(point.get("how", "")))


def phase_words(t: Translate) -> dict[str, str]:
    """Phases of an alert in plain words."""
    return {"new": t("raised"), "update": t("changed"), "end": t("ended"), "drill": t("drill")}


def _told(message: AlertMessage, session: Session) -> Told:
    t, at = session.t, instant(message["at"])
    told = as_dict(message["told"])
    phase = phase_words(t).get(message["phase"], str(message["phase"]))
    if message["escalation"]:
        phase = t("{phase}, raised again {n} ×", phase=phase, n=message["escalation"])
    parts = [f"{moment(at, session) if at else NONE} {phase}"]
    if brokers := [str(one) for one in as_list(told.get("brokers"))]:
        parts.append(t("sent to {brokers}", brokers=", ".join(brokers)))
    if outputs := [str(one) for one in as_list(told.get("outputs"))]:
        parts.append(t("switches on {outputs}", outputs=", ".join(outputs)))
    receipt = instant(message["receipt_at"])
    if message["confirmed"]:
        when = f" {moment(receipt, session)}" if receipt else ""
        parts.append(t("the centre has it") + when)
    else:
        parts.append(t("not confirmed yet"))
    return Told(message["message_id"], " · ".join(parts), message["confirmed"])


def moment(at: datetime, session: Session, now: datetime | None = None) -> str:
    """The time, and the date where it is not of today."""
    there = at.astimezone(session.zone)
    today = (now or datetime.now(UTC)).astimezone(session.zone).date()
    return session.time(at) if there.date() == today else f"{there:%Y-%m-%d} {session.time(at)}"
