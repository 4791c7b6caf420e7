"""The rescue flag: for a while, and by somebody who may, people are not covered in pictures that leave.

A grant is signed with the device's rescue key (HMAC-SHA256), ends after `MOST` at the latest by the monotonic
clock and by the wall's, and does not outlive the machine's next start.
"""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.commands.requests import Command
from agent.domain.message import encode, stamp
from agent.runtime.kernel_clock import kernel_boot_id
from firmware_bridge.secret import Secret

MOST = timedelta(minutes=60)
LEAST_KEY = 32


class Privacy(BaseModel):
    """Who may lift the cover from people, and nobody may where no key is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rescue_key: Secret | None = None


class Grant(Command):
    """``command/rescue``: why, by which role, until when, and for which camera (all, if none is named)."""

    model_config = ConfigDict(frozen=True)

    expires: AwareDatetime
    role: str = Field(min_length=2, max_length=64)
    reason: str = Field(min_length=5, max_length=200)
    camera: str | None = Field(default=None, max_length=32)
    signature: str = ""

    def signed(self, device: str, key: str) -> str:
        """What ``signature`` must be for this device."""
        words = ["rescue", device, self.id, stamp(self.expires), self.role, self.reason, self.camera]
        return hmac.new(key.encode(), encode(words), hashlib.sha256).hexdigest()


class Taken(BaseModel):
    """A grant that was taken, and what it takes to find it again after the agent was restarted."""

    model_config = ConfigDict(frozen=True)

    grant: Grant
    began_s: float
    ends_s: float
    boot: str


class Rescue:
    """The grants that were taken; of each camera, and of all together, the newest counts.

    No grant is taken twice, whatever the clocks do. A grant ends at most `MOST` after it is made: every new
    one ends later than `MOST` before any earlier end: those that do not are refused, and need no id kept.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._taken: list[Taken] = []

    def take(self, grant: Grant, key: Secret | None, at: datetime, now_s: float) -> None:
        """A grant comes into force, in place of an older one. ValueError says why not; OSError: no key there.

        One that ends in a second ends the older one: an older one that is sent again does not come back.
        """
        if key is None:
            raise ValueError("this device has no privacy.rescue_key: nobody may lift the cover here")
        secret = key.read()
        if len(secret) < LEAST_KEY:
            raise ValueError(f"privacy.rescue_key is shorter than {LEAST_KEY} characters: it is not used")
        if not hmac.compare_digest(grant.signed(self._device, secret).encode(), grant.signature.encode()):
            raise ValueError("signature: it is not made with this device's rescue key over these very words")
        left = grant.expires - at
        if not timedelta(0) < left <= MOST:
            raise ValueError(
                f"expires: {stamp(grant.expires)} is not within the next 60 minutes by this"
                f" device's clock, which says {stamp(at)}"
            )
        if any(taken.grant.id == grant.id for taken in self._taken):
            raise ValueError(f"id: {grant.id!r} was used before")
        if grant.expires <= self._oldest():
            raise ValueError(f"expires: {stamp(grant.expires)} is older than a grant that was taken before")
        ends_s = now_s + left.total_seconds()
        self._taken.append(Taken(grant=grant, began_s=now_s, ends_s=ends_s, boot=kernel_boot_id() or ""))
        oldest = self._oldest()
        self._taken = [taken for taken in self._taken if taken.grant.expires > oldest]

    def withdraw(self, grant: Grant, now_s: float) -> None:
        """It could not be kept: it shows nobody, and is taken no more."""
        self._taken = [
            taken.model_copy(update={"ends_s": now_s}) if taken.grant.id == grant.id else taken
            for taken in self._taken
        ]

    def _oldest(self) -> datetime:
        """A grant that expires no later than this was made before one that was taken."""
        ends = [taken.grant.expires for taken in self._taken]
        return max(ends) - MOST if ends else datetime.min.replace(tzinfo=UTC)

    def flag(self, camera: str, at: datetime, now_s: float) -> Grant | None:
        """The grant under which people of ``camera`` may be shown now."""
        newest = self._newest(at, now_s)
        return newest.get(camera) or newest.get(None)

    def reasons(self, at: datetime, now_s: float) -> Iterator[str]:
        """What ``status`` says while people are shown."""
        for name, grant in self._newest(at, now_s).items():
            if grant is not None:
                until, who = stamp(grant.expires), f"{grant.role}: {grant.reason}"
                yield f"privacy: people of {name or 'every camera'} are shown until {until} ({who})"

    def _newest(self, at: datetime, now_s: float) -> dict[str | None, Grant | None]:
        """By camera the newest grant, or None where that is over."""
        return {
            taken.grant.camera: taken.grant if now_s < taken.ends_s and at < taken.grant.expires else None
            for taken in self._taken
        }

    def dump(self) -> bytes:
        """For `restore`."""
        return encode([taken.model_dump(mode="json") for taken in self._taken])

    def restore(self, data: bytes | None, now_s: float) -> None:
        """What was taken before the agent was restarted.

        If the machine was, its clock is new: nobody is shown, and nothing of it can be taken again.
        """
        try:
            taken = _TAKEN.validate_json(data or b"[]")
        except ValidationError:  # damaged: nobody is shown
            return
        boot = kernel_boot_id() or ""
        self._taken = [
            one
            if boot and one.boot == boot
            else one.model_copy(update={"began_s": now_s, "ends_s": now_s, "boot": boot})
            for one in taken
        ]


_TAKEN = TypeAdapter(list[Taken])
