"""The only way out for a picture: one more detector pass, redaction, the audit log, then the outbox.

The detector looks for people in each picture once more, closely (`find_people`). Where that pass fails, hangs
or is too slow, the picture leaves fully redacted. Where no picture can be made, it is withheld.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from agent.audit.silent import Audit
from agent.domain.message import Message, new_id, stamp
from agent.domain.zones import Corner
from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.jpeg import MAX_SIDE, QualityHint, decode_jpeg, encode_picture, read_label, reencode
from agent.evidence.people_search import PeopleSearch, set_trouble
from agent.evidence.settings import Evidence
from agent.host.clock import utc_now
from agent.privacy.redaction import REDACTION_PASSES
from agent.privacy.rescue_grant import Grant
from agent.runtime.native_calls import within
from models.detection import Box, Detect

log = structlog.get_logger()

EXPIRES = timedelta(hours=24)
"""A picture that could not be sent for this long is dropped from the outbox; it can still be fetched."""

LARGER_LIMIT_S = 10.0
"""The picture of a larger stream takes no longer."""
LOOK_BYTES = 250_000
"""A picture for a page at the device may have so many bytes, as it goes over no slow line."""

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
        self._people = PeopleSearch(troubles)

    def configure(
        self,
        config: Evidence,
        blackout: Mapping[str, Sequence[Sequence[Corner]]],
        recipients: Callable[[], Mapping[str, Any]],
        detectors: Mapping[str, Callable[[], Detect]],
    ) -> None:
        """New settings; see `EvidenceRecorder.configure`."""
        self._config, self._recipients = config, recipients
        self._blackout = {**self._blackout, **blackout}  # replaced, not changed: a thread may read it
        self._people.configure(detectors)

    async def release(self, request: PictureRequest, number: int, source: PictureSource) -> None:
        """Sends one picture, or withholds it. Its entry in the audit log is on disk before it is sent."""
        try:
            kept = await asyncio.to_thread(source.read_bytes) if isinstance(source, Path) else source
            if isinstance(kept, EvidenceFrame):
                kept = await self._from_larger_stream(kept)
                frame = kept.frame
            else:
                frame = await asyncio.to_thread(decode_jpeg, kept)
            people = await self._people.find(request.camera, frame)
            jpeg, entry = await asyncio.to_thread(self._make, request, number, kept, people)
        except Exception as error:  # OpenCV's own errors among them: whatever fails, the picture stays here
            request.withheld += 1
            set_trouble(self._troubles, "withheld", f"a picture was withheld: {error}")
            return
        self._troubles.pop("withheld", None)
        later_s = kept.later_s if isinstance(kept, EvidenceFrame) else None
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
        if later_s is not None:
            rows, columns = frame.shape[:2]
            request.picture |= {
                "stream": "evidence_url",
                "later_s": later_s,
                "width": columns,
                "height": rows,
            }

    async def _from_larger_stream(self, frame: EvidenceFrame) -> EvidenceFrame:
        """The picture of the same moment from the camera's evidence stream; ``frame`` where there is none.

        The boxes of people found in ``frame`` stay, as fractions; `release` looks for people in it again.
        """
        if frame.larger is None:
            return frame
        try:
            what = f"getting a picture of {frame.camera} from evidence_url"
            larger, later_s = await within(LARGER_LIMIT_S, frame.larger, what)
        except (
            Exception
        ) as error:  # OpenCV's own errors among them; health tells it (`EvidenceStream.trouble`)
            log.info("evidence_url_not_used", camera=frame.camera, error=str(error))
            return replace(frame, larger=None)
        return replace(frame, frame=larger, larger=None, later_s=round(later_s, 2))

    async def look(
        self, source: EvidenceFrame | bytes, camera: str, label: Mapping[str, Any], max_side: int
    ) -> bytes:
        """A picture for a page at the device, made and redacted as `release` does it, but sent nowhere.

        It waits for all that is for alerts. ValueError where no picture can be made.
        """
        frame = (
            source.frame
            if isinstance(source, EvidenceFrame)
            else await asyncio.to_thread(decode_jpeg, source)
        )
        people = await self._people.find_gently(camera, frame)
        fields = {**label, "looks": 0 if people is None else REDACTION_PASSES}
        grant, most = self._active_grant(camera), max(LOOK_BYTES, self._config.picture_kb * 1000)
        if isinstance(source, EvidenceFrame):
            return await asyncio.to_thread(self._encode, source, people, fields, grant, None, most, max_side)
        return await asyncio.to_thread(
            reencode, source, fields, people=people, blackout=self._blackout.get(camera, ()),
            unredacted=grant is not None, max_bytes=most, max_side=max_side,
        )  # fmt: skip

    def encode(self, frame: EvidenceFrame, hint: QualityHint) -> bytes:
        """The picture of a frame for the ring buffer, redacted unless there is a grant. Blocking."""
        return self._encode(frame, (), {}, self._active_grant(frame.camera), hint)

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
            "at": stamp(utc_now()),
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
        max_bytes: int | None = None,
        max_side: int = MAX_SIDE,
    ) -> bytes:
        """The picture of a frame, redacted unless there is a grant. Blocking.

        ``people``: found by the redaction pass, beside those of the frame; None where it could not run.
        """
        fields = {"device": self._device, "camera": frame.camera, "frame": frame.number, "at": frame.at}
        if frame.later_s is not None:
            fields |= {"stream": "evidence_url", "later_s": frame.later_s}
        return encode_picture(
            frame.frame,
            None if people is None else (*frame.people, *people),
            fields | dict(label),
            blackout=self._blackout.get(frame.camera, ()),
            unredacted=grant is not None,
            max_bytes=max_bytes or self._config.picture_kb * 1000,
            max_side=max_side,
            hint=hint,
        )


def _grant_fields(grant: Grant) -> dict[str, Any]:
    return {"id": grant.id, "role": grant.role, "reason": grant.reason, "until": stamp(grant.expires)}
