"""Where pictures may come from: an allow-list. Pure; nothing is opened here.

FFmpeg reads what its name for a source says (``concat:``, ``subfile,``, playlists of ``file:``), so no text
of a configuration becomes such a name: a camera is a V4L2 device, a file, or a stream of one of `SCHEMES`.
"""

import os.path
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "udp": 0, "rtp": 0}
"""The schemes of streams, with the port of each; 0: the url must name one."""
ENCRYPTED = frozenset({"rtsps", "https"})
MAX_PIXELS = 4096 * 4096
"""A larger picture is refused before it is decoded: its planes would take most of a small board's memory."""
RIGHT = "write rtsp, rtsps, http, https, udp or rtp://HOST…, /dev/videoN, or the path of a file"

Kind = Literal["device", "file", "stream"]


@dataclass(frozen=True, slots=True)
class Trust:
    """Which servers a camera's password may be given to.

    ``ca``: the file of the CA that signed the camera's certificate, None for those of the system. ``basic``:
    whether Basic, which is the password in clear text, may be answered on a connection without TLS.
    """

    ca: Path | None = None
    basic: bool = False


NO_TRUST = Trust()


def kind_of(url: str) -> Kind:
    """Whether ``url`` is a V4L2 device, a file or a stream. ValueError where it is none that is allowed."""
    if re.search(r"[\x00-\x20\x7f]", url) and ("://" in url or "\x00" in url or "\n" in url):
        raise ValueError("url holds a space or a control character; write it as %20")
    if re.fullmatch(r"[0-9]{1,3}", url) or os.path.normpath(url).startswith("/dev/"):
        return "device"
    named = re.match(r"([A-Za-z0-9+.-]*)[:,]", url)
    if named is None and "://" not in url and "|" not in url:
        return "file"
    scheme = named[1].lower() if named else ""
    if scheme not in SCHEMES or not url[len(scheme) :].startswith("://"):
        raise ValueError(f"{scheme or url[:20]!r} is no kind of camera; {RIGHT}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"url: {error}; {RIGHT}") from None
    if not parts.hostname and scheme not in ("udp", "rtp"):
        raise ValueError(f"url names no host; {RIGHT}")
    if not (port or SCHEMES[scheme]):
        raise ValueError(f"url names no port; write {scheme}://{parts.hostname or ''}:PORT")
    return "stream"


def device_of(url: str) -> str:
    """The path of the V4L2 device that ``url``, of kind "device", names."""
    return f"/dev/video{int(url)}" if url.isdigit() else os.path.normpath(url)


def below(file: Path, folder: Path) -> bool:
    """Whether ``file`` lies in ``folder`` or below, links followed: what a push may name as a camera."""
    return file.resolve().is_relative_to(folder.resolve())


def redacted(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    return re.sub(r"\?.*", "?…", re.sub(r"//.*@", "//", url))  # a password may hold what it should not


def is_file(url: str) -> bool:
    """Whether it plays and ends, rather than goes on for ever."""
    return kind_of(url) == "file"


def too_large(width: int, height: int) -> str:
    """What is said of a picture that is refused before it is decoded."""
    return (
        f"its pictures are {width}x{height}, larger than {MAX_PIXELS / 1e6:.0f} megapixels;"
        " set the camera to a smaller picture"
    )
