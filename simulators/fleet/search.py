"""The number of agents at which p99 of finding to commit passes a limit: doubling, then bisection."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

LIMIT_MS = 1000.0
CLOSE = 1.15
"""The search ends where the bracket is as narrow as this."""


async def search(
    first: int, within_s: float, trial: Callable[[int], Awaitable[dict[str, Any]]],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:  # fmt: skip
    """``trial`` gives the result of a run with so many agents; OSError counts as too many.

    ``holds``: the largest number below the limit, ``fails``: the smallest above it; None where unknown.
    """
    until_s = clock() + within_s
    holds: int | None = None
    fails: int | None = None
    trials: list[dict[str, Any]] = []
    number = first
    while clock() < until_s:
        try:
            result = await trial(number)
            p99 = result["finding_to_commit_ms"].get("p99")
            trials.append({"agents": number, "p99_ms": p99, "lost": result["lost"]})
        except OSError as error:
            p99 = None
            trials.append({"agents": number, "error": str(error)})
        if p99 is not None and p99 <= LIMIT_MS:
            holds = number
        else:
            fails = number
        if fails is not None and fails <= max((holds or 0) + 1, CLOSE * (holds or 0)):
            break
        number = 2 * number if fails is None else (fails + (holds or 0)) // 2
    return {"holds": holds, "fails": fails, "limit_ms": LIMIT_MS, "trials": trials}
