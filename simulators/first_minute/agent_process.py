"""The agent as a process of its own, whose messages are marked as simulated: so that it can be killed.

``python -m simulators.first_minute.agent_process CONFIG DATA``
"""

import asyncio
import sys
from pathlib import Path

from agent.app import run
from agent.domain.message import SIMULATED_ROOT
from agent.runtime.logging_setup import set_up_log

if __name__ == "__main__":
    set_up_log("error")
    raise SystemExit(asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2]), SIMULATED_ROOT)))
