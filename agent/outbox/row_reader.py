"""Makes rows of what the database holds, and keeps back those that a failing disk has changed."""

from collections.abc import Iterable
from typing import Any

from agent.host import clock
from agent.outbox.epochs import Epochs
from agent.outbox.rows import Row, RowStore


class RowReader:
    """Of one store, in the boot named ``boot``."""

    def __init__(self, store: RowStore, epochs: Epochs, boot: str) -> None:
        self._store = store
        self._epochs = epochs
        self._boot = boot
        self._unreadable: list[Row] = []

    def rows(self, found: Iterable[tuple[Any, ...]]) -> list[Row]:
        """The readable ones of ``found``, which has the columns `schema.COLUMNS`."""
        rows: list[Row] = []
        for values in found:
            sound = isinstance(values[4], bytes) and not any(
                "\ufffd" in text for text in values if isinstance(text, str)
            )
            (rows if sound else self._unreadable).append(self._row(values, sound))
        return rows

    def take_unreadable(self) -> list[Row]:
        """The others, once."""
        found, self._unreadable = self._unreadable, []
        return found

    def _row(self, values: tuple[Any, ...], sound: bool) -> Row:
        lane, place, identity, topic, body, qos, retain, expires_s, boot, made_s, rank, group = values
        this_boot, now_s = boot == self._boot, clock.since_boot_s()  # another boot has another clock
        left_s = expires_s - now_s if this_boot and expires_s is not None else None
        age_s = now_s - made_s if this_boot else None
        epoch, seq = self._epochs.number_of(lane, place)
        return Row(
            lane, seq, identity, topic, bytes(body) if sound else b"", qos, bool(retain), left_s, age_s,
            epoch, self._store, place, rank, group,
        )  # fmt: skip
