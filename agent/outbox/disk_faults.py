"""What is wrong with the disk, in words for ``health``, and when a store that failed is tried again."""

from collections.abc import Callable, Iterable

import structlog

from agent.host.clock import monotonic_s

log = structlog.get_logger()

RETRY_S = 10.0
"""A disk that failed is tried again this often, also while no new message comes."""


class DiskFaults:
    """``texts`` holds one line for each store at fault: ``alerts``, ``telemetry``, ``media``; and ``salvage``
    and ``deleted`` for what happened to a file."""

    def __init__(self, clock: Callable[[], float] = monotonic_s) -> None:
        self.texts: dict[str, str] = {}
        self._clock = clock
        self._retry_at_s = float("-inf")

    def report(self, store: str, error: OSError) -> None:
        text = f"{error}; new messages are kept in memory only"
        if self.texts.get(store) != text:
            log.error("disk_failed", store=store, error=str(error))
        self.texts[store] = text

    def report_deleted(self, file: str) -> None:
        log.error("store_deleted", file=file)
        self.texts["deleted"] = f"{file} was deleted or replaced while in use; it was written anew"

    def clear(self, store: str) -> None:
        self.texts.pop(store, None)

    def any_of(self, stores: Iterable[str]) -> bool:
        return not self.texts.keys().isdisjoint(stores)

    @property
    def retry_due(self) -> bool:
        return self._clock() >= self._retry_at_s

    def postpone_retry(self) -> None:
        self._retry_at_s = self._clock() + RETRY_S

    def retry_now(self) -> None:
        self._retry_at_s = float("-inf")
