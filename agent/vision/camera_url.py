"""The allow-list of camera URLs. Pure; nothing is opened here.

FFmpeg interprets source names (``concat:``, ``subfile,``, playlists of ``file:``), so no text of a
configuration is passed to it as a name: a camera is a V4L2 device, a file, or a stream of one of `SCHEMES`.
"""

import os.path
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "udp": 0, "rtp": 0}
"""Stream schemes with their default ports; 0: the URL must contain one."""
ENCRYPTED = frozenset({"rtsps", "https"})
MAX_PIXELS = 4096 * 4096
"""The upper limit of ``max_pixels``: a larger picture would take most of a small board's memory."""
FINGERPRINT_PATTERN = r"^sha256:[0-9a-f]{64}$"
EXPECTED = "write rtsp, rtsps, http, https, udp or rtp://HOST…, /dev/videoN, or the path of a file"

Kind = Literal["device", "file", "stream"]


@dataclass(frozen=True, slots=True)
class Trust:
    """Which servers may get a camera's password.

    ``ca``: file of the CA that signed the camera's certificate, None for the CAs of the system. ``basic``:
    whether Basic authentication (the password in clear text) is allowed without TLS.
    """

    ca: Path | None = None
    basic: bool = False
    fingerprint: str | None = None
    """``sha256:`` and the hash of the only certificate that is trusted, in place of a CA."""


NO_TRUST = Trust()


def source_kind(url: str) -> Kind:
    """The kind of a camera URL. ValueError where it is not allowed, with what would be right."""
    if re.search(r"[\x00-\x20\x7f]", url) and ("://" in url or "\x00" in url or "\n" in url):
        raise ValueError("url holds a space or a control character; write it as %20")
    if re.fullmatch(r"[0-9]{1,3}", url) or os.path.normpath(url).startswith("/dev/"):
        return "device"
    named = re.match(r"([A-Za-z0-9+.-]*)[:,]", url)
    if named is None and "://" not in url and "|" not in url:
        return "file"
    scheme = named[1].lower() if named else ""
    if scheme not in SCHEMES or not url[len(scheme) :].startswith("://"):
        raise ValueError(f"{scheme or url[:20]!r} is not a supported camera URL; {EXPECTED}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"url: {error}; {EXPECTED}") from None
    if not parts.hostname and scheme not in ("udp", "rtp"):
        raise ValueError(f"url names no host; {EXPECTED}")
    if not (port or SCHEMES[scheme]):
        raise ValueError(f"url names no port; write {scheme}://{parts.hostname or ''}:PORT")
    return "stream"


def device_path(url: str) -> str:
    """The path of the V4L2 device of a URL of kind "device"."""
    return f"/dev/video{int(url)}" if url.isdigit() else os.path.normpath(url)


def is_inside(file: Path, folder: Path) -> bool:
    """Whether ``file`` is in ``folder`` or below, symbolic links resolved: checks pushed camera files."""
    return file.resolve().is_relative_to(folder.resolve())


def redacted_url(url: str) -> str:
    """A URL without its secrets: user, password, query."""
    return re.sub(r"\?.*", "?…", re.sub(r"//.*@", "//", url))  # greedy: a password may contain "@"


def is_file(url: str) -> bool:
    """Whether the source is a file, which ends."""
    return source_kind(url) == "file"


def too_large_text(width: int, height: int, max_pixels: int = MAX_PIXELS) -> str:
    """The error text for a picture that is refused before decoding."""
    limit = f"{max_pixels / 1e6:.0f} megapixels" if max_pixels == MAX_PIXELS else f"max_pixels ({max_pixels})"
    return f"its pictures are {width}x{height}, larger than {limit}; set the camera to a smaller picture"
