"""When the next drill is due. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from agent.domain.drill_settings import DrillSettings

FIRST_AFTER = timedelta(minutes=2)
"""The first drill of a device comes so long after its start."""
RETRY_AFTER = timedelta(minutes=15)
"""A failed drill is repeated after this, or after the interval where that is shorter."""


def next_drill(
    settings: DrillSettings,
    zone: str,
    *,
    last: datetime | None,
    failed: bool,
    started: datetime,
    now: datetime,
) -> datetime | None:
    """The instant of the next drill; None without an interval. Instants are in UTC.

    ``last``: the last drill, and whether it ``failed``; ``started``: the start of the agent. With ``at``: the
    first such time of day at least half a day short of the interval after the last drill. Where the clock was
    set back, ``last`` and ``started`` count as ``now``.
    """
    if settings.every is None:
        return None
    earliest = min(started, now) + min(FIRST_AFTER, settings.every)
    last = None if last is None else min(last, now)
    if failed and last is not None:
        return max(last + min(RETRY_AFTER, settings.every), earliest)
    if settings.at is None:
        return earliest if last is None else max(last + settings.every, earliest)
    after = min(started, now) if last is None else max(last + settings.every - timedelta(hours=12), last)
    return _time_of_day(settings.at, ZoneInfo(zone), after)


def _time_of_day(text: str, zone: ZoneInfo, after: datetime) -> datetime:
    """The first instant after ``after`` at which clocks in ``zone`` show ``text``."""
    local = after.astimezone(zone)
    for days in range(3):
        day = local.date() + timedelta(days=days)
        found = datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)
        if found > after:
            return found
    raise AssertionError("a time of day comes each day")
