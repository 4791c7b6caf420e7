"""The process of ``what_if``: a request as JSON on standard input, the comparison as JSON on standard output.

``python -m agent.control.what_if_process``. A process of its own: hours of observations take minutes, and
must not take them from the cameras and the alerts. It has a low priority and a limit of its own.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

from agent.config.loader import parse
from agent.domain.message import encode
from agent.replay.history_block import RaisedAlert
from agent.replay.history_runs import stretches
from agent.replay.history_store import HistoryStore
from agent.replay.what_if import what_if

NICENESS = 15
STARTING_S = 30
"""Seconds for the start of the process and for what follows the comparison."""


class Comparison(BaseModel):
    """What to compare: two configurations as texts, whose paths start at ``base``."""

    present: str
    proposed: str
    base: Path
    history: Path
    hours: float
    within_s: float


def compared(request: Comparison) -> dict[str, Any]:
    """The comparison as fields of a result. BadConfig where a text is not valid."""
    present, proposed = (
        parse(text, name=name, base=request.base, ran_before=True)
        for name, text in (("present", request.present), ("proposed", request.proposed))
    )
    raised: list[RaisedAlert] = []
    blocks = HistoryStore(request.history).blocks(time.time() - request.hours * 3600)
    return what_if(present, proposed, stretches(blocks, raised), raised, request.within_s)


def main() -> None:
    """Reads the request, and prints the comparison or an error."""
    os.nice(NICENESS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        request = Comparison.model_validate_json(sys.stdin.buffer.read())
        signal.alarm(int(request.within_s) + STARTING_S)  # whoever started it may be gone
        answer = compared(request)
    except (OSError, ValueError) as error:
        answer = {"error": str(error)[:500]}
    sys.stdout.buffer.write(encode(answer))


if __name__ == "__main__":
    main()
