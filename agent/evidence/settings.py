"""How much of what cameras saw is kept on the device: the ``evidence`` section."""

from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration


class Evidence(BaseModel):
    """How large pictures are, and how much of what was seen is kept on the device, for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture_kb: int = Field(default=64, ge=16, le=512)
    """The most that one picture may take."""
    record: bool = True
    """Keep the last seconds of each camera, and of each alert those around it."""
    fps: float = Field(default=2, gt=0, le=10)
    ring: Duration = Field(default=timedelta(minutes=1), ge=timedelta(seconds=5), le=timedelta(hours=1))
    before: Duration = Field(default=timedelta(seconds=10), le=timedelta(minutes=10))
    after: Duration = Field(default=timedelta(seconds=10), le=timedelta(minutes=10))
    keep_least: Duration = timedelta(hours=24)
    """A clip is not deleted sooner, even where there is no room for new ones."""
    keep_most: Duration = timedelta(hours=72)
    """A clip is deleted then, whatever the room."""
    max_mb: int = Field(default=256, ge=8, le=1_000_000)
    """For each camera, ring and clips together."""
    least_free_mb: int = Field(default=500, ge=0)
    """Nothing is recorded when the disk has less left."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.before > self.ring:
            raise ValueError("before is longer than ring: what a clip begins with would be gone already")
        if self.keep_least > self.keep_most:
            raise ValueError("keep_least is longer than keep_most")
        return self
