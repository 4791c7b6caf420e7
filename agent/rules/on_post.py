"""The device, and so its crew, is not at its post during duty hours, or is there outside them."""

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.schedule import Hours
from agent.domain.site import Site, localized
from agent.rules.position_rule import EXIT_MARGIN, DistanceMeasure, PositionRule
from firmware_bridge.wgs84 import distance_m


class OnPost(PositionRule):
    """A finding while the device is farther than ``radius_m`` from its post during ``hours``.

    Where not set here, the post is the surveyed place, and the hours are those of ``duty``.
    """

    kind: Literal["on_post"] = "on_post"
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    radius_m: float = Field(default=100, gt=0, le=100_000)
    hours: Hours | None = None
    unexpected: bool = False
    """Whether a presence at the post outside the hours is a finding as well."""
    hold: Duration = timedelta(seconds=30)

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        if (rule.lat is None) != (rule.lon is None):
            raise ValueError("lat and lon go together")
        lat, lon = (site.lat, site.lon) if rule.lat is None else (rule.lat, rule.lon)
        if lat is None:
            raise ValueError("the post needs a position: give lat and lon, or place.lat and place.lon")
        hours = rule.hours or site.duty
        if hours is None:
            raise ValueError("when is the post manned? give hours, or duty.schedule")
        where = rule.where or site.post
        return rule.model_copy(
            update={"lat": lat, "lon": lon, "hours": localized(hours, site), "where": where}
        )

    def distance_measure(self) -> tuple[DistanceMeasure, float]:
        post = self.lat or 0.0, self.lon or 0.0
        return lambda lat, lon: distance_m(post, (lat, lon)) - self.radius_m, EXIT_MARGIN * self.radius_m

    def violation(self, outside: bool, at: datetime) -> str | None:
        on_duty = self.hours is None or self.hours.open(at)
        if outside:
            return "off_post" if on_duty else None
        return "unexpected" if self.unexpected and not on_duty else None

    def applies(self, at: datetime) -> bool:
        return self.unexpected or self.hours is None or self.hours.open(at)

    def text(self, violation: str, off_m: float) -> str:
        post = self.where or "its post"
        if violation == "off_post":
            return f"off post: {off_m + self.radius_m:.0f} m from {post} during duty"
        return f"at {post} outside the duty hours"
