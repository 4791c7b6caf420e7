"""The schedule of a rule: a subset of OpenStreetMap's ``opening_hours``, in the local time of the place.

    Mo-Fr 22:00-06:00; Sa,Su 00:00-24:00    parts with ;  a span past midnight belongs to its first day
    Mo-Fr 08:00-12:00,13:00-17:00; PH off   spans with ,  PH are the days of ``holidays``
    night      Mo-Fr day      24/7          day: the sun is above the horizon at lat and lon of the place

On a holiday only the parts that name PH apply, if there are any. Pure: each instant is an argument.
"""

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from agent.domain.yaml_loader import alternatives

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su", "PH")
PH = 7
NEVER_SET = 2024
"""A clock with an earlier year was never set: every schedule is then open, to be on the safe side."""
SUNRISE_DEG = -0.833
"""Elevation of the sun's centre when its upper edge rises: its radius, and refraction at the horizon."""
FORM = "write days and hours such as 'Mo-Fr 22:00-06:00; Sa,Su 00:00-24:00', with day, night, PH, off or 24/7"

_SPAN = re.compile(r"^(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)$")


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Minutes from midnight of the first day; ``end`` exceeds 24 h where the span ends on the next day."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """The hours of some days: spans, or daylight (``sun``: day or night); neither means ``off``."""

    days: frozenset[int]
    spans: tuple[TimeSpan, ...] = ()
    sun: bool | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours at a place: ``zone`` is an IANA time zone, ``lat`` and ``lon`` (degrees) serve day and night."""

    text: str
    parts: tuple[SchedulePart, ...]
    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    lat: float | None = None
    lon: float | None = None

    def needs_sun(self) -> bool:
        """Whether it contains day or night."""
        return any(part.sun is not None for part in self.parts)

    def needs_zone(self) -> bool:
        """Whether it depends on the time zone."""
        return any(part.spans != ALWAYS.parts[0].spans or len(part.days) < PH for part in self.parts)

    def at(
        self, zone: str, holidays: frozenset[date], lat: float | None = None, lon: float | None = None
    ) -> "Schedule":
        """The same hours at a place."""
        return replace(self, zone=zone, holidays=holidays, lat=lat, lon=lon)

    def open(self, at: datetime) -> bool:
        """Whether the instant ``at`` (aware) is within the hours."""
        if at.year < NEVER_SET:
            return True
        local = at.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        if any(span.begin <= minute < span.end for span in self._spans(today)):
            return True
        if any(minute + 24 * 60 < span.end for span in self._spans(yesterday)):
            return True
        if not self.needs_sun() or self.lat is None or self.lon is None:
            return False
        up = sun_deg(at, self.lat, self.lon) > SUNRISE_DEG
        morning_of_night = not up and local.hour < 12  # it belongs to the day before
        return any(part.sun is up for part in self._parts_on(yesterday if morning_of_night else today))

    def _spans(self, day: date) -> list[TimeSpan]:
        return [span for part in self._parts_on(day) for span in part.spans]

    def _parts_on(self, day: date) -> list[SchedulePart]:
        """The parts that apply on ``day``; none where one of them is ``off``."""
        holiday = [part for part in self.parts if PH in part.days] if day in self.holidays else []
        parts = holiday or [part for part in self.parts if day.weekday() in part.days]
        return [] if any(not part.spans and part.sun is None for part in parts) else parts


def parse_schedule(value: Any) -> Schedule:
    """A schedule from its text. ValueError names the mistake and the right form."""
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise ValueError(f"{value!r} is not a schedule; {FORM}")
    parts = [_part(text.strip()) for text in value.split(";") if text.strip()]
    for index, part in enumerate(parts):
        for other in parts[index + 1 :]:
            twice = part.days & other.days
            if twice and bool(_is_off(part)) == bool(_is_off(other)):
                raise ValueError(
                    f"{DAYS[min(twice)]} is in two parts of {value!r};"
                    " put its hours together with a comma, such as 06:00-08:00,20:00-22:00"
                )
    return Schedule(value, tuple(parts))


def _is_off(part: SchedulePart) -> bool:
    return not part.spans and part.sun is None


def _part(text: str) -> SchedulePart:
    if text == "24/7":
        return SchedulePart(frozenset(range(7)), (TimeSpan(0, 24 * 60),))
    first, _, rest = text.partition(" ")
    named = bool(re.match(r"^[A-Z]", first))
    days = _days(first) if named else frozenset(range(7))
    hours = rest.strip() if named else text
    if hours in ("day", "night"):
        return SchedulePart(days, sun=hours == "day")
    if hours == "off" and named:
        return SchedulePart(days)
    return SchedulePart(days, tuple(_span(span.strip()) for span in hours.split(",")))


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        ends = item.split("-")
        for end in ends:
            if end not in DAYS:
                raise ValueError(f"{end!r} is not a day; {alternatives(end, DAYS)}")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        if len(ends) > 2 or (len(ends) == 2 and PH in (first, last)):
            raise ValueError(f"{item!r} is not a range of days; write Mo-Fr, or Mo,We,PH")
        found |= {first} if len(ends) == 1 else {(first + n) % 7 for n in range((last - first) % 7 + 1)}
    return frozenset(found)


def _span(text: str) -> TimeSpan:
    found = _SPAN.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time span; {FORM}")
    first, first_minute, last, last_minute = map(int, found.groups())
    begin, end = first * 60 + first_minute, last * 60 + last_minute
    if first_minute > 59 or last_minute > 59 or begin >= 24 * 60 or end > 24 * 60:
        raise ValueError(f"{text!r}: a day goes from 00:00 to 24:00")
    if begin == end:
        raise ValueError(f"{text!r} starts and ends at the same time; the whole day is 00:00-24:00")
    return TimeSpan(begin, end if end > begin else end + 24 * 60)


ALWAYS = parse_schedule("24/7")

Hours = Annotated[
    Schedule,
    BeforeValidator(parse_schedule),
    PlainSerializer(lambda schedule: schedule.text, return_type=str),
    WithJsonSchema({"type": "string", "description": FORM, "examples": ["Mo-Fr 22:00-06:00", "night"]}),
]
"""A field that takes the text of a schedule."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        zones = available_timezones()
        if not zones:
            raise ValueError("no time zones on this machine; install the package tzdata") from None
        raise ValueError(
            f"no time zone {name!r}; {alternatives(name, zones).partition(' known')[0]}"
            " Use an IANA name such as Asia/Shanghai"
        ) from None
    return name


ZoneName = Annotated[str, AfterValidator(_known_zone)]
"""A time zone by its IANA name."""


def sun_deg(at: datetime, lat: float, lon: float) -> float:
    """Elevation of the sun's centre in degrees, without refraction, accurate to about 0.02.

    Source: the Astronomical Almanac's low-precision formulas, page C5, good from 1950 to 2050.
    """
    days = (at - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    mean = math.radians(280.460 + 0.9856474 * days)
    anomaly = math.radians(357.528 + 0.9856003 * days)
    along = mean + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(tilt) * math.sin(along), math.cos(along))
    declination = math.asin(math.sin(tilt) * math.sin(along))
    sidereal = math.radians(280.46062 + 360.98564737 * days + lon)
    hour_angle = sidereal - right_ascension
    north = math.radians(lat)
    up = math.sin(north) * math.sin(declination)
    up += math.cos(north) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, up))))
