"""Writes the state of the kernel's clock to a file, for an agent that runs under ``ProtectClock=``.

``python -m agent.host.clock_service [FILE]``, the service configs/ringpost-clock.service. It has no network,
no device and no configuration, so that the agent, which has all three, needs no system call of the clock.
"""

import json
import sys
import time
from pathlib import Path

from agent.host.clock import STATE, kernel_clock, since_boot_s

EVERY_S = 5.0


def write_state(path: Path) -> None:
    """Replaces ``path``: a reader finds the old state or the new one."""
    synchronised, error_ms = kernel_clock()
    beside = path.with_suffix(".new")
    state = {"synchronised": synchronised, "error_ms": error_ms, "since_boot_s": since_boot_s()}
    beside.write_text(json.dumps(state))
    beside.chmod(0o644)  # no secret, and the agent is another user
    beside.replace(path)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else STATE
    while True:
        try:
            write_state(path)
        except OSError as error:
            sys.exit(f"clock_service: {error}")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
