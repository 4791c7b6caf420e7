"""The only way out for a picture: one more detector pass, redaction, the audit log, then the outbox.

The detector looks for people in each picture once more, closely (`find_people`). Where that pass fails, hangs
or is too slow, the picture leaves fully redacted. Where no picture can be made, it is withheld.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from agent.audit.silent import Audit
from agent.domain.message import Message, new_id, stamp
from agent.domain.zones import Corner
from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.jpeg import QualityHint, decode_jpeg, encode_picture, read_label, reencode
from agent.evidence.settings import Evidence
from agent.privacy.redaction import REDACTION_PASSES, find_people
from agent.privacy.rescue_grant import Grant
from agent.runtime.native_calls import within
from agent.vision.detector import DetectorSettings
from models.detection import Box, Detect, Detection, Frame

log = structlog.get_logger()

EXPIRES = timedelta(hours=24)
"""A picture that could not be sent for this long is dropped from the outbox; it can still be fetched."""
REDACTION_LIMIT_S = 20.0
"""The redaction pass over one picture may take this long; after that the picture leaves fully redacted."""
RETRY_AFTER_S = 60.0
"""After a failed redaction pass none starts for this long: each hanging detector takes a thread."""

PictureSource: TypeAlias = EvidenceFrame | Path | bytes
"""What a picture is made from: a frame in memory, or a JPEG on disk or in memory."""


@dataclass(slots=True)
class PictureRequest:
    """Pictures to release, and the reason; ``done`` is called with how many were sent and withheld.

    ``alert_id`` is the id of a command where ``by_command``.
    """

    alert_id: str
    camera: str
    reason: str
    pictures: deque[tuple[int, PictureSource]]
    done: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None
    kept: int = 0
    complete: bool = True
    sent: int = 0
    withheld: int = 0
    due_s: float = 0.0
    by_command: bool = False
    picture: Mapping[str, Any] = field(default_factory=dict)
    """Of the last picture sent: its topic and bytes, and how many people were redacted and shown in it."""


def set_trouble(troubles: dict[str, str], topic: str, text: str) -> None:
    """Records what is wrong, and logs it when the text is new."""
    if troubles.get(topic) != text:
        log.warning("evidence_trouble", what=topic, text=text)
    troubles[topic] = text


class PictureRelease:
    """Makes, redacts, logs and sends pictures. ``active_grant``: the grant under which a camera's people may
    be shown now. ``send`` takes a picture with its entry in the audit log and stores it in the outbox."""

    def __init__(
        self,
        device: str,
        audit: Audit,
        active_grant: Callable[[str], Grant | None],
        send: Callable[[Message, Mapping[str, Any]], Awaitable[None]],
        troubles: dict[str, str],
    ) -> None:
        self._device, self._active_grant, self._send = device, active_grant, send
        self._audit = audit
        self._troubles = troubles
        self._config = Evidence()
        self._recipients: Callable[[], Mapping[str, Any]] = dict
        self._blackout: dict[str, Sequence[Sequence[Corner]]] = {}
        """By camera, also of cameras that are no longer configured: their last frames may still be used."""
        self._detectors: Mapping[str, Callable[[], Detect]] = {}
        self._no_redaction_until_s: dict[str, float] = {}
        """By camera: until when no redaction pass starts (monotonic)."""

    def configure(
        self,
        config: Evidence,
        blackout: Mapping[str, Sequence[Sequence[Corner]]],
        recipients: Callable[[], Mapping[str, Any]],
        detectors: Mapping[str, Callable[[], Detect]],
    ) -> None:
        """New settings; see `EvidenceRecorder.configure`."""
        self._config, self._recipients, self._detectors = config, recipients, detectors
        self._blackout = {**self._blackout, **blackout}  # replaced, not changed: a thread may read it
        self._no_redaction_until_s.clear()

    async def release(self, request: PictureRequest, number: int, source: PictureSource) -> None:
        """Sends one picture, or withholds it. Its entry in the audit log is on disk before it is sent."""
        try:
            kept = await asyncio.to_thread(source.read_bytes) if isinstance(source, Path) else source
            if isinstance(kept, EvidenceFrame):
                frame = kept.frame
            else:
                frame = await asyncio.to_thread(decode_jpeg, kept)
            people = await self._find_people(request.camera, frame)
            jpeg, entry = await asyncio.to_thread(self._make, request, number, kept, people)
        except Exception as error:  # OpenCV's own errors among them: whatever fails, the picture stays here
            request.withheld += 1
            set_trouble(self._troubles, "withheld", f"a picture was withheld: {error}")
            return
        self._troubles.pop("withheld", None)
        message = Message(lane="media", topic=entry["topic"], id=new_id(), body=jpeg, expires_after=EXPIRES)
        await self._send(message, entry)
        request.sent += 1
        request.picture = {
            "media": entry["topic"],
            "bytes": entry["bytes"],
            "people_redacted": entry["covered"],
            "people_shown": entry["shown"],
            "fully_redacted": people is None and entry["flag"] is None,
        }

    def encode(self, frame: EvidenceFrame, hint: QualityHint) -> bytes:
        """The picture of a frame for the ring buffer, redacted unless there is a grant. Blocking."""
        return self._encode(frame, (), {}, self._active_grant(frame.camera), hint)

    async def _find_people(self, camera: str, frame: Frame) -> tuple[Box, ...] | None:
        """The people in a picture before it leaves; None where the detector can't run (see `troubles`)."""
        now_s = time.monotonic()
        if now_s < self._no_redaction_until_s.get(camera, 0.0):
            return None
        load = self._detectors.get(camera, DetectorSettings().finder)

        def redaction_pass() -> tuple[Box, ...]:
            detect = load()

            def detect_in_time(frame: Frame) -> tuple[Detection, ...]:
                if time.monotonic() > now_s + REDACTION_LIMIT_S:  # no hang, but this machine is too slow
                    raise TimeoutError(
                        f"{REDACTION_PASSES} inferences take longer than {REDACTION_LIMIT_S:g} s here"
                    )
                return detect(frame)

            return find_people(frame, detect_in_time)

        try:
            doing = f"looking for people in a picture of {camera}"
            people = await within(REDACTION_LIMIT_S, redaction_pass, doing)
        except Exception as error:  # also of the inference runtime
            self._no_redaction_until_s[camera] = time.monotonic() + RETRY_AFTER_S
            text = f"pictures of {camera} leave fully redacted: {error}"
            set_trouble(self._troubles, f"redaction {camera}", text)
            return None
        self._no_redaction_until_s.pop(camera, None)
        self._troubles.pop(f"redaction {camera}", None)
        return people

    def _make(
        self,
        request: PictureRequest,
        number: int,
        source: EvidenceFrame | bytes,
        people: tuple[Box, ...] | None,
    ) -> tuple[bytes, dict[str, Any]]:
        """A picture and its entry in the audit log, which is on disk on return. Blocking."""
        grant = self._active_grant(request.camera)
        passes = 0 if people is None else REDACTION_PASSES
        owner = "command_id" if request.by_command else "alert_id"
        label = {owner: request.alert_id, "n": number, "why": request.reason, "looks": passes}
        if isinstance(source, EvidenceFrame):
            jpeg = self._encode(source, people, label, grant)
        else:
            jpeg = reencode(
                source,
                label,
                people=people,
                blackout=self._blackout.get(request.camera, ()),
                unredacted=grant is not None,
                max_bytes=self._config.picture_kb * 1000,
            )
        entry = self._entry(request, number, jpeg, passes, grant)
        entry["entry"] = self._audit.append_durably("picture", **entry)
        return jpeg, entry

    def _entry(
        self, request: PictureRequest, number: int, jpeg: bytes, passes: int, grant: Grant | None
    ) -> dict[str, Any]:
        """The entry of a picture in the audit log."""
        label = read_label(jpeg)
        count = None if label["people"] is None else len(label["people"])
        redacted = label["covered"]
        return {
            "at": stamp(datetime.now(UTC)),
            "topic": f"media/{request.alert_id}/{number}",
            **self._recipients(),
            "camera": request.camera,
            "taken_at": label.get("at"),
            "why": request.reason,
            "looks": passes,
            "covered": count if redacted else 0,
            "shown": 0 if redacted else count,
            "flag": None if redacted or grant is None else _grant_fields(grant),
            "sha256": sha256(jpeg).hexdigest(),
            "bytes": len(jpeg),
        }

    def _encode(
        self,
        frame: EvidenceFrame,
        people: tuple[Box, ...] | None,
        label: Mapping[str, Any],
        grant: Grant | None,
        hint: QualityHint | None = None,
    ) -> bytes:
        """The picture of a frame, redacted unless there is a grant. Blocking.

        ``people``: found by the redaction pass, beside those of the frame; None where it could not run.
        """
        fields = {"device": self._device, "camera": frame.camera, "frame": frame.number, "at": frame.at}
        return encode_picture(
            frame.frame,
            None if people is None else (*frame.people, *people),
            fields | dict(label),
            blackout=self._blackout.get(frame.camera, ()),
            unredacted=grant is not None,
            max_bytes=self._config.picture_kb * 1000,
            hint=hint,
        )


def _grant_fields(grant: Grant) -> dict[str, Any]:
    return {"id": grant.id, "role": grant.role, "reason": grant.reason, "until": stamp(grant.expires)}
