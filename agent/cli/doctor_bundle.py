"""The file of ``ringpost doctor --bundle``: what support needs, without secrets and without pictures."""

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from agent.cli.checks.configuration import LoadedConfig
from agent.cli.checks.target import HEALTH_MAX_BYTES, Target
from agent.cli.devices import devices
from agent.cli.secret_references import filter_of, without_comments
from agent.reporting.health_file import FILE as HEALTH_FILE
from agent.runtime.atomic_files import write_durably
from agent.runtime.versions import versions
from firmware_bridge.regular_files import read_regular

LOG_LINES = 500
LONGEST_S = 10.0
COMMANDS = {
    "df.txt": ("df", "-h"),
    "inodes.txt": ("df", "-i"),
    "log.txt": ("journalctl", "-u", "ringpost", "-n", str(LOG_LINES), "--no-pager", "-o", "short-iso"),
    "unit.txt": ("systemctl", "status", "ringpost", "--no-pager", "-l"),
    "processes.txt": ("ps", "-eo", "pid,user,rss,pcpu,etime,comm"),
    "addresses.txt": ("ip", "-brief", "address"),
    "kernel.txt": ("dmesg", "--level=err,warn", "--time-format", "iso"),
}
"""Programs whose output helps; none shows arguments of processes, which may hold secrets."""


def write_bundle(
    path: Path, loaded: LoadedConfig, target: Target, results: Sequence[dict[str, object]]
) -> None:
    """Writes the zip, for its owner only. Each text passes the filter of secrets. OSError on failure."""
    secrets = filter_of(loaded)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in _texts(loaded, target, results):
            bundle.writestr(name, secrets.clean(text))
    write_durably(path, content.getvalue())
    path.chmod(0o600)


def _texts(
    loaded: LoadedConfig, target: Target, results: Sequence[dict[str, object]]
) -> Iterator[tuple[str, str]]:
    yield "doctor.json", "\n".join(json.dumps(one, ensure_ascii=False) for one in results) + "\n"
    yield "config.yaml", without_comments(loaded.text)
    if loaded.ledger is not None:
        yield "config-in-force.yaml", without_comments(loaded.ledger.active.text)
        yield "config-reported.json", json.dumps(loaded.ledger.fields(), indent=1)
    yield "versions.json", json.dumps(versions(), indent=1)
    yield "devices.json", "\n".join(json.dumps(asdict(device)) for device in devices()) + "\n"
    with suppress(OSError):
        health = read_regular(target.folder / HEALTH_FILE, HEALTH_MAX_BYTES)
        yield "health.json", health.decode(errors="replace")
    with suppress(OSError):
        yield "files.txt", "\n".join(_listing(target.folder))
    for name, command in COMMANDS.items():
        yield name, _output(command)


def _listing(folder: Path) -> Iterator[str]:
    """Names, sizes and rights of the agent's files; not their content."""
    for path in sorted(folder.rglob("*"))[:2000]:
        with suppress(OSError):
            found = path.lstat()
            yield f"{found.st_mode:o} {found.st_uid} {found.st_size:>10} {path.relative_to(folder)}"


def _output(command: Sequence[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=LONGEST_S, env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"{' '.join(command)}: {type(error).__name__}\n"
    return (done.stdout + done.stderr).decode(errors="replace")
