"""How many messages about alerts this device has ever made, over restarts. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from agent.domain.message import stamp

KEY = "alerts/tally"
"""Where the outbox remembers it."""


class AlertTally(BaseModel):
    """``raised``: messages about alerts since ``since``; ``alerts``: those that began an alert."""

    model_config = ConfigDict(frozen=True)

    since: str
    raised: int = Field(default=0, ge=0)
    alerts: int = Field(default=0, ge=0)

    @classmethod
    def restored(cls, data: bytes | None, at: datetime, stored: int) -> Self:
        """The tally from before a restart; without one it begins now, with the ``stored`` messages."""
        try:
            return cls.model_validate_json(data or b"")
        except ValueError:
            return cls(since=stamp(at), raised=stored)

    def with_raised(self, phases: Sequence[str]) -> Self:
        """With messages of these phases."""
        raised, alerts = self.raised + len(phases), self.alerts + phases.count("new")
        return self.model_copy(update={"raised": raised, "alerts": alerts})
