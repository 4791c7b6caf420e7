"""The list of active alerts in ``alerts/active``: by severity, as many as fit in one message. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from agent.alerts.alert import Alert
from agent.domain.escalation import SEVERITIES
from agent.domain.message import MAX_BODY, encode

ENVELOPE_BYTES = 1024
"""Room for the envelope, ``count`` and ``left_out``."""
KEYS = frozenset(
    {"alert_id", "rule", "kind", "severity", "text", "since", "zone", "acknowledged", "escalation", "over"}
    | {"silenced", "verified"}
)


def active_fields(alerts: Iterable[Alert]) -> dict[str, Any]:
    """``count`` of all active alerts, and ``alerts``: the most severe first, of those the unanswered, then
    the oldest. ``left_out`` counts by severity those that did not fit in `MAX_BODY` bytes; absent if none.
    """
    ordered = sorted(alerts, key=_rank)
    listed: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    room = MAX_BODY - ENVELOPE_BYTES
    for alert in ordered:
        entry = {key: value for key, value in alert.fields().items() if key in KEYS}
        room -= len(encode(entry)) + 1
        if room < 0:
            left_out[alert.severity] += 1
        else:
            listed.append(entry)
    return {"count": len(ordered), "alerts": listed, "left_out": dict(left_out) or None}


def _rank(alert: Alert) -> tuple[Any, ...]:
    return -SEVERITIES.index(alert.severity), alert.acknowledged is not None, alert.finding.since
