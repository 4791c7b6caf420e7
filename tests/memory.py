"""A folder for tests that sync a disk thousands of times, and need no real one."""

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY, ENOUGH = Path("/dev/shm"), 2**30
MEMORY = (
    str(SHARED_MEMORY)
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ENOUGH
    else None
)
"""For ``dir`` of `tempfile`: an fsync takes no time there. None, the usual folder, where there is no memory.

Not for `tmp_path` of all tests: what is below /dev is a device to an agent.
"""


def memory_folder() -> Path:
    """A new folder in `MEMORY`; whoever makes it removes it."""
    return Path(tempfile.mkdtemp(dir=MEMORY))
