"""``ringpost centre picture``: the way to look at a stored picture; who did, and why, is on disk first."""

import hashlib
import re
from pathlib import Path

from agent.audit.access_log import access_log_folder, log_access
from agent.runtime.atomic_files import write_durably

NAME = re.compile(r"[a-z0-9-]{1,32}/[A-Za-z0-9~-]{1,96}\.jpg")
MAX_BYTES = 1_000_000


def copy_picture(db: Path, pictures: Path, name: str, role: str, reason: str, to: Path) -> str:
    """Copies a picture out of the folder of the centre, and returns the hash of its entry in the access log.

    Without the entry there is no copy. OSError, or ValueError where ``name`` is no DEVICE/ALERT-N.jpg.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a picture: DEVICE/ALERT-N.jpg")
    path = pictures / name
    with path.open("rb") as file:
        jpeg = file.read(MAX_BYTES)
    digest = hashlib.sha256(jpeg).hexdigest()
    entry = log_access(
        access_log_folder(db), "picture_viewed", picture=name, sha256=digest, role=role, reason=reason
    )
    write_durably(to, jpeg)
    to.chmod(0o600)
    return entry.hash
