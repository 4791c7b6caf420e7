"""The address of the local socket: `console.sock` in the data folder, however long the folder's path is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.local_api.frames import SOCKET

MAX_PATH_BYTES = 107
"""The kernel takes no longer path for a Unix socket."""


@contextmanager
def socket_address(folder: Path) -> Iterator[str]:
    """The address of the socket in ``folder``, valid within the context.

    A long path is shortened by a descriptor of the folder. OSError where there is no such folder, or where
    the path is too long and the machine has no ``/proc``.
    """
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield path
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        shortcut = Path(f"/proc/self/fd/{descriptor}")
        if not shortcut.exists():
            raise OSError(
                f"{path}: longer than {MAX_PATH_BYTES} bytes, and this machine has no /proc:"
                " choose a shorter data.directory"
            )
        yield f"{shortcut}/{SOCKET}"
    finally:
        os.close(descriptor)
