"""The configuration section ``evidence``: size of pictures, and how much is recorded for how long."""

from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration


class Evidence(BaseModel):
    """Size of pictures, and limits of the ring buffer and of clips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture_kb: int = Field(default=64, ge=16, le=512)
    """Maximum size of one picture."""
    record: bool = True
    """Whether to record: a ring buffer for each camera, a clip for each alert."""
    fps: float = Field(default=2, gt=0, le=10)
    ring: Duration = Field(default=timedelta(minutes=1), ge=timedelta(seconds=5), le=timedelta(hours=1))
    before: Duration = Field(default=timedelta(seconds=10), le=timedelta(minutes=10))
    after: Duration = Field(default=timedelta(seconds=10), le=timedelta(minutes=10))
    keep_least: Duration = timedelta(hours=24)
    """Minimum age of a clip before it is deleted, even where new clips have no room."""
    keep_most: Duration = timedelta(hours=72)
    """Maximum age of a clip."""
    max_mb: int = Field(default=256, ge=8, le=1_000_000)
    """For each camera: ring buffer and clips together."""
    least_free_mb: int = Field(default=500, ge=0)
    """Recording stops while the disk has less free space."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.before > self.ring:
            raise ValueError("before is longer than ring: the start of a clip would be deleted already")
        if self.keep_least > self.keep_most:
            raise ValueError("keep_least is longer than keep_most")
        return self
