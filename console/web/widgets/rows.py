"""A list that changes in place: rows are added, changed, moved and removed, and never drawn anew."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from nicegui import ui

T = TypeVar("T")


class Rows(Generic[T]):
    """``make`` draws one row below the open element, and returns its root and what shows an item in it."""

    def __init__(
        self, container: ui.element, make: Callable[[T], tuple[ui.element, Callable[[T], None]]]
    ) -> None:
        self._container, self._make = container, make
        self._rows: dict[Hashable, tuple[ui.element, Callable[[T], None]]] = {}

    def show(self, items: Iterable[tuple[Hashable, T]]) -> None:
        """Shows ``items`` in their order; the key of an item is the same as long as its row is."""
        wanted = dict(items)
        for key in [key for key in self._rows if key not in wanted]:
            self._rows.pop(key)[0].delete()
        for key, item in wanted.items():
            if key not in self._rows:
                with self._container:
                    self._rows[key] = self._make(item)
            self._rows[key][1](item)
        if list(self._rows) != list(wanted):
            self._rows = {key: self._rows[key] for key in wanted}
            for place, (element, _) in enumerate(self._rows.values()):
                if self._container.default_slot.children.index(element) != place:
                    element.move(target_index=place)

    def __len__(self) -> int:
        return len(self._rows)
