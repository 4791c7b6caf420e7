"""Work in a child process with a time limit: what may hang, crash or take long does it there.

The child is a module with a ``main`` that calls `begin`; its request is JSON on standard input, its answers
are JSON objects on standard output, one a line.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

MAX_LINE = 8 * 1024 * 1024
NICENESS = 15
GRACE_S = 2.0


async def run_child(module: str, request: bytes, within_s: float) -> tuple[dict[str, Any], str | None]:
    """The answers of ``python -m module`` to ``request`` as one mapping, and why it did not end well.

    The child is killed at the time limit; what it answered until then counts.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_LINE,
    )
    answers: dict[str, Any] = {}
    try:
        async with asyncio.timeout(within_s):
            await _talk(process, request, answers)
            code = await process.wait()
    except TimeoutError:
        return answers, f"no answer within {within_s:g} s"
    except ValueError:  # a line beyond MAX_LINE
        return answers, "its answer is too large"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(TimeoutError):  # one that hangs in the kernel can't be waited for
                async with asyncio.timeout(GRACE_S):
                    await process.wait()
    if code < 0:
        return answers, f"crashed: signal {-code}"
    return answers, f"ended with exit code {code}" if code else None


async def _talk(process: asyncio.subprocess.Process, request: bytes, answers: dict[str, Any]) -> None:
    assert process.stdin is not None  # noqa: S101  both are pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(ConnectionError):
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    async for line in process.stdout:
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                answers.update(answer)


def begin(ends_within_s: float) -> bytes:
    """The first call of a child: its request. It ends by itself, whatever becomes of its parent.

    It runs at low priority, logs nothing, and is the first that the kernel ends where memory is short.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    end_after(ends_within_s)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return sys.stdin.buffer.read()


def end_after(seconds: float) -> None:
    """Ends this process after ``seconds`` from now, in place of an earlier limit."""
    signal.alarm(max(1, int(seconds)))


def answer(fields: Mapping[str, Any]) -> None:
    """Sends one answer to the parent."""
    sys.stdout.buffer.write(json.dumps(fields).encode() + b"\n")
    sys.stdout.buffer.flush()
