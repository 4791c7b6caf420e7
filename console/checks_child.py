"""``python -m console.checks_child FILE DATA quick|all``: the checks of ``doctor``, one JSON line for each.

A process of its own, with the lowest priority: a check that hangs or needs the CPU holds up no page, and
disturbs no agent. ``quick`` leaves out the checks that need the whole CPU.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from agent.cli.checks.configuration import load
from agent.cli.checks.doctor_checks import LOAD, doctor_checks
from agent.cli.checks.runner import run_checks
from agent.cli.checks.target import Target, use_credentials_of_unit
from agent.runtime.logging_setup import set_up_log


async def _print_checks(file: Path, data: Path, *, everything: bool) -> None:
    loaded = load(file, data)
    target = Target(file=file, config=loaded.in_force, folder=loaded.folder)
    checks = [check for check in doctor_checks(loaded) if everything or check.group != LOAD]
    async for result in run_checks(checks, target):
        findings = [finding.fields() for finding in result.findings]
        line = {"number": result.number, "check": result.name, "state": result.state, "findings": findings}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.nice(19)
    set_up_log("error")
    use_credentials_of_unit()
    asyncio.run(_print_checks(Path(sys.argv[1]), Path(sys.argv[2]), everything=sys.argv[3:] == ["all"]))
