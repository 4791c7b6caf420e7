"""The site of the device: what a rule may take from the rest of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from agent.domain.inference_rate import RequiredRate
from agent.domain.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Place and duty of the device, as rules use them; WGS-84 degrees."""

    timezone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    post: str | None = None
    lat: float | None = None
    lon: float | None = None
    duty: Schedule | None = None
    route: Path | None = None
    required_rates: Mapping[str, tuple[RequiredRate, ...]] = field(default_factory=dict)
    """By camera: the inference rates that the rules on it need."""


def localized(schedule: Schedule, site: Site) -> Schedule:
    """The schedule in the time zone, holidays and daylight of the site. ValueError names what is missing."""
    if schedule.needs_sun() and site.lat is None:
        raise ValueError(
            f"{schedule.text!r} needs to know where the sun rises: set place.lat and place.lon,"
            " or write hours such as 18:00-06:00"
        )
    return schedule.at(site.timezone, site.holidays, site.lat, site.lon)
