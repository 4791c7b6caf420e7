"""What officers did, by alert: who has it, and what became of each order. Pure."""

from collections.abc import Callable, Iterable
from datetime import datetime

from centre.map.action_entry import ActionEntry
from centre.map.queued_alert import QueuedAlert

EntryListener = Callable[[ActionEntry], None]


class ActionBoard:
    """Takes entries of this and of other processes, each once, in any order."""

    def __init__(self) -> None:
        self._by_alert: dict[tuple[str, str], dict[int, ActionEntry]] = {}
        self._listeners: list[EntryListener] = []
        self._seen: set[int] = set()

    def listen(self, listener: EntryListener) -> Callable[[], None]:
        """Calls ``listener`` for each new entry; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def add(self, entries: Iterable[ActionEntry]) -> None:
        """Takes entries; those that are known already are ignored."""
        for entry in entries:
            if entry.n in self._seen:
                continue
            self._seen.add(entry.n)
            self._by_alert.setdefault(entry.key, {})[entry.n] = entry
            for listener in tuple(self._listeners):
                listener(entry)

    def of(self, key: tuple[str, str], by: datetime | None = None) -> list[ActionEntry]:
        """The entries about an alert, the oldest first; those until ``by``."""
        entries = self._by_alert.get(key, {})
        return [entries[n] for n in sorted(entries) if by is None or entries[n].at <= by]

    def notes(self, key: tuple[str, str]) -> list[ActionEntry]:
        return [entry for entry in self.of(key) if entry.kind == "note"]

    def holder(self, alert: QueuedAlert, by: datetime | None = None) -> str:
        """The role that has the alert: the one that it was handed to last, else the one that answered; empty
        where nobody has."""
        role, since = "", None
        if alert.answer is not None:
            role, since = alert.answer.role, alert.answer.at
        for entry in self.of(alert.key, by):
            if entry.kind == "hand_over" and (since is None or entry.at >= since):
                role, since = str(entry.fields.get("to", "")), entry.at
        return role

    def result_of(self, entry: ActionEntry) -> ActionEntry | None:
        """What became of an order; None while it is on its way."""
        results = (
            one for one in self.of(entry.key) if one.kind == "result" and one.fields.get("of") == entry.n
        )
        return next(results, None)
