"""The messages of the centre to the device, as models. Unknown fields are ignored."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints


class CommandId(BaseModel):
    """The part of a command that a result needs, however wrong the rest is."""

    id: str = Field(min_length=1, max_length=64)


class Command(CommandId):
    """``command/<name>``: the fields that every command has."""

    expires: AwareDatetime | None = None


class OutputCommand(Command):
    """``command/output``: switches an output of a source on for ``ttl_s``, or off."""

    source: str = Field(min_length=1, max_length=64)
    output: str = Field(min_length=1, max_length=64)
    on: bool = True
    ttl_s: float = Field(default=30, ge=1, le=600)


class Fetch(Command):
    """``command/fetch``: requests the clip of an alert, up to ``pictures``, on ``media/<alert_id>/<n>``."""

    alert_id: str = Field(min_length=1, max_length=64)
    pictures: int = Field(default=20, ge=1, le=40)


PictureId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
"""The id of a command that sends pictures: it is a level of their topic."""


class Snapshot(Command):
    """``command/snapshot``: requests the newest frame of a camera, redacted, on ``media/<id>/1``."""

    id: PictureId
    camera: str = Field(min_length=1, max_length=64)


class Resend(Command):
    """``command/resend``: sequence numbers that the centre has lost, as ranges (first, last)."""

    lane: Literal["alert", "result"]
    epoch: str = Field(min_length=1, max_length=64)
    ranges: list[tuple[int, int]] = Field(min_length=1, max_length=500)


class SilenceAlert(Command):
    """``command/silence_alert``: the repeats and outputs of an alert are quiet for ``for_s``; 0 ends that."""

    alert_id: str = Field(min_length=1, max_length=64)
    for_s: float = Field(ge=0, le=4 * 3600)
    reason: str = Field(min_length=1, max_length=200)


class DrillRequest(Command):
    """``command/drill``: proves a rule or a camera from the detector to the centre; by default what is most
    severe."""

    rule: str | None = Field(default=None, min_length=1, max_length=64)
    camera: str | None = Field(default=None, min_length=1, max_length=64)


class Ack(BaseModel):
    """``alert/ack``: a person's acknowledgement, by role and never by name."""

    alert_id: str = Field(min_length=1, max_length=64)
    role: str = Field(min_length=1, max_length=64)
    action: Literal["ack", "close", "reject"] = "ack"
    reason: str | None = Field(default=None, max_length=200)
