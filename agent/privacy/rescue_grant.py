"""Rescue grants: for a limited time, people are not redacted in pictures that leave.

A grant is signed with the device's rescue key (HMAC-SHA256), ends after `MAX_DURATION` at the latest by the
monotonic clock and by the system clock, and does not survive a reboot of the machine.
"""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.commands.requests import Command
from agent.domain.message import encode, stamp
from agent.host.clock import kernel_boot_id
from firmware_bridge.secret import Secret

MAX_DURATION = timedelta(minutes=60)
MIN_KEY_LENGTH = 32


class Privacy(BaseModel):
    """The configuration section ``privacy``. Without a key no grant is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rescue_key: Secret | None = None


class Grant(Command):
    """``command/rescue``: reason, role, expiry, and camera (all cameras without one)."""

    model_config = ConfigDict(frozen=True)

    expires: AwareDatetime
    role: str = Field(min_length=2, max_length=64)
    reason: str = Field(min_length=5, max_length=200)
    camera: str | None = Field(default=None, max_length=32)
    signature: str = ""

    def expected_signature(self, device: str, key: str) -> str:
        """The ``signature`` that this grant must carry for a device: HMAC-SHA256 in hex."""
        words = ["rescue", device, self.id, stamp(self.expires), self.role, self.reason, self.camera]
        return hmac.new(key.encode(), encode(words), hashlib.sha256).hexdigest()


class AcceptedGrant(BaseModel):
    """A grant in force, with its span on the monotonic clock; stored, to survive a restart of the agent."""

    model_config = ConfigDict(frozen=True)

    grant: Grant
    began_s: float
    ends_s: float
    boot: str


class RescueGrants:
    """The accepted grants; the newest counts, for each camera and for all cameras together.

    No grant is accepted twice, whatever the clocks do. A grant ends at most `MAX_DURATION` after it is made:
    one that ends more than `MAX_DURATION` before an accepted grant is old, and is refused without its id
    being kept.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._accepted: list[AcceptedGrant] = []

    def accept(self, grant: Grant, key: Secret | None, at: datetime, now_s: float) -> None:
        """Puts a grant in force, in place of an older one. ValueError: the reason for refusal; OSError: the
        key can't be read.

        A grant that ends in a second revokes the older one, which is refused when it is sent again.
        """
        if key is None:
            raise ValueError("privacy.rescue_key is not configured: this device accepts no rescue grant")
        secret = key.read()
        if len(secret) < MIN_KEY_LENGTH:
            raise ValueError(
                f"privacy.rescue_key is shorter than {MIN_KEY_LENGTH} characters: it is not used"
            )
        if not hmac.compare_digest(
            grant.expected_signature(self._device, secret).encode(), grant.signature.encode()
        ):
            raise ValueError("signature: it does not match these fields and this device's rescue key")
        remaining = grant.expires - at
        if not timedelta(0) < remaining <= MAX_DURATION:
            raise ValueError(
                f"expires: {stamp(grant.expires)} is not within the next 60 minutes by this"
                f" device's clock ({stamp(at)})"
            )
        if any(accepted.grant.id == grant.id for accepted in self._accepted):
            raise ValueError(f"id: {grant.id!r} was used before")
        if grant.expires <= self._expiry_floor():
            raise ValueError(
                f"expires: {stamp(grant.expires)} is older than a grant that was accepted before"
            )
        ends_s = now_s + remaining.total_seconds()
        self._accepted.append(
            AcceptedGrant(grant=grant, began_s=now_s, ends_s=ends_s, boot=kernel_boot_id() or "")
        )
        floor = self._expiry_floor()
        self._accepted = [accepted for accepted in self._accepted if accepted.grant.expires > floor]

    def withdraw(self, grant: Grant, now_s: float) -> None:
        """Ends a grant that could not be stored: it shows nobody, and is not accepted again."""
        self._accepted = [
            accepted.model_copy(update={"ends_s": now_s}) if accepted.grant.id == grant.id else accepted
            for accepted in self._accepted
        ]

    def _expiry_floor(self) -> datetime:
        """A grant that expires no later than this was made before an accepted one."""
        ends = [accepted.grant.expires for accepted in self._accepted]
        return max(ends) - MAX_DURATION if ends else datetime.min.replace(tzinfo=UTC)

    def active(self, camera: str, at: datetime, now_s: float) -> Grant | None:
        """The grant under which people may be shown in pictures of ``camera`` now."""
        newest = self._newest(at, now_s)
        return newest.get(camera) or newest.get(None)

    def status_texts(self, at: datetime, now_s: float) -> Iterator[str]:
        """One line for ``status`` for each grant in force."""
        for name, grant in self._newest(at, now_s).items():
            if grant is not None:
                cameras, until = name or "every camera", stamp(grant.expires)
                yield f"privacy: people of {cameras} are shown until {until} ({grant.role}: {grant.reason})"

    def _newest(self, at: datetime, now_s: float) -> dict[str | None, Grant | None]:
        """The newest grant of each camera (None: of all cameras), or None where that has expired."""
        return {
            accepted.grant.camera: accepted.grant
            if now_s < accepted.ends_s and at < accepted.grant.expires
            else None
            for accepted in self._accepted
        }

    def dump(self) -> bytes:
        """The accepted grants as JSON, for `restore`."""
        return encode([accepted.model_dump(mode="json") for accepted in self._accepted])

    def restore(self, data: bytes | None, now_s: float) -> None:
        """Restores the grants of before a restart of the agent.

        After a reboot of the machine the monotonic clock is new: all grants have ended, and none is accepted
        again. Damaged data shows nobody.
        """
        try:
            accepted = _ACCEPTED.validate_json(data or b"[]")
        except ValidationError:
            return
        boot = kernel_boot_id() or ""
        self._accepted = [
            entry
            if boot and entry.boot == boot
            else entry.model_copy(update={"began_s": now_s, "ends_s": now_s, "boot": boot})
            for entry in accepted
        ]


_ACCEPTED = TypeAdapter(list[AcceptedGrant])
