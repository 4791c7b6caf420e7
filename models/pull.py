"""Downloads weights by URL. The file gets its name only when its sha256 matches."""

import hashlib
import os
import tempfile
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from models.session import MOST_BYTES

CHUNK = 1 << 20


def pull(
    url: str,
    sha256: str,
    folder: Path,
    *,
    name: str | None = None,
    most_bytes: int = MOST_BYTES,
    timeout_s: float = 30,
) -> Path:
    """The path of the downloaded file, with the ``name`` of the URL by default. ValueError for a bad URL,
    size or hash; OSError where the server can't be reached.
    """
    parts = urlsplit(url)
    name = name or Path(unquote(parts.path)).name
    if parts.scheme not in ("https", "file"):
        raise ValueError(f"{url}: expected https:// or file://")
    if not name.endswith(".onnx"):
        raise ValueError(f"{url}: expected the path of an .onnx file")
    if len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef"):
        raise ValueError(f"--sha256 {sha256}: expected 64 hexadecimal digits")
    opener = urllib.request.OpenerDirector()  # without a handler for http, a redirect to it fails
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.FileHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    folder.mkdir(parents=True, exist_ok=True)
    found, size = hashlib.sha256(), 0
    number, part = tempfile.mkstemp(dir=folder, prefix=".pull-")
    try:
        with os.fdopen(number, "wb") as file, opener.open(url, timeout=timeout_s) as source:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > most_bytes:
                    raise ValueError(f"{url}: more than {most_bytes} bytes")
                found.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if found.hexdigest() != sha256.lower():
            raise ValueError(f"{url}: sha256 is {found.hexdigest()}, expected {sha256}: not kept")
        return Path(part).rename(folder / name)
    except (URLError, TimeoutError) as error:
        raise OSError(f"{url}: {_reason(error)}; nothing is kept") from error
    finally:
        Path(part).unlink(missing_ok=True)


def _reason(error: URLError | TimeoutError) -> str:
    """The reason without the wrapping of urllib, such as ``Connection refused``."""
    if isinstance(error, HTTPError):
        return str(error)
    reason = error.reason if isinstance(error, URLError) else error
    return (reason.strerror if isinstance(reason, OSError) else None) or str(reason)
