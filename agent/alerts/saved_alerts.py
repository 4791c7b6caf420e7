"""The active alerts as JSON, to be restored after a restart."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from agent.alerts.active_alert import RESTARTED, ActiveAlert, next_escalation_s, rediscovery_s
from agent.alerts.alert import Alert, AlertPolicy
from agent.domain.findings import Finding


@dataclass(frozen=True, slots=True)
class _SavedAlerts:
    """Monotonic instants are valid for the same ``boot`` only."""

    boot: str
    entries: list[ActiveAlert]


_SAVED = TypeAdapter(_SavedAlerts)


def dump(boot: str, entries: Iterable[ActiveAlert]) -> bytes:
    """``entries`` as JSON."""
    return _SAVED.dump_json(_SavedAlerts(boot, list(entries)), by_alias=True)


def load(
    data: bytes, boot: str, policies: Mapping[str, AlertPolicy], at: datetime, now_s: float
) -> Iterator[ActiveAlert]:
    """The entries of `dump`, each to be found again by its rule. ValueError if ``data`` is damaged.

    Within the same boot the time without an answer goes on; after a reboot it starts anew.
    """
    saved = _SAVED.validate_json(data)
    same_boot = saved.boot == boot
    for entry in saved.entries:
        alert, policy = entry.alert, policies.get(entry.alert.policy.rule)
        if policy is not None and policy.kind == alert.policy.kind:
            alert = replace(alert, policy=policy)
        if not same_boot:
            silence = alert.silence.on_clock(at, now_s) if alert.silence else None
            alert = replace(alert, finding=_on_this_clock(alert, at, now_s), silence=silence)
        unconfirmed = (now_s + rediscovery_s(alert.policy), RESTARTED)
        escalates_s = entry.rescheduled_s(alert, now_s) if same_boot else next_escalation_s(alert, now_s)
        yield ActiveAlert(
            alert,
            announced_s=None,
            unconfirmed=None if alert.cleared else unconfirmed,
            escalates_s=None if entry.closed else escalates_s,
            escalated_s=entry.escalated_s if same_boot else None,
            closed=entry.closed,
            answers=entry.answers,
        )


def _on_this_clock(alert: Alert, at: datetime, now_s: float) -> Finding:
    """The finding of an alert from before a reboot, with its start on the monotonic clock of this boot."""
    finding = alert.finding
    if finding.since_s is None:
        return finding
    lasted_s = (max(at, alert.at) - finding.since).total_seconds()
    return replace(finding, since_s=now_s - max(0.0, lasted_s))
