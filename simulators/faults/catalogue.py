"""The catalogue of faults by name. ``python -m simulators.faults.catalogue`` prints its table."""

import sys

from simulators.faults.broker import BROKER
from simulators.faults.camera import CAMERA
from simulators.faults.configuration import CONFIGURATION
from simulators.faults.fault import Fault
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
    rows = ["| Fault | What happens | Parameters | Clocks | Proof of effect |", "|---|---|---|---|---|"]
    for kind, fault in CATALOGUE.items():
        text = fault.text.format(subject=SUBJECTS.get(kind.partition(".")[0], "source"))
        fields = fault.model_json_schema(mode="serialization")["properties"] if fault.model_fields else {}
        defaults = ", ".join(f"`{name}: {one.get('default')}`" for name, one in fields.items())
        clocks = " and ".join(fault.clocks) + (f" only: {fault.reason}" if fault.reason else "")
        rows.append(f"| `{kind}` | {text} | {defaults} | {clocks} | {fault.proof} |")
    return "\n".join(rows) + "\n"


SUBJECTS = {"board": "sensor board", "receiver": "receiver", "camera": "camera", "drone": "ground station"}
"""The hardware of each family, for people."""

if __name__ == "__main__":
    sys.stdout.write(table())
