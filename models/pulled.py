"""Where pulled weights are: found again by the name of their file, whatever card names them.

RINGPOST_MODELS names a folder. `SYSTEM` is that of the service (configs/ringpost.service), which can't read
the home of a technician. The last one is that of the user who runs ringpost.
"""

import os
from pathlib import Path

SYSTEM = Path("/var/lib/ringpost/models")


def folders() -> tuple[Path, ...]:
    """The folders in which pulled weights are looked for, the first one first."""
    own = os.environ.get("RINGPOST_MODELS")
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"
    return (*([Path(own)] if own else []), SYSTEM, base / "ringpost" / "models")


def folder_to_write() -> Path:
    """The first of `folders` that can be written, or made."""
    for folder in folders():
        there = next(one for one in (folder, *folder.parents) if one.exists())
        # not /var/lib itself: without the service's folder there is no service
        if os.access(there, os.W_OK) and (folder != SYSTEM or SYSTEM.parent.exists()):
            return folder
    return folders()[-1]


def weights_here(weights: Path) -> Path | None:
    """``weights``, or the file of that name in one of `folders`; None where there is none."""
    return next(
        (one for one in (weights, *(folder / weights.name for folder in folders())) if _is_here(one)), None
    )


def _is_here(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that this user can't read
        return False
