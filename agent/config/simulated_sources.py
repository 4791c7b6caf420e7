"""Sources of a simulation, known by their address: no device in the field runs with them.

The simulator puts its ptys into a folder, and its streams below a path, of that name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from urllib.parse import urlsplit

from agent.config.model import Config

MARK = "ringpost-sim"
_ALLOWED: ContextVar[bool] = ContextVar("simulated_sources", default=False)


def allow_simulated_sources() -> None:
    """In the present context, and in all tasks that it starts: for devices below `SIMULATED_ROOT` only."""
    _ALLOWED.set(True)


@contextmanager
def simulated_sources_allowed() -> Iterator[None]:
    """`allow_simulated_sources` for the block."""
    before = _ALLOWED.set(True)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def simulated_source_errors(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and message of each source of a simulation; none where they are allowed."""
    if _ALLOWED.get():
        return
    for name, source in config.sources.items():
        for key in ("port", "url", "evidence_url"):
            if is_simulated(str(getattr(source, key, None) or "")):
                yield (
                    ("sources", name, key),
                    "is simulated hardware; a device in the field needs its own: see ringpost devices list",
                )


def is_simulated(address: str) -> bool:
    """Whether a port or a URL is one of the simulator."""
    return MARK in PurePath(urlsplit(address).path).parts
