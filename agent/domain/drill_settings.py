"""The configuration section ``drill``: when the device proves that an alert would get through."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.domain.durations import Duration
from firmware_bridge.secret import NearPath

_HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _an_hour(text: str) -> str:
    if not _HOUR.fullmatch(text):
        raise ValueError(f"{text!r} is no time of day; write it as '03:30'")
    return text


class DrillSettings(BaseModel):
    """A drill sends a known clip through a camera's detector, a rule, the outbox and the broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration | None = Field(default=None, ge=timedelta(minutes=1), le=timedelta(days=31))
    """The interval of the drills; if not set, the device drills on command only."""
    at: Annotated[str, AfterValidator(_an_hour)] | None = None
    """The time of day in the place's time zone, such as '03:30', for an interval of days."""
    within: Duration = Field(
        default="30s", validate_default=True, ge=timedelta(seconds=1), le=timedelta(minutes=10)
    )
    """The longest time from the start of the drill to the centre's receipt."""
    clip: NearPath | None = None
    """A JPEG or PNG that the detector must find something in; the test picture of the model, if not set."""
