"""Observers of the path of an alert: none of them may hold up what it observes."""

from collections.abc import Callable
from typing import TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger()


def harmless(observe: Callable[[T], None]) -> Callable[[T], None]:
    """``observe``, whose exceptions are logged and go no further."""

    def observe_safely(seen: T) -> None:
        try:
            observe(seen)
        except Exception:
            log.exception("observer_failed")

    return observe_safely
