"""``command/what_if``: the alerts that proposed zones and rules would have raised in the last hours.

Nothing in force is changed. The comparison runs in a process of its own (`what_if_process`).
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from agent.commands.commands import State
from agent.commands.requests import Command, WhatIf
from agent.config.addresses import named_files
from agent.config.loader import parse
from agent.config.model import Config
from agent.control.what_if_process import STARTING_S, Comparison
from agent.domain.yaml_loader import BadConfig, alternatives, load_yaml
from agent.replay.history_recorder import READING_EVERY_S, HistoryRecorder
from agent.runtime.native_calls import within

CHECK_WITHIN_S = 10.0
COMPARE_WITHIN_S = 120.0
MAX_OUTPUT = 64 * 1024
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
        self._busy = False

    async def carry_out(self, command: Command, result: Mapping[str, Any]) -> State:
        """Checks the proposal; a second result has the comparison. ValueError where it is not valid."""
        wanted = WhatIf.model_validate(command.model_dump())
        if self._busy:
            raise ValueError("another what_if is running: one at a time")
        if not self._history.enabled:
            raise ValueError("no history is kept: set history.hours in the file at the device")
        if self._history.trouble is not None:
            raise OSError(self._history.trouble)
        self._busy = True
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
                within_s=COMPARE_WITHIN_S,
            )
        except BaseException:
            self._busy = False
            raise
        self._spawn(self._compare(request, result))
        return "accepted"

    async def _compare(self, request: Comparison, result: Mapping[str, Any]) -> None:
        try:
            fields = await run_comparison(request)
            if "error" in fields:
                raise OSError(fields["error"])
            state = {"state": "succeeded"} if fields["observations"] else {
                "state": "failed", "reason": "the history of that time holds no observations",
            }  # fmt: skip
            await self._send_result({**result, **state, **fields, "not_covered": NOT_COVERED})
        except OSError as error:
            await self._send_result({**result, "state": "failed", "reason": str(error)})
        finally:
            self._busy = False


def proposal(present: str, wanted: WhatIf, base: Path, running: Config) -> str:
    """The text of the configuration with the proposed zones and rules. BadConfig lists every error.

    It may name no file that the configuration in force does not name.
    """
    tree = _plain(load_yaml(present, "the configuration in force"))
    if wanted.camera is not None:
        cameras = running.cameras()
        if wanted.camera not in cameras or wanted.camera not in tree.get("sources", {}):
            raise ValueError(f"no camera {wanted.camera!r}; {alternatives(wanted.camera, cameras)}")
        camera = tree["sources"][wanted.camera]
        camera["zones"] = _merged(camera.get("zones"), wanted.zones)
    tree["rules"] = _merged(tree.get("rules"), wanted.rules)
    text = json.dumps(tree, ensure_ascii=False)
    try:
        parse(text, name="what_if", base=base, only=frozenset(named_files(running)))
    except BadConfig as error:
        problems = [f"{problem.path}: {problem.message}" for problem in error.problems[:10]]
        raise ValueError("; ".join(problems)) from error
    return text


def _plain(node: Any) -> Any:
    """A tree of ruamel.yaml without its comments; a date becomes its text."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node.isoformat() if isinstance(node, date) else node


def _merged(base: Any, patch: Any) -> Any:
    """``base`` after a merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


async def run_comparison(request: Comparison) -> dict[str, Any]:
    """The comparison, from a child process. OSError where it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.control.what_if_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(request.within_s + STARTING_S):
            output, _ = await process.communicate(request.model_dump_json().encode())
    except TimeoutError as error:
        raise OSError(f"the comparison took longer than {request.within_s + STARTING_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        fields = json.loads(output[:MAX_OUTPUT])
    except ValueError as error:
        raise OSError(f"the comparison failed (exit code {process.returncode})") from error
    return dict(fields)
