"""The configuration of camera geolocation: surveyed points (``ground``) or the mount (``mount``)."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration
from agent.positioning.ground_plane import ControlPoint, GroundPlane
from agent.positioning.survey_points import POOR_PX, read_control_points
from firmware_bridge.secret import NearPath

Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=16, le=20_000)]


class SurveyedPoint(BaseModel):
    """A pixel (from the upper left corner) with the surveyed position of its point on the ground (WGS-84)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: float = Field(ge=0, allow_inf_nan=False)
    y: float = Field(ge=0, allow_inf_nan=False)
    lat: float = Field(gt=-90, lt=90)
    lon: float = Field(ge=-180, le=180)


class GroundSurvey(BaseModel):
    """A fixed camera that views a plane: four surveyed points on it or more, preferably six."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: tuple[Size, Size]
    """Width and height in pixels of the picture in which the points were read, after rotate and crop."""
    points: Annotated[tuple[SurveyedPoint, ...], Field(min_length=4, max_length=100)] | NearPath

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for point in self.points if isinstance(self.points, tuple) else ():
            if point.x > self.picture[0] or point.y > self.picture[1]:
                raise ValueError(
                    f"the point {point.x:g}, {point.y:g} lies outside picture {list(self.picture)}"
                )
        return self

    def plane(self) -> GroundPlane:
        """The plane through the points. OSError: their file can't be read; ValueError: they give no plane."""
        if isinstance(self.points, Path):
            points = read_control_points(self.points)
        else:
            points = [ControlPoint(point.x, point.y, point.lat, point.lon) for point in self.points]
        return GroundPlane(points)

    def trouble(self) -> str | None:
        """Why positions from these points can't be trusted, or None."""
        try:
            plane = self.plane()
        except (OSError, ValueError) as error:
            return f"ground: no position can be computed: {error}"
        except ImportError:
            return "ground: not checked: numpy is not installed"
        worst = max(plane.residuals_px)
        if worst > POOR_PX:
            number = plane.residuals_px.index(worst) + 1
            return f"ground: a poor fit: point {number} is {worst:.0f} px off; see ringpost ground"
        return None

    def remark(self) -> str | None:
        """`trouble`, or advice for points without one."""
        few = isinstance(self.points, tuple) and len(self.points) == 4
        return self.trouble() or (
            "ground: four points always fit; add a fifth to detect a mistake" if few else None
        )


class Mount(BaseModel):
    """How a camera is mounted on a platform or a mast: angles from the bow (or north), and height."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fov_deg: float = Field(gt=5, lt=170)
    """Horizontal field of view."""
    height_m: float | None = Field(default=None, gt=0, le=5000)
    """Above the water or the ground. Default for a drone: its reported height."""
    yaw_deg: Degrees = 0.0
    pitch_deg: float = Field(default=0.0, ge=-90, le=90)
    """Upward; negative for a camera that looks down."""
    roll_deg: Degrees = 0.0
    heading_deg: Degrees | None = None
    """Heading of yaw 0, for a mast that never turns."""
    follows: str | None = None
    """The source of the heading or attitude: a drone's radio, a compass. Default: any compass."""
    gimbal: bool = False
    """Whether the drone's gimbal angles give the direction of the camera."""
    delay: Duration = Field(default=timedelta(0), le=timedelta(seconds=3))
    """Latency of the frames, as of a drone's video link: the pose of that time before arrival is used."""
    sigma_deg: float = Field(default=2.0, gt=0, le=30)
    """One sigma of the measured angles, and of the platform's tilt where no source reports it."""
    height_sigma_m: float = Field(default=0.5, ge=0, le=100)
