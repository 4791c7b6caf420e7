"""What is checked: the configuration, its data folder, the running agent, and the kernel's file systems."""

import grp
import json
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from agent.config.model import Config
from agent.host.clock import utc_now
from agent.reporting.health_file import FILE as HEALTH_FILE
from agent.runtime.sanitize import as_dict, as_list, json_object
from firmware_bridge.regular_files import read_regular
from firmware_bridge.serial.holders import held_by

UNIT_CREDENTIALS = Path("/run/credentials/ringpost.service")
HEALTH_MAX_BYTES = 64 * 1024
HEALTH_FRESH_S = 180.0
"""The health file of a running agent that is older than this is stale."""


@dataclass(frozen=True)
class Machine:
    """The file systems that describe this machine; tests have their own."""

    root: Path = Path("/")

    @property
    def dev(self) -> Path:
        return self.root / "dev"

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def proc(self) -> Path:
        return self.root / "proc"


@dataclass(frozen=True)
class Target:
    """``file`` is the local configuration file, ``config`` the configuration in force, ``folder`` the data
    directory; ``config`` is None where no valid configuration is known."""

    file: Path
    config: Config | None
    folder: Path
    config_findings: tuple[Any, ...] = ()
    machine: Machine = field(default_factory=Machine)

    @cached_property
    def agent(self) -> str | None:
        """The process that holds the data directory, as ``name (pid)``; None where no agent runs."""
        if not agent_is_running(self.folder):
            return None
        holders = held_by(self.folder, self.machine.proc)
        return holders[0] if holders else "another process"

    @cached_property
    def agent_pid(self) -> int | None:
        number = (self.agent or "").rpartition("(")[2].rstrip(")")
        return int(number) if number.isdigit() else None

    @cached_property
    def health(self) -> dict[str, Any]:
        """The last health report that the agent wrote; empty where there is none or it can't be read."""
        with suppress(OSError):
            return json_object(read_regular(self.folder / HEALTH_FILE, HEALTH_MAX_BYTES)) or {}
        return {}

    @property
    def health_age_s(self) -> float | None:
        """The age of `health` by the wall clock; None where there is none."""
        with suppress(ValueError, TypeError):
            at = datetime.fromisoformat(str(self.health.get("at")))
            return (utc_now() - at).total_seconds()
        return None

    @property
    def fresh_health(self) -> dict[str, Any]:
        """`health`, where an agent runs and wrote it lately; else empty."""
        age_s = self.health_age_s
        return self.health if self.agent and age_s is not None and abs(age_s) < HEALTH_FRESH_S else {}

    def part(self, name: str) -> dict[str, Any]:
        """The health of one part of the running agent, such as a source; empty where unknown."""
        parts = (as_dict(part) for part in as_list(self.fresh_health.get("parts")))
        return next((part for part in parts if part.get("part") == name), {})

    @cached_property
    def agent_uid(self) -> int:
        """The user that the agent runs as: the owner of its data; this user where there is no data yet."""
        with suppress(OSError):
            return self.folder.stat().st_uid
        return os.geteuid()


def agent_is_running(folder: Path) -> bool:
    """Whether an agent holds the lock of the data directory. A shared lock is tried, and released at once.

    Of a directory that this user may not open, the kernel's list of locks tells.
    """
    import fcntl

    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return bool(held_by(folder))
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def use_credentials_of_unit(folder: Path = UNIT_CREDENTIALS) -> None:
    """Reads credentials where systemd put them for the running service, if this user may."""
    if "CREDENTIALS_DIRECTORY" not in os.environ and os.access(folder, os.R_OK | os.X_OK):
        os.environ["CREDENTIALS_DIRECTORY"] = str(folder)


def user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def group_name(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def groups_of(uid: int) -> set[int]:
    """The groups of a user, by the system's tables; those that only its unit gives are not among them."""
    with suppress(KeyError):
        user = pwd.getpwuid(uid)
        return set(os.getgrouplist(user.pw_name, user.pw_gid))
    return set()


def may_use(path: Path, uid: int) -> bool:
    """Whether the user ``uid`` may read and write ``path``."""
    if uid == os.geteuid():
        return os.access(path, os.R_OK | os.W_OK)
    found = path.stat()
    if uid == 0:
        return True
    shift = 6 if uid == found.st_uid else 3 if found.st_gid in groups_of(uid) else 0
    return found.st_mode >> shift & 0o6 == 0o6


def shown(value: object) -> str:
    """A value of the health file as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
