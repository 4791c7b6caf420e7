"""A data folder belongs to a simulation or to the field: neither takes the messages of the other."""

from pathlib import Path

from agent.domain.message import SIMULATED_ROOT

MARKER = "simulated"


def claim_folder(folder: Path, root: str) -> None:
    """Before anything in ``folder`` is read. OSError where it belongs to the other kind of run."""
    marker = folder / MARKER
    if root != SIMULATED_ROOT:
        if marker.exists():
            raise OSError(f"{folder}: has the data of a simulation; use another folder, or delete it")
        return
    if marker.exists():
        return
    if any(folder.glob("*.db")):
        raise OSError(f"{folder}: has the data of a device in the field; a simulation needs another folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker.write_text("The data of a simulation: ringpost run refuses this folder.\n")
