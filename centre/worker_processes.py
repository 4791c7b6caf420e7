"""``ringpost centre --workers N``: N processes on this machine, each started again when it ends."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from agent.runtime.supervisor import supervise

log = structlog.get_logger()

LONGEST_WAIT_S, STOP_WITHIN_S = 5.0, 15.0
USELESS = (EX_USAGE, EX_CONFIG)
"""Exit codes of a process that would end in the same way again."""


class WorkerEndedError(OSError):
    """A worker ended by itself."""


def worker_arguments(arguments: Sequence[str], name: str) -> list[str]:
    """The command line of one worker, from that of the parent."""
    kept = list(arguments)
    for place, word in enumerate(kept):
        if word == "--workers":
            del kept[place : place + 2]
            break
        if word.startswith("--workers="):
            del kept[place]
            break
    return [sys.executable, "-m", "agent", *kept, "--worker", name, "--until-stdin-ends"]


def run_workers(count: int, arguments: Sequence[str]) -> int:
    """Runs until it is interrupted; or until a worker finds that its settings are unusable: its exit code."""
    return asyncio.run(_run(count, arguments))


async def _run(count: int, arguments: Sequence[str]) -> int:
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(code: int) -> None:
        if not done.done():
            done.set_result(code)

    async def keep(name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *worker_arguments(arguments, name), stdin=asyncio.subprocess.PIPE
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
            raise
        if code in USELESS:
            end(code)
        raise WorkerEndedError(f"worker {name} ended with code {code}")

    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, end, 0)
    tasks = []
    for number in range(1, count + 1):
        run = partial(keep, f"w{number}")
        job = supervise(f"worker w{number}", run, lambda _: None, longest_wait_s=LONGEST_WAIT_S)
        tasks.append(asyncio.ensure_future(job))
    code = await done
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return code
