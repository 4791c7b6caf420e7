"""The messages of the centre to the device, as models. Unknown fields are ignored."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator


class CommandId(BaseModel):
    """The part of a command that a result needs, however wrong the rest is."""

    id: str = Field(min_length=1, max_length=64)


class Command(CommandId):
    """``command/<name>``: the fields that every command has."""

    expires: AwareDatetime | None = None


WITHOUT_FIELDS: Mapping[str, str] = {
    "challenge": "Ask for a nonce, which orders that switch or uncover something sign.",
    "config_history": "List the configurations that the device keeps.",
    "diagnostics": "Ask for what helps to find a fault.",
    "ping": "Ask for a sign of life.",
    "rebirth": "Ask for birth, status and health again.",
}
"""Commands that have no further fields, and what each is for; the desk makes a verb of each."""


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


class Probe(Command):
    """``command/probe``: what a camera, a port, a broker or a model is; nothing in force is changed.

    ``credentials``: the name of a camera in the file at the device, whose login is used for ``camera_url``.
    """

    id: PictureId
    camera_url: str | None = Field(default=None, min_length=1, max_length=500)
    port: str | None = Field(default=None, min_length=1, max_length=200)
    broker: str | None = Field(default=None, min_length=1, max_length=500)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    credentials: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(one is not None for one in (self.camera_url, self.port, self.broker, self.model)) != 1:
            raise ValueError("give one of camera_url, port, broker and model")
        if self.credentials is not None and self.camera_url is None:
            raise ValueError("credentials are those of a camera: give camera_url")
        return self


class WhatIf(Command):
    """``command/what_if``: what proposed zones of ``camera`` and rules would have reported in the last hours.

    ``zones`` and ``rules`` are merge patches (RFC 7396): null removes one, others stay as they are.
    """

    camera: str | None = Field(default=None, max_length=64)
    zones: dict[str, Any] = Field(default_factory=dict)
    rules: dict[str, Any] = Field(default_factory=dict)
    hours: float = Field(default=24, gt=0, le=168)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.zones and not self.rules:
            raise ValueError("give zones or rules, or both")
        if self.zones and self.camera is None:
            raise ValueError("zones are those of a camera: give camera too")
        return self


class Resend(Command):
    """``command/resend``: sequence numbers that the centre has lost, as ranges (first, last)."""

    lane: Literal["alert", "result"]
    epoch: str = Field(min_length=1, max_length=64)
    ranges: list[tuple[int, int]] = Field(min_length=1, max_length=500)


class RescueModeRequest(Command):
    """``command/rescue_mode``: more frames, positions and snapshots for ``for_s``; 0 ends it."""

    id: PictureId
    for_s: float = Field(ge=0, le=4 * 3600)
    reason: str = Field(min_length=1, max_length=200)


class RestartPart(Command):
    """``command/restart_part``: ends a source or the link, and starts it again."""

    part: str = Field(min_length=1, max_length=64)


class RotateCertificate(Command):
    """``command/rotate_certificate``: asks for a request (CSR), or installs the certificate, in PEM."""

    step: Literal["request", "install"]
    certificate: str | None = Field(default=None, max_length=8 * 1024)

    @model_validator(mode="after")
    def _install_needs_it(self) -> Self:
        if (self.step == "install") != (self.certificate is not None):
            raise ValueError('certificate goes with step "install"')
        return self


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


class ConfigConfirm(Command):
    """``command/config_confirm``: keeps the revision that waits for a confirmation."""

    revision: int = Field(ge=1, lt=2**53)


class ConfigRollback(Command):
    """``command/config_rollback``: returns to an earlier configuration, without ``to_revision`` to the one
    before; 0 is the local file. ``target``: the group that it was pushed to."""

    to_revision: int | None = Field(default=None, ge=0, lt=2**53)
    target: str | None = Field(default=None, max_length=80)


class ConfigGet(Command):
    """``command/config_get``: the text of the configuration in force, or of an earlier one."""

    revision: int | None = Field(default=None, ge=0, lt=2**53)
    target: str | None = Field(default=None, max_length=80)


NOT_ACTIVE = "names no active alert, or is malformed"
"""Why an acknowledgement is refused whose signature suffices."""


class Ack(BaseModel):
    """``alert/ack``: a person's acknowledgement, by role and never by name."""

    alert_id: str = Field(min_length=1, max_length=64)
    role: str = Field(min_length=1, max_length=64)
    action: Literal["ack", "close", "reject"] = "ack"
    reason: str | None = Field(default=None, max_length=200)
