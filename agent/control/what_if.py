"""``command/what_if``: the alerts that proposed zones and rules would have raised in the last hours.

Nothing in force is changed. The comparison runs in a process of its own (`what_if_process`).
"""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from agent.commands.commands import State
from agent.commands.requests import Command, WhatIf
from agent.config.addresses import named_files
from agent.config.layers import tree_of
from agent.config.loader import parse
from agent.config.merge_patch import merged
from agent.config.model import Config
from agent.control.turn_limit import TurnLimit
from agent.control.what_if_process import MAX_S, Comparison
from agent.domain.yaml_loader import BadConfig, alternatives
from agent.host.clock import monotonic_s
from agent.replay.history_recorder import READING_EVERY_S, HistoryRecorder
from agent.runtime.child_process import run_child
from agent.runtime.native_calls import within

log = structlog.get_logger()

CHECK_WITHIN_S = 10.0
PAUSE_S, PER_HOUR = 3.0, 30
"""The least time between the starts of two comparisons, and how many may start in an hour."""
NOT_COVERED = (
    f"readings within {READING_EVERY_S:g} s of the one before, what the detector did not report,"
    " and the visibility of new zones except where the whole picture was blind"
)
"""What the history does not contain."""


class WhatIfs:
    """Carries out ``what_if``, one at a time. ``text`` gives the text of the configuration in force, whose
    paths start at ``base``.
    """

    def __init__(
        self,
        history: HistoryRecorder,
        running: Callable[[], Config],
        text: Callable[[], str],
        base: Path,
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._history, self._running, self._text, self._base = history, running, text, base
        self._send_result, self._spawn = send_result, spawn
        self._turns = TurnLimit("what_if", pause_s=PAUSE_S, per_hour=PER_HOUR)

    async def carry_out(self, command: Command, result: Mapping[str, Any]) -> State:
        """Checks the proposal; a second result has the comparison. ValueError where it is not valid."""
        wanted = WhatIf.model_validate(command.model_dump())
        if not self._history.enabled:
            raise ValueError("no history is kept: set history.hours in the file at the device")
        if self._history.trouble is not None:
            raise OSError(self._history.trouble)
        self._turns.begin(monotonic_s())
        try:
            present = self._text()
            check = lambda: proposal(present, wanted, self._base, self._running())  # noqa: E731
            proposed = await within(CHECK_WITHIN_S, check, "a proposal")
            await self._history.flush()
            request = Comparison(
                present=present,
                proposed=proposed,
                base=self._base,
                history=self._history.store.folder,
                hours=wanted.hours,
            )
        except BaseException:
            self._turns.end()
            raise
        self._spawn(self._compare(request, result))
        return "accepted"

    async def _compare(self, request: Comparison, result: Mapping[str, Any]) -> None:
        try:
            module = "agent.control.what_if_process"
            fields, failure = await run_child(module, request.model_dump_json().encode(), MAX_S)
            if error := fields.get("error", failure):
                raise OSError(f"the comparison failed: {error}")
            state = {"state": "succeeded"} if fields["observations"] else {
                "state": "failed", "reason": "the history of that time holds no observations",
            }  # fmt: skip
            await self._send_result({**result, **state, **fields, "not_covered": NOT_COVERED})
        except Exception as error:
            log.exception("what_if_failed")
            await self._send_result({**result, "state": "failed", "reason": str(error)})
        finally:
            self._turns.end()


def proposal(present: str, wanted: WhatIf, base: Path, running: Config) -> str:
    """The text of the configuration with the proposed zones and rules. BadConfig lists every error.

    It may name no file that the configuration in force does not name.
    """
    tree = tree_of(present, "the configuration in force")
    if wanted.camera is not None:
        cameras = running.cameras()
        if wanted.camera not in cameras or wanted.camera not in tree.get("sources", {}):
            raise ValueError(f"no camera {wanted.camera!r}; {alternatives(wanted.camera, cameras)}")
        camera = tree["sources"][wanted.camera]
        camera["zones"] = merged(camera.get("zones"), wanted.zones)
    tree["rules"] = merged(tree.get("rules"), wanted.rules)
    text = json.dumps(tree, ensure_ascii=False)
    try:
        parse(text, name="what_if", base=base, only=frozenset(named_files(running)))
    except BadConfig as error:
        problems = [f"{problem.path}: {problem.message}" for problem in error.problems[:10]]
        raise ValueError("; ".join(problems)) from error
    return text
