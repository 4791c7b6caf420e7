"""Frames of the local socket: 4 bytes big endian length, one JSON object, raw bytes.

request     {"id": 1, "method": "now", "params": {}}            [+ bytes, where "bytes": N]
answer      {"id": 1, "result": {…}} or {"id": 1, "error": "one line"}
stream      {"id": 1, "event": {…}}                             [+ bytes, where "bytes": N]
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

SOCKET = "console.sock"
"""The name of the socket in the data folder."""
MAX_REQUEST_BYTES = 1 << 20
"""A request with its raw bytes is at most this long."""
MAX_ANSWER_BYTES = 64 << 20
HEADER_BYTES = 4


class FrameError(ValueError):
    """The bytes are no frame, or the frame is too long: the connection can't go on."""


def encode_frame(head: Mapping[str, Any], data: bytes | memoryview = b"") -> bytes:
    """One frame; ``bytes`` is added to ``head`` where there is ``data``."""
    fields = {**head, "bytes": len(data)} if len(data) else head
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace")
    return b"".join((len(body).to_bytes(HEADER_BYTES, "big"), body, data))


async def read_frame(reader: asyncio.StreamReader, most: int) -> tuple[dict[str, Any], bytes] | None:
    """The next frame and its raw bytes; None where the peer has ended the connection between two frames.

    FrameError: no frame, or one of more than ``most`` bytes; IncompleteReadError: it ends within a frame.
    """
    try:
        header = await reader.readexactly(HEADER_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    length = int.from_bytes(header, "big")
    if length > most:
        raise FrameError(f"a frame of {length} bytes; at most {most} are allowed")
    head = decode_head(await reader.readexactly(length))
    count = head.get("bytes", 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0 or length + count > most:
        raise FrameError(f"bytes: {str(count)[:40]} is no number from 0 to {most - length}")
    return head, await reader.readexactly(count) if count else b""


def decode_head(body: bytes) -> dict[str, Any]:
    """The JSON object of a frame. FrameError where it is none."""
    try:
        head = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame without a JSON object: {error}") from error
    if not isinstance(head, dict):
        raise FrameError("a frame without a JSON object")
    return head
