"""Which character devices are serial ports: ``/dev/ptmx``, ``/dev/null`` and the console are none."""

import os
import stat
from contextlib import suppress
from pathlib import Path

PTYS = range(136, 144)
"""Major numbers of pseudo-terminals, whose speed has no meaning."""
_MEMORY, _TERMINALS, _SPECIAL = 1, 4, 5
_FIRST_UART = 64
"""Minor numbers of major 4 below are virtual consoles; ``/dev/ttyS0`` is the first UART."""
CONSOLES = Path("/sys/class/tty/console/active")


def is_serial(device: os.stat_result) -> bool:
    """Whether a device may be a serial port. Opening ``/dev/ptmx`` alone would create a terminal."""
    if not stat.S_ISCHR(device.st_mode):
        return False
    major, minor = os.major(device.st_rdev), os.minor(device.st_rdev)
    if major in (_MEMORY, _SPECIAL) or (major == _TERMINALS and minor < _FIRST_UART):
        return False
    return _subsystem(device) in (None, "tty")


def is_pty(device: os.stat_result) -> bool:
    return os.major(device.st_rdev) in PTYS


def pushed_port_error(path: str) -> str | None:
    """Why a push may not name this port, or None. One that is not plugged in at the moment may be named."""
    real = os.path.realpath(path) if os.path.normpath(path).startswith("/dev/") else ""
    if not real.startswith("/dev/"):
        return "a push can name serial ports below /dev only"
    if real in _consoles():
        return f"{path} is the console of this machine"
    try:
        device = Path(real).stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    if is_pty(device):
        return f"{path} is a terminal of another program"
    return None if is_serial(device) else f"{path} is not a serial port"


def _consoles() -> set[str]:
    with suppress(OSError):
        return {f"/dev/{name}" for name in CONSOLES.read_text().split()}
    return set()


def _subsystem(device: os.stat_result) -> str | None:
    """The kernel's subsystem of a device, such as tty or mem; None where it is unknown."""
    about = Path(f"/sys/dev/char/{os.major(device.st_rdev)}:{os.minor(device.st_rdev)}/subsystem")
    return about.resolve().name if about.exists() else None
