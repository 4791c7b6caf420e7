"""Where a camera stands and how it looks, as a technician writes it: by surveyed points, or by its mount."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration
from agent.positioning.ground_plane import Ground, Mark
from agent.positioning.survey_points import POOR_PX, read_marks
from firmware_bridge.secret import NearPath

Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=16, le=20_000)]


class SurveyedPoint(BaseModel):
    """A point of the picture (pixels from its upper left corner) whose place is surveyed (WGS-84)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: float = Field(ge=0, allow_inf_nan=False)
    y: float = Field(ge=0, allow_inf_nan=False)
    lat: float = Field(gt=-90, lt=90)
    lon: float = Field(ge=-180, le=180)


class Surveyed(BaseModel):
    """A camera that never moves, before a plane: four surveyed points on it or more, better six."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: tuple[Size, Size]
    """Width and height of the picture in which the points were read, after rotate and crop."""
    points: Annotated[tuple[SurveyedPoint, ...], Field(min_length=4, max_length=100)] | NearPath

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for point in self.points if isinstance(self.points, tuple) else ():
            if point.x > self.picture[0] or point.y > self.picture[1]:
                raise ValueError(
                    f"the point {point.x:g}, {point.y:g} lies outside picture {list(self.picture)}"
                )
        return self

    def plane(self) -> Ground:
        """The plane through the points. OSError where their file can't be read, ValueError where none is."""
        if isinstance(self.points, Path):
            marks = read_marks(self.points)
        else:
            marks = [Mark(point.x, point.y, point.lat, point.lon) for point in self.points]
        return Ground(marks)

    def doubt(self) -> str | None:
        """Why what is told by these points should not be trusted, or None."""
        try:
            plane = self.plane()
        except (OSError, ValueError) as error:
            return f"ground: no place can be told: {error}"
        except ImportError:
            return "ground: was not checked: numpy is not installed"
        worst = max(plane.residuals_px)
        if worst > POOR_PX:
            number = plane.residuals_px.index(worst) + 1
            return f"ground: a poor fit: point {number} is {worst:.0f} px off; see ringpost ground"
        return None

    def remark(self) -> str | None:
        """`doubt`, and what should be said of points that nothing speaks against."""
        few = isinstance(self.points, tuple) and len(self.points) == 4
        return self.doubt() or (
            "ground: four points always fit: a fifth would show a mistake" if few else None
        )


class Mount(BaseModel):
    """How a camera sits on what moves, or on a mast: angles from the bow (or north), and its height."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fov_deg: float = Field(gt=5, lt=170)
    """How much it sees across the picture."""
    height_m: float | None = Field(default=None, gt=0, le=5000)
    """Above the water or the ground; of a drone its own height, if not set."""
    yaw_deg: Degrees = 0.0
    pitch_deg: float = Field(default=0.0, ge=-90, le=90)
    """Up; a camera that looks down has less than 0."""
    roll_deg: Degrees = 0.0
    heading_deg: Degrees | None = None
    """Where yaw 0 points, on a mast that never turns."""
    follows: str | None = None
    """The source that tells how it turns: a drone's radio, a compass; any compass, if not set."""
    gimbal: bool = False
    """The drone says by its gimbal where the camera looks."""
    delay: Duration = Field(default=timedelta(0), le=timedelta(seconds=3))
    """How late its frames come, as of a drone's video: the pose is that of so long before."""
    sigma_deg: float = Field(default=2.0, gt=0, le=30)
    """How surely its angles were measured, and that the platform lies level where nothing tells."""
    height_sigma_m: float = Field(default=0.5, ge=0, le=100)
