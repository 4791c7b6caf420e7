"""Frames of the local socket: 4 bytes big endian length, one JSON object, and the raw bytes it announces.

request     {"id": 1, "method": "now", "params": {}}            [+ bytes, where "bytes": N]
answer      {"id": 1, "result": {…}} or {"id": 1, "error": "one line"}
stream      {"id": 1, "event": {…}}                             [+ bytes, where "bytes": N]
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.domain.message import stamp

SOCKET = "console.sock"
"""The name of the socket in the data folder."""
MAX_REQUEST_BYTES, MAX_REQUEST_HEAD = 1 << 20, 64 << 10
"""A request with its raw bytes is at most so long, and its JSON object so long: that is parsed at once."""
MAX_ANSWER_BYTES = 64 << 20
HEADER_BYTES = 4


class FrameError(ValueError):
    """The bytes are no frame, or the frame is too long: the connection can't go on."""


def encode_frame(head: Mapping[str, Any], data: bytes = b"") -> bytes:
    """One frame; ``bytes`` is added to ``head`` where there is ``data``."""
    fields = {**head, "bytes": len(data)} if data else head
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=_plain)
    body = text.encode(errors="replace")
    return b"".join((len(body).to_bytes(HEADER_BYTES, "big"), body, data))


async def read_frame(
    reader: asyncio.StreamReader, most: int, most_head: int | None = None, within_s: float | None = None
) -> tuple[dict[str, Any], bytes] | None:
    """The next frame and its raw bytes; None where the peer has ended the connection between two frames.

    FrameError: no frame, or one of more than ``most`` bytes (its JSON object: ``most_head``); TimeoutError:
    not complete ``within_s`` of its first byte; IncompleteReadError: the connection ends within it.
    """
    first = await reader.read(1)
    if not first:
        return None
    async with asyncio.timeout(within_s):
        length = int.from_bytes(first + await reader.readexactly(HEADER_BYTES - 1), "big")
        limit = most if most_head is None else most_head
        if length > limit:
            raise FrameError(f"a frame of {length} bytes; at most {limit} are allowed")
        head = decode_head(await reader.readexactly(length))
        count = head.get("bytes", 0)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= most - length:
            raise FrameError(f"bytes: {str(count)[:40]} is no number from 0 to {most - length}")
        return head, await reader.readexactly(count) if count else b""


def decode_head(body: bytes) -> dict[str, Any]:
    """The JSON object of a frame. FrameError where it is none."""
    try:
        head = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame without a JSON object: {str(error)[:100]}") from error
    if not isinstance(head, dict):
        raise FrameError("a frame without a JSON object")
    return head


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
