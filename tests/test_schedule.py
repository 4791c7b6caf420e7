"""Hours as a technician writes them, and what they mean: night shifts, holidays, the sun, clocks that change."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.domain.contracts import RulePart
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, Tick
from agent.domain.schedule import Hours, ZoneName, parse_schedule, sun_deg
from agent.domain.site import Site
from firmware_bridge.readings import Switch

CHINA = "Asia/Shanghai"
NATIONAL_DAY = frozenset({date(2026, 10, 1), date(2026, 10, 2)})


def local(text: str) -> datetime:
    """An instant from its China time, such as ``2026-11-27 21:59`` (a Friday)."""
    return datetime.fromisoformat(text + "+08:00")


@pytest.mark.parametrize(
    ("hours", "instant", "is_open"),
    [
        ("24/7", "2026-11-27 03:00", True),
        ("Mo-Su 00:00-24:00", "2026-11-29 23:59:59", True),
        ("Mo-Fr 22:00-06:00", "2026-11-27 21:59:59", False),
        ("Mo-Fr 22:00-06:00", "2026-11-27 22:00", True),
        ("Mo-Fr 22:00-06:00", "2026-11-28 05:59", True),  # Saturday morning: still Friday's night
        ("Mo-Fr 22:00-06:00", "2026-11-28 06:00", False),
        ("Mo-Fr 22:00-06:00", "2026-11-28 22:00", False),
        ("Mo-Fr 22:00-06:00", "2026-11-30 05:00", False),  # Monday morning: Sunday's night
        ("22:00-06:00", "2026-11-30 05:00", True),
        ("Mo-Fr 08:00-12:00,13:00-17:00", "2026-11-27 12:30", False),
        ("Mo-Fr 08:00-12:00, 13:00-17:00", "2026-11-27 13:00", True),
        ("Mo-Fr 22:00-06:00; Sa,Su 00:00-24:00", "2026-11-28 15:00", True),
        ("Sa-Mo 10:00-11:00", "2026-11-30 10:30", True),
        ("Sa-Mo 10:00-11:00", "2026-12-01 10:30", False),
        ("Mo-Fr 08:00-18:00; We off", "2026-11-25 09:00", False),
        ("Mo-Su 08:00-18:00; PH off", "2026-10-01 09:00", False),
        ("Mo-Su 08:00-18:00; PH off", "2026-10-03 09:00", True),
        ("Mo-Su 08:00-18:00", "2026-10-01 09:00", True),
        ("Mo-Fr 08:00-18:00; PH 00:00-24:00", "2026-10-01 23:00", True),
        ("Mo-Fr,PH 08:00-18:00", "2026-10-01 09:00", True),
        ("PH 00:00-24:00", "2026-10-01 09:00", True),
        ("PH 00:00-24:00", "2026-10-03 09:00", False),
        ("Mo-Su 20:00-02:00; PH off", "2026-10-01 01:00", True),  # begun on the evening before the holiday
        ("Mo-Su 20:00-02:00; PH off", "2026-10-03 01:00", False),  # not begun on the holiday's evening
        ("night", "2026-11-27 12:00", False),
        ("night", "2026-11-27 20:00", True),
        ("day", "2026-11-27 12:00", True),
        ("Fr night", "2026-11-27 20:00", True),
        ("Fr night", "2026-11-28 05:00", True),
        ("Fr night", "2026-11-27 05:00", False),
        ("Sa,Su day; Mo-Fr night", "2026-11-28 12:00", True),
        ("Mo-Fr 08:00-09:00", "1970-01-01 12:00", True),  # the clock was never set: watch
    ],
)
def test_hours(hours: str, instant: str, is_open: bool) -> None:
    schedule = parse_schedule(hours).at(CHINA, NATIONAL_DAY, 32.06, 118.80)
    assert schedule.open(local(instant)) is is_open


def test_hours_are_those_of_the_place_when_the_clocks_change() -> None:
    """Berlin, 2026-10-25: 03:00 summer time becomes 02:00; the shift of 22:00-06:00 lasts nine hours."""
    schedule = parse_schedule("22:00-06:00").at("Europe/Berlin", frozenset())
    begin = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    opened = [schedule.open(begin + timedelta(minutes=minute)) for minute in range(-60, 12 * 60)]
    assert opened.count(True) == 9 * 60


@pytest.mark.parametrize(
    ("place", "rises", "sets"),
    [  # of astral 3.2, in UTC
        ((32.06, 118.78), "2026-06-06 20:58:39", "2026-06-06 11:08:28"),
        ((32.06, 118.78), "2026-11-22 22:40:34", "2026-11-22 09:01:49"),
        ((1.35, 103.8), "2026-06-06 22:57:54", "2026-06-06 11:09:11"),
        ((-33.87, 151.2), "2026-01-01 18:48:31", "2026-01-01 09:09:12"),
        ((53.48, 122.37), "2026-11-22 23:30:05", "2026-11-22 07:44:11"),
    ],
)
def test_the_sun_rises_and_sets_within_half_a_minute_of_another_library(
    place: tuple[float, float], rises: str, sets: str
) -> None:
    half = timedelta(seconds=30)
    day = parse_schedule("day").at("UTC", frozenset(), *place)
    rise, fall = (datetime.fromisoformat(text + "+00:00") for text in (rises, sets))
    assert [day.open(one) for one in (rise - half, rise + half, fall - half, fall + half)] == [
        False,
        True,
        True,
        False,
    ]


@given(st.floats(1.71e9, 2.5e9), st.floats(-90, 90), st.floats(-180, 180))
@settings(deadline=None)
def test_the_sun_is_somewhere_and_either_day_or_night(at_s: float, lat: float, lon: float) -> None:
    instant = datetime.fromtimestamp(at_s, UTC)
    assert -90 <= sun_deg(instant, lat, lon) <= 90
    day, night = (parse_schedule(hours).at(CHINA, frozenset(), lat, lon) for hours in ("day", "night"))
    assert day.open(instant) is not night.open(instant)


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ("", "is not a schedule; write days and hours such as"),
        ("Mo-Fr", "'' is not a time span; write days and hours such as"),
        ("Mo-Fr 8-18", "'8-18' is not a time span"),
        ("Mo-Fr 08:00-25:00", "a day goes from 00:00 to 24:00"),
        ("Mo-Fr 08:60-09:00", "a day goes from 00:00 to 24:00"),
        ("Mo-Fr 08:00-08:00", "starts and ends at the same time; the whole day is 00:00-24:00"),
        (
            "Mon-Fri 08:00-18:00",
            "'Mon' is not a day; did you mean 'Mo'? known: Fr, Mo, PH, Sa, Su, Th, Tu, We",
        ),
        ("Mo-PH 08:00-18:00", "'Mo-PH' is not a range of days"),
        ("Mo-Fr 06:00-08:00; Mo-Fr 20:00-22:00", "Mo is in two parts"),
        ("nights", "'nights' is not a time span"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(hours: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Hours).validate_python(hours)
    assert said in str(caught.value)


@given(st.text(alphabet="MoTuWeFrSaPHdaynight 0123456789:-,;/of", max_size=40))
@settings(deadline=None)
def test_any_text_is_a_schedule_or_refused_in_words(text: str) -> None:
    with suppress(ValueError):
        schedule = parse_schedule(text).at(CHINA, NATIONAL_DAY, 32, 118)
        assert schedule.open(local("2026-11-27 12:00")) in (True, False)
        assert TypeAdapter(Hours).dump_python(schedule) == text


def test_zones_are_those_of_iana() -> None:
    zone = TypeAdapter(ZoneName)
    assert zone.validate_python(CHINA) == CHINA
    for wrong in ("Asia/Shangai", "", "../../etc/passwd", "China time"):
        with pytest.raises(ValidationError, match="no time zone"):
            zone.validate_python(wrong)
    with pytest.raises(ValidationError, match="did you mean 'Asia/Shanghai'"):
        zone.validate_python("Asia/Shangai")


class Echo(RulePart):
    """Says what it hears: a switch that is on is a finding, by its name."""

    kind: Literal["echo"] = "echo"

    def start(self) -> Evaluator:
        def judge(observation: Observation) -> Iterable[Finding | Cleared]:
            if isinstance(observation.value, Switch):
                name, on = observation.value.name, observation.value.on
                yield Finding(key=name, text=name, since=observation.at) if on else Cleared(name)

        return judge


def play(*script: tuple[str, str | None], schedule: str = "22:00-06:00") -> list[tuple[str, str, str | None]]:
    """What is told, with its China time: (time, key, reason); a name is switched on, or off with a ``-``."""
    around = Site(timezone=CHINA)
    judge = Echo(schedule=parse_schedule(schedule)).resolve(around).scheduled_evaluator()
    told = []
    for clock, name in script:
        value: Any = Tick() if name is None else Switch(name=name.strip("-"), on=name[0] != "-")
        facts = judge(Observation("board", local(f"2026-11-27 {clock}"), 0.0, value))
        told += [(clock, fact.key, fact.reason if isinstance(fact, Cleared) else "so") for fact in facts]
    return told


def test_what_is_so_outside_the_hours_is_not_told() -> None:
    assert play(("20:00", "gate"), ("20:01", "-gate"), ("22:00", None)) == []


def test_what_still_is_so_when_the_hours_begin_is_told_then() -> None:
    assert play(("20:00", "gate"), ("21:59:59", None), ("22:00", None), ("22:01", None)) == [
        ("22:00", "gate", "so")
    ]


def test_what_still_is_so_when_the_hours_end_is_over_and_says_why() -> None:
    script = [
        ("05:00", "gate"),
        ("05:30", "tamper"),
        ("05:31", "-tamper"),
        ("06:00", None),
        ("07:00", "gate"),
    ]
    assert play(*script) == [
        ("05:00", "gate", "so"),
        ("05:30", "tamper", "so"),
        ("05:31", "tamper", None),
        ("06:00", "gate", "outside its hours (22:00-06:00)"),
    ]


def test_a_frame_that_comes_late_does_not_open_and_close_the_hours() -> None:
    judge = Echo(schedule=parse_schedule("22:00-06:00")).resolve(Site(timezone=CHINA)).scheduled_evaluator()
    script: list[tuple[float, Any]] = [
        (-5.0, Switch(name="gate", on=True)), (0.1, Tick()), (-0.2, Switch(name="gate", on=True)), (1.0, Tick())
    ]  # fmt: skip
    begin = local("2026-11-27 22:00")
    told = [
        fact
        for second, value in script
        for fact in judge(Observation("board", begin + timedelta(seconds=second), second, value))
    ]
    assert [type(fact) for fact in told] == [Finding, Finding]


def test_a_rule_without_a_schedule_judges_always() -> None:
    judge = Echo().resolve(Site()).scheduled_evaluator()
    facts = judge(Observation("board", local("2026-11-27 12:00"), 0.0, Switch(name="gate", on=True)))
    assert [fact.key for fact in facts] == ["gate"]


def test_night_needs_a_place() -> None:
    rule = Echo(schedule=parse_schedule("night"))
    with pytest.raises(ValueError, match=r"set place.lat and place.lon, or write hours"):
        rule.resolve(Site())
    assert rule.resolve(Site(lat=32, lon=118)).schedule is not None
