"""The catalogue of faults by name. ``python -m simulators.faults.catalogue`` prints docs/simulation.md's."""

import sys

from simulators.faults.broker import BROKER
from simulators.faults.camera import CAMERA
from simulators.faults.configuration import CONFIGURATION
from simulators.faults.fault import CLOCKS, Fault
from simulators.faults.hardware import HARDWARE_FAULTS
from simulators.faults.line import LINE
from simulators.faults.link import LINK
from simulators.faults.machine import MACHINE

CATALOGUE: dict[str, type[Fault]] = {
    fault.kind: fault
    for family in (LINE, HARDWARE_FAULTS, CAMERA, LINK, BROKER, MACHINE, CONFIGURATION)
    for fault in family
}


def table() -> str:
    """The catalogue as a table in Markdown."""
    rows = ["| Fault | What happens | Parameters | Clock | Proof of effect |", "|---|---|---|---|---|"]
    for kind, fault in CATALOGUE.items():
        text = fault.text.format(subject=SUBJECTS.get(kind.partition(".")[0], "source"))
        defaults = ", ".join(f"`{name}: {one}`" for name, one in fault().model_dump(mode="json").items())
        clocks = "both" if fault.clocks == CLOCKS else fault.clocks[0]
        rows.append(f"| `{kind}` | {text} | {defaults} | {clocks} | {fault.proof} |")
    return "\n".join(rows) + "\n"


def reasons() -> str:
    """Why some faults run under one clock only, as a list in Markdown."""
    kinds: dict[str, list[str]] = {}
    for kind, fault in CATALOGUE.items():
        if fault.reason:
            kinds.setdefault(f"{fault.clocks[0]} only: {fault.reason}", []).append(f"`{kind}`")
    return "".join(f"- {', '.join(names)}: {reason}.\n" for reason, names in kinds.items())


SUBJECTS = {"board": "sensor board", "receiver": "receiver", "camera": "camera", "drone": "ground station"}
"""The hardware of each family, for people."""

if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n{reasons()}")
