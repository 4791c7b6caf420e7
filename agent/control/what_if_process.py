"""The process of ``what_if``: a request as JSON on standard input, the comparison as JSON on standard output.

``python -m agent.control.what_if_process``. A process of its own: hours of observations take minutes, and
must not take them from the cameras and the alerts.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.config.loader import parse
from agent.domain.message import encode
from agent.host.clock import unix_s
from agent.replay.history_block import RaisedAlert
from agent.replay.history_runs import stretches
from agent.replay.history_store import HistoryStore
from agent.replay.what_if import affected, what_if
from agent.runtime.child_process import answer, begin

COMPARE_S = 240.0
MAX_S = COMPARE_S + 30.0
"""Seconds for the whole process, its start included."""


class Comparison(BaseModel):
    """What to compare: two configurations as texts, whose paths start at ``base``."""

    present: str
    proposed: str
    base: Path
    history: Path
    hours: float
    within_s: float = COMPARE_S


def compared(request: Comparison) -> dict[str, Any]:
    """The comparison as fields of a result. BadConfig where a text is not valid."""
    present, proposed = (
        parse(text, name=name, base=request.base, ran_before=True)
        for name, text in (("present", request.present), ("proposed", request.proposed))
    )
    raised: list[RaisedAlert] = []
    rules, cameras = affected(present, proposed)
    if not rules:
        raise ValueError("the proposal changes no rule")
    blocks = HistoryStore(request.history).blocks(unix_s() - request.hours * 3600, cameras)
    return what_if(present, proposed, stretches(blocks, raised), raised, request.within_s)


def main() -> None:
    """Reads the request, and answers with the comparison or an error."""
    request = begin(MAX_S)
    try:
        answer(json.loads(encode(compared(Comparison.model_validate_json(request)))))
    except (OSError, ValueError) as error:
        answer({"error": str(error)[:500]})


if __name__ == "__main__":
    main()
