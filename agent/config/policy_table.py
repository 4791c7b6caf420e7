"""One row for each field of the configuration: the signatures that a change of it by push needs.

free: one key whose role covers the path. guarded: as many keys as the roles document demands. picture:
guarded, with a privacy officer among the signers. local: only the file at the device. A field without a row
is local. Rules, and sources other than cameras, are free as a whole, but for what `push_changes` guards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel

from agent.vision.camera_url import ENCRYPTED
from models.labels import PEOPLE

Tighter: TypeAlias = Callable[[Any, Any], bool]
"""Whether the first value is as strict as the second, or stricter."""


def _not_removed(new: Any, old: Any) -> bool:
    return old is None or new is not None


def _at_least(new: Any, old: Any) -> bool:
    return bool(new >= old)


def _at_most(new: Any, old: Any) -> bool:
    return bool(new <= old)


def _encrypted(new: str, old: str) -> bool:
    return urlsplit(old).scheme != "mqtts" or urlsplit(new).scheme == "mqtts"


def _verified(new: str, old: str) -> bool:
    """A camera that was verified stays so: no rtsp:// for rtsps://, no http:// for https://."""
    was, now = (url.partition("://")[0].lower() if "://" in url else "" for url in (old, new))
    return was not in ENCRYPTED or now in ENCRYPTED or now == ""


def _kept_or_none(new: str | None, old: str | None) -> bool:
    return new is None or new == old


def _receipts(new: str, old: str) -> bool:
    return new == "receipt" or old != "receipt"


def _newest_protocol(new: str, old: str) -> bool:
    return new in (old, "5")


def _only_added(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(item in new for item in old)


def _people_kept(new: tuple[str, ...] | None, old: tuple[str, ...] | None) -> bool:
    """None means all labels that the model knows."""
    if new is None:
        return True
    return old is not None and PEOPLE.intersection(old) <= set(new)


@dataclass(frozen=True, slots=True)
class Row:
    """The guard on one field."""

    guard: Literal["free", "guarded", "picture", "local", "parts"]
    """parts: each field of the section has its own row."""
    tighter: Tighter | None = None
    """A change that is tighter is free."""
    limit: Tighter | None = None
    """A change that is not as strict as this is impossible by push, whatever its signatures."""
    message: str = ""
    """The error beyond ``limit``."""


FREE, GUARDED, PICTURE, LOCAL, PARTS = (
    Row("free"),
    Row("guarded"),
    Row("picture"),
    Row("local"),
    Row("parts"),
)
KEPT = Row("guarded", limit=_not_removed, message="can't be left out by push")


def _free(part: str, fields: str) -> dict[str, Row]:
    return {f"{part}.{field}": FREE for field in fields.split()}


POLICY: dict[str, Row] = {
    **_free("Config", "schema_version duty holidays reporting positioning"),
    "Config.device": LOCAL,
    "Config.groups": LOCAL,
    "Config.roles": LOCAL,
    "Config.kind": GUARDED,  # kind, ring and domain decide which groups, and so whose orders, count here
    "Config.place": PARTS,
    **_free("Place", "site post lat lon timezone"),
    "Place.ring": GUARDED,
    "Place.domain": GUARDED,
    "Config.broker": PARTS,
    "Config.data": PARTS,
    "Data.directory": LOCAL,
    "Data.max_mb": LOCAL,
    "Data.video_folder": LOCAL,
    "Config.evidence": PARTS,
    "Config.privacy": LOCAL,
    "Config.history": LOCAL,
    "Config.allow": LOCAL,
    "Config.guarded_rules": LOCAL,
    "Config.sources": PARTS,
    "Config.rules": PARTS,
    "Config.drill": PARTS,
    **_free("DrillSettings", "every at within"),
    "DrillSettings.clip": LOCAL,
    # The connection to the centre: a change is proved by the centre's receipt, and never gives up TLS
    # or receipts: a broker without a centre would take the device, and its alerts, for good.
    **_free("Broker", "keepalive resend_after reconnect_wait backlog_per_s budget_kb_per_hour metered"),
    "Broker.url": Row("guarded", limit=_encrypted, message="can't go from mqtts:// to mqtt:// by push"),
    "Broker.fallbacks": GUARDED,
    "Broker.protocol": Row("guarded", tighter=_newest_protocol),
    "Broker.delivery": Row(
        "guarded", tighter=_receipts, limit=_receipts, message="can't go from receipt to puback by push"
    ),
    "Broker.ca": KEPT,
    "Broker.cert": KEPT,
    "Broker.key": KEPT,
    "Broker.username": KEPT,
    "Broker.password": KEPT,
    "Broker.insecure": Row("guarded", tighter=_at_most, limit=_at_most, message="can't be set by push"),
    # Retention of pictures: what deletes them earlier, or records fewer or none, takes a privacy officer.
    "Evidence.picture_kb": FREE,
    "Evidence.record": PICTURE,
    **{f"Evidence.{name}": Row("picture", tighter=_at_least) for name in ("fps", "ring", "before", "after")},
    "Evidence.keep_least": Row("picture", tighter=_at_least),
    "Evidence.keep_most": Row("picture", tighter=_at_least),
    "Evidence.max_mb": Row("picture", tighter=_at_least),
    "Evidence.least_free_mb": Row("picture", tighter=_at_most),
    # What pictures show. Zones and detection settings are free; for the address see `push_changes`. Many V4L2
    # cameras cut their picture to the size or rate of the mode, so a blackout would cover another part of it.
    **_free("Camera", "required kind username password purpose fps motion zones coverage ground mount"),
    **_free("Camera", "loop every_frame open_timeout read_timeout decode"),
    **{f"Camera.{name}": PICTURE for name in ("width", "height", "pixel_format", "camera_fps")},
    "Camera.url": Row("free", limit=_verified, message="can't give up TLS by push"),
    "Camera.evidence_url": Row("picture", tighter=_kept_or_none),
    "Camera.ca": GUARDED,
    "Camera.fingerprint": GUARDED,
    "Camera.max_pixels": Row("guarded", tighter=_at_most),
    "Camera.basic": Row("guarded", tighter=_at_most, limit=_at_most, message="can't be set by push"),
    "Camera.rotate": PICTURE,
    "Camera.crop": PICTURE,
    "Camera.blackout": Row("picture", tighter=_only_added),
    "Camera.detector": PARTS,
    **_free("DetectorSettings", "score tiles overlap providers regions"),
    "DetectorSettings.model": PICTURE,
    "DetectorSettings.verify_model": GUARDED,  # it swallows no alert, but people may trust its verdict
    "DetectorSettings.labels": Row("picture", tighter=_people_kept),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field that has a row: its new value, and those that it is compared with."""

    path: str
    row: Row
    new: Any
    running: Sequence[Any]
    """In force; for a camera, those of each camera that may show the same view."""
    local: Sequence[Any]
    """In the local file."""

    def is_tighter(self, tighter: Tighter) -> bool:
        """Values of the local file count only where the configuration in force is not weaker already."""
        kept = [own for own in self.local if all(tighter(old, own) for old in self.running)]
        return all(tighter(self.new, old) for old in (*self.running, *kept))


def fields(part: BaseModel, running: Sequence[Any], local: Sequence[Any], path: str) -> Iterator[Field]:
    """Each field of a section, and of the sections in it whose row says ``parts``."""
    for name in type(part).model_fields:
        yield from _field(type(part).__name__, name, part, running, local, path)


def _field(
    model: str, name: str, part: BaseModel, running: Sequence[Any], local: Sequence[Any], path: str
) -> Iterator[Field]:
    row = POLICY.get(f"{model}.{name}", LOCAL)
    new, olds, own = (
        getattr(part, name),
        [getattr(one, name) for one in running],
        [getattr(one, name) for one in local],
    )
    inner = f"{path}.{name}" if path else name
    if row is PARTS and isinstance(new, BaseModel):
        yield from fields(new, olds, own, inner)
    elif row is not PARTS:
        yield Field(inner, row, new, olds, own)


def rows_of(model: type[BaseModel]) -> Iterator[str]:
    """The names of the rows of a model."""
    yield from (f"{model.__name__}.{name}" for name in model.model_fields)
