"""Silencing: the repeats and the outputs of one alert are quiet for a while. The alert itself goes on. Pure.

The silence ends by its time, by command, or where the alert gets worse: by its first escalation, or by a
higher severity. Instants with ``_s`` are on the monotonic clock.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from agent.alerts.active_alert import ActiveAlert
from agent.alerts.silence import Silence
from agent.domain.escalation import SEVERITIES


def silenced(entry: ActiveAlert, for_s: float, reason: str, at: datetime, now_s: float) -> ActiveAlert:
    """The entry silenced for ``for_s`` from now; its alert is to be sent."""
    until = at + timedelta(seconds=for_s)
    silence = Silence(until, now_s + for_s, for_s, reason, entry.alert.severity)
    return entry.sent(replace(entry.alert, phase="update", at=at, silence=silence), now_s)


def unsilenced(entry: ActiveAlert, at: datetime, now_s: float) -> ActiveAlert:
    """The entry with its repeats and outputs; its alert is to be sent."""
    return entry.sent(replace(entry.alert, phase="update", at=at, silence=None), now_s)


def ends_silence(entry: ActiveAlert, now_s: float) -> bool:
    """Whether a silence of the entry is over."""
    silence = entry.alert.silence
    if silence is None:
        return False
    worse = SEVERITIES.index(entry.alert.severity) > SEVERITIES.index(silence.severity)
    return worse or now_s >= silence.until_s


def postponed(entry: ActiveAlert) -> ActiveAlert | None:
    """A silenced entry whose escalation is due: raised once the silence ends; None where it may not wait.

    The first escalation is a worsening, and breaks through; a repeat is not.
    """
    silence = entry.alert.silence
    if silence is None or not entry.alert.escalation:
        return None
    return replace(entry, escalates_s=silence.until_s)
