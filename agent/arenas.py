"""Few heaps for many threads: glibc gives each thread one of many, and they grow into one another's holes.

Threads come and go with cameras, connections and look-ups, and pictures of all sizes go through each. In 16
minutes with faults (`bench.soak`, medians of the first and the last third) memory went from 162.1 to 170.8 MB
with glibc's default, and from 156.1 to 156.8 MB with two arenas.
"""

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h
MOST = 2


def few_arenas() -> None:
    """Call it before threads start. A C library without arenas (musl) has no such call, and no need."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MOST)
