"""A private PostgreSQL server on a unix socket, for tests and benchmarks."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NEEDED = "needs PostgreSQL: apt-get install postgresql, and pip install 'ringpost[postgres]'"


def server_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where they, or psycopg, are not installed."""
    if find_spec("psycopg") is None:
        return None
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """The URL of a server with an empty database; it ends with the context. FileNotFoundError where it is not
    installed. Not run by root: PostgreSQL refuses that. ``durable``: with fsync."""
    programs = server_programs()
    if programs is None:
        raise FileNotFoundError(NEEDED)
    folder = Path(tempfile.mkdtemp(prefix="ringpost-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
        "cwd": folder,
        "user": user,
    }
    try:
        subprocess.run(
            [
                programs / "initdb", "-D", data, "-A", "trust", "-U", "ringpost", "-N", "-E", "UTF8",
                "--locale=C",
            ],
            check=True, timeout=60, **quiet,
        )  # fmt: skip
        settings = ["-c", f"fsync={'on' if durable else 'off'}", "-c", "listen_addresses="]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, *settings],
            **quiet,
        )
        try:
            _wait(programs, folder)
            yield f"postgresql://ringpost@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(programs: Path, folder: Path) -> None:
    for _ in range(200):
        ready = subprocess.run(
            [programs / "pg_isready", "-h", folder, "-U", "ringpost", "-t", "1"],
            capture_output=True,
            check=False,
        )
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError("PostgreSQL does not start")
