"""The device is where it should not be: outside its area, or inside a forbidden one."""

import math
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.geometry import LatLon, area, from_path, inside
from agent.domain.site import Site
from agent.rules.position_rule import EXIT_MARGIN, DistanceMeasure, PositionRule
from firmware_bridge.wgs84 import Plane, distance_m


class Circle(BaseModel):
    """A circle around a position; around the surveyed place of the device, if none is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    radius_m: float = Field(gt=0, le=100_000)


class Geofence(PositionRule):
    """A finding while the device is outside (or inside) a circle or polygon."""

    kind: Literal["geofence"] = "geofence"
    circle: Circle | None = None
    polygon: tuple[LatLon, ...] | None = Field(default=None, min_length=3, max_length=1000)
    """Corners in order, each [latitude, longitude]."""
    when: Literal["outside", "inside"] = "outside"
    margin_m: float | None = Field(default=None, ge=0)
    """The device has left when it is so far outside; a fifth of the radius, if not set."""

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if (self.circle is None) == (self.polygon is None):
            raise ValueError("a geofence has a circle or a polygon")
        if self.circle is not None and (self.circle.lat is None) != (self.circle.lon is None):
            raise ValueError("the circle's lat and lon go together")
        if self.polygon is not None:
            plane = Plane(*self.polygon[0])
            if area([plane.metres(*corner) for corner in self.polygon]) < 1:
                raise ValueError("the polygon encloses no area")
        return self

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        if rule.circle is None or rule.circle.lat is not None:
            return rule
        if site.lat is None or site.lon is None:
            raise ValueError("the circle needs a middle: give its lat and lon, or place.lat and place.lon")
        circle = rule.circle.model_copy(update={"lat": site.lat, "lon": site.lon})
        return rule.model_copy(update={"circle": circle})

    def distance_measure(self) -> tuple[DistanceMeasure, float]:
        if self.polygon is not None:
            plane = Plane(*self.polygon[0])
            corners = [plane.metres(*corner) for corner in self.polygon]
            outline = [*corners, corners[0]]
            radius_m = math.sqrt(area(corners) / math.pi)

            def measure(lat: float, lon: float) -> float:
                point = plane.metres(lat, lon)
                off_m = from_path(point, outline)
                return -off_m if inside(point, corners) else off_m

        else:
            assert self.circle is not None  # noqa: S101  one of both is there
            middle = self.circle.lat or 0.0, self.circle.lon or 0.0
            radius_m = self.circle.radius_m

            def measure(lat: float, lon: float) -> float:
                return distance_m(middle, (lat, lon)) - radius_m

        return measure, EXIT_MARGIN * radius_m if self.margin_m is None else self.margin_m

    def violation(self, outside: bool, _at: datetime) -> str | None:
        return self.when if outside == (self.when == "outside") else None

    def text(self, violation: str, off_m: float) -> str:
        if violation == "inside":
            return f"inside {self.where or 'a closed area'}"
        return f"{off_m:.0f} m outside {self.where or 'its area'}"
