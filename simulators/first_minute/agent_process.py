"""The agent as a process of its own, whose messages are marked as simulated: so that it can be killed.

It ends when its standard input does, as it does where the process that started it is killed.
``python -m simulators.first_minute.agent_process CONFIG DATA``
"""

import os
import signal
import sys
import threading
from pathlib import Path

from agent.cli.options import finish
from agent.cli.run import run_command
from agent.domain.message import SIMULATED_ROOT


def end_with_parent() -> None:
    """SIGTERM to this process once its standard input ends."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    finish(run_command(Path(sys.argv[1]), Path(sys.argv[2]), "error", SIMULATED_ROOT))
