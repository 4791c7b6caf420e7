"""The agent as a process of its own, whose messages are marked as simulated: so that it can be killed.

``python -m simulators.first_minute.agent_process CONFIG DATA``
"""

import sys
from pathlib import Path

from agent.cli.options import finish
from agent.cli.run import run_command
from agent.domain.message import SIMULATED_ROOT

if __name__ == "__main__":
    finish(run_command(Path(sys.argv[1]), Path(sys.argv[2]), "error", SIMULATED_ROOT))
