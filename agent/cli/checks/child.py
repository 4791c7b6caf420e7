"""Runs a module as a child process with a time limit: what may hang or crash does it there."""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent.runtime.sanitize import json_object, printable

GRACE_S = 2.0


async def run_child(
    module: str, asked: Mapping[str, Any], within_s: float
) -> tuple[dict[str, Any] | None, str]:
    """The answer of ``python -m module`` to ``asked``; or None, and why there is none.

    The child is killed at the time limit, and when the caller is cancelled (Ctrl-C).
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within_s):
            out, errors = await child.communicate(json.dumps(asked).encode())
    except TimeoutError:
        return None, f"no answer within {within_s:g} s: it hangs"
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            with suppress(TimeoutError):  # one that hangs in the kernel can't be waited for
                async with asyncio.timeout(GRACE_S):
                    await child.wait()
    lines = out.splitlines()
    answer = json_object(lines[-1]) if lines else None
    if child.returncode == 0 and answer is not None:
        return answer, ""
    words = errors.decode(errors="replace").strip().splitlines()
    if child.returncode is not None and child.returncode < 0:
        return None, f"it crashed with signal {-child.returncode}"
    return None, printable(words[-1]) if words else f"it ended with {child.returncode}"
