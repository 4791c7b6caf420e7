"""The video of an RTSP camera as its session description (SDP, RFC 8866) announces it."""

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

from agent.vision.parameter_sets import Size, h264_size, h265_size

CODECS = frozenset({"H264", "H265", "JPEG", "MP4V-ES", "MPV", "MP2T", "VP8", "VP9", "AV1", "H263-1998"})
"""RTP payload names (RFC 3551 and later) that OpenCV's FFmpeg decodes."""
STATIC_PAYLOADS = {"26": "JPEG", "32": "MPV", "33": "MP2T"}


@dataclass(frozen=True, slots=True)
class AnnouncedVideo:
    """``control``: the URL of the stream, absolute or relative. ``size``: in pixels, where announced."""

    control: str
    size: Size | None
    codec: str = "?"
    payload: int = 0
    """The RTP payload type."""
    parameter_sets: tuple[bytes, ...] = ()
    """NAL units that are announced here, and may be missing in the stream."""


def announced_video(sdp: str) -> AnnouncedVideo:
    """The first video of a session description. ValueError: no video that can be decoded."""
    medium = re.search(r"^m=video \d+ \S+ (\d+)[^\r\n]*(.*?)(?=^m=|\Z)", sdp, re.MULTILINE | re.DOTALL)
    if medium is None:
        raise ValueError("no video in this stream")
    number, lines = medium[1], medium[2]
    named = re.search(rf"^a=rtpmap:{number} ([^/\s]+)", lines, re.MULTILINE)
    codec = named[1].upper() if named else STATIC_PAYLOADS.get(number, f"payload {number}")
    if codec not in CODECS:
        raise ValueError(f"sends {codec}, which can't be decoded here; set the camera to H.264")
    control = re.search(r"^a=control:(\S+)", lines, re.MULTILINE)
    sets = _parameter_sets(lines)
    sizes = [size for nal in sets if (size := _size_of(codec, nal)) is not None]
    largest = max(sizes, key=lambda size: size[0] * size[1], default=None)
    return AnnouncedVideo(control[1] if control else "", largest, codec, int(number), tuple(sets))


def _parameter_sets(lines: str) -> list[bytes]:
    """The NAL units of ``sprop-parameter-sets`` (RFC 6184), ``sprop-vps``, ``-sps``, ``-pps`` (RFC 7798)."""
    found = re.findall(r"\bsprop-(?:parameter-sets|[vsp]ps)=([A-Za-z0-9+/=,]+)", lines)
    units = []
    for text in ",".join(found).split(",")[:16]:
        try:
            units.append(b64decode(text))
        except (ValueError, binascii.Error):
            continue
    return units


def _size_of(codec: str, nal: bytes) -> Size | None:
    if codec == "H264" and nal[:1] and nal[0] & 0x1F == 7:
        return h264_size(nal)
    if codec == "H265" and nal[:1] and nal[0] >> 1 & 0x3F == 33:
        return h265_size(nal)
    return None
