"""The disk of a running agent, as a power cut leaves it."""

import shutil
from pathlib import Path

TRIES = 200


def copy_running(folder: Path, to: Path) -> None:
    """Copies ``folder`` as it is at one instant: again, where a file changed or went meanwhile."""
    for _ in range(TRIES):
        before = _state(folder)
        try:
            shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.sock"))
        except shutil.Error as error:
            if any("No such file" not in reason for _, _, reason in error.args[0]):
                raise
        else:
            if _state(folder) == before:
                return
        shutil.rmtree(to)
    raise AssertionError(f"{folder} never rests")


def _state(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except FileNotFoundError:  # removed since it was listed
            continue
        if path.suffix != ".sock":
            found[path] = state.st_size, state.st_mtime_ns
    return found
