"""The clock of sources: that of the event loop that runs them."""

import asyncio


def loop_s() -> float:
    """The running loop's time in seconds; 0 where none runs, as where a file is decoded."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
