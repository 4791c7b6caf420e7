"""A block of the observation history: the observations of some seconds in a few kilobytes. Pure.

A block is a CBOR array, compressed, behind its length and its CRC. It stands for itself: a damaged or torn
block costs its own seconds only. No picture is in it; of a sighting the boxes, labels and tracks.
"""

import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from agent.domain.observations import Observation, SeenObject, Sighting, Value

VERSION = 1
HEADER = struct.Struct(">2sII")
"""Mark, size and CRC-32 of the compressed content."""
MARK = b"RH"
MAX_CONTENT = 16 * 1024 * 1024
"""Bytes of a decompressed block; a larger one is damaged."""
OF_CAMERAS = frozenset({"view", "camera_state"})
"""Kinds of values that cameras give beside sightings."""
BOX_STEPS = 10_000
"""Edges are stored in ten-thousandths of the picture, confidences in thousandths."""

Frame: TypeAlias = tuple[int, float, bool, tuple[SeenObject, ...]]
"""A sighting without its picture: frame number, delay in seconds, whether the camera moves, objects."""


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One phase of an alert that the device raised, with the action of a person's answer."""

    at: datetime
    alert_id: str
    rule: str
    key: str
    phase: str
    answer: str | None = None


@dataclass(slots=True)
class Block:
    """Observations of one run of the agent in order; ``at`` is the wall time at the monotonic ``mono_s``."""

    run: str
    at: datetime
    mono_s: float
    rows: list[tuple[str, float, Frame | Value]] = field(default_factory=list)
    alerts: list[RaisedAlert] = field(default_factory=list)


_VALUE: TypeAdapter[Any] = TypeAdapter(Value)
_ALERTS = TypeAdapter(list[RaisedAlert])


def encode_block(block: Block) -> bytes:
    """The bytes of a block."""
    import cbor2

    names: dict[str, int] = {}
    frames: dict[str, int] = {}
    rows: list[list[Any]] = []
    before_ms = 0
    for source, mono_s, value in block.rows:
        ms = round((mono_s - block.mono_s) * 1000)
        row: list[Any] = [ms - before_ms, names.setdefault(source, len(names))]
        before_ms = ms
        if isinstance(value, tuple):
            number, delay_s, moves, objects = value
            row += [number - frames.get(source, 0), round(delay_s * 1000), moves]
            row += [_object(seen, names) for seen in objects]
            frames[source] = number
        else:
            row.append(_VALUE.dump_python(value, mode="json", exclude_none=True))
        rows.append(row)
    alerts = _ALERTS.dump_python(block.alerts, mode="json", exclude_none=True)
    content = [VERSION, block.run, block.at.timestamp(), block.mono_s, list(names), rows, alerts]
    data = zlib.compress(cbor2.dumps(content), 6)
    return HEADER.pack(MARK, len(data), zlib.crc32(data)) + data


def _object(seen: SeenObject, names: dict[str, int]) -> list[Any]:
    edges = [round(edge * BOX_STEPS) for edge in seen.box]
    return [seen.track, names.setdefault(seen.label, len(names)), round(seen.score * 1000), *edges, seen.sure]


def decode_blocks(data: bytes, cameras: Collection[str] | None = None) -> Iterator[Block]:
    """The blocks in the bytes of a segment, up to the first torn or damaged one.

    With ``cameras`` what other cameras saw is left out.
    """
    at = 0
    while at + HEADER.size <= len(data):
        mark, size, crc = HEADER.unpack_from(data, at)
        body = data[at + HEADER.size : at + HEADER.size + size]
        at += HEADER.size + size
        if mark != MARK or len(body) < size or zlib.crc32(body) != crc:
            return
        block = _decode(body, cameras)
        if block is not None:
            yield block


def _decode(body: bytes, cameras: Collection[str] | None) -> Block | None:
    """The content of a block; None where another version of ringpost wrote it."""
    import cbor2

    try:
        text = zlib.decompressobj().decompress(body, MAX_CONTENT)
        version, run, at, mono_s, names, rows, alerts = cbor2.loads(text)
        if version != VERSION:
            return None
        block = Block(run, datetime.fromtimestamp(at, UTC), mono_s, alerts=_ALERTS.validate_python(alerts))
        block.rows = list(_rows(rows, names, mono_s, cameras))
    except (zlib.error, cbor2.CBORError, ValidationError, ValueError, TypeError, LookupError):
        return None
    return block


def _rows(
    rows: list[list[Any]], names: list[str], mono_s: float, cameras: Collection[str] | None
) -> Iterator[tuple[str, float, Frame | Value]]:
    ms = 0
    frames: dict[str, int] = {}
    for step_ms, place, *rest in rows:
        ms += step_ms
        source = names[place]
        if isinstance(rest[0], dict):
            if cameras is not None and rest[0]["kind"] in OF_CAMERAS and source not in cameras:
                continue
            yield source, mono_s + ms / 1000, _VALUE.validate_python(rest[0])
            continue
        number, delay_ms, moves, *objects = rest
        frames[source] = number = frames.get(source, 0) + number
        if cameras is not None and source not in cameras:
            continue
        seen = tuple(
            SeenObject(
                track=track,
                label=names[label],
                score=score / 1000,
                box=(left / BOX_STEPS, top / BOX_STEPS, right / BOX_STEPS, bottom / BOX_STEPS),
                sure=sure,
            )
            for track, label, score, left, top, right, bottom, sure in objects
        )
        yield source, mono_s + ms / 1000, (number, delay_ms / 1000, moves, seen)


def observation_of(block: Block, row: tuple[str, float, Frame | Value]) -> Observation:
    """A row of a block as the observation that it was."""
    source, mono_s, value = row
    at = datetime.fromtimestamp(block.at.timestamp() + mono_s - block.mono_s, UTC)
    if isinstance(value, tuple):
        number, delay_s, moves, objects = value
        value = Sighting(frame=number, objects=objects, delay_s=delay_s, camera_moves=moves)
    return Observation(source, at, mono_s, value)
