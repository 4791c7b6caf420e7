"""Which subscriptions match a topic: a tree over the levels of their filters."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SHARED = "$share/"


def split_share(topic_filter: str) -> tuple[str, str]:
    """The group of a shared subscription (empty for a plain one) and its filter."""
    if not topic_filter.startswith(SHARED):
        return "", topic_filter
    group, _, rest = topic_filter.removeprefix(SHARED).partition("/")
    return group, rest


def is_valid(topic_filter: str) -> bool:
    """Whether wildcards stand alone on a level, and ``#`` last."""
    group, plain = split_share(topic_filter)
    if not plain or (topic_filter.startswith(SHARED) and (not group or set(group) & set("+#"))):
        return False
    levels = plain.split("/")
    return (
        all(level in ("+", "#") or not set(level) & set("+#") for level in levels) and "#" not in levels[:-1]
    )


def matches(topic_filter: str, topic: str) -> bool:
    """Whether one plain filter matches; ``$SYS`` and the like are matched by no wildcard at the start."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number >= len(levels) or level not in ("+", levels[number]):
            return False
    return len(wanted) == len(levels)


class FilterTree(Generic[K, V]):
    """Values by filter and key; `find` gives all whose filter matches a topic."""

    def __init__(self) -> None:
        self._children: dict[str, FilterTree[K, V]] = {}
        self._values: dict[K, V] = {}

    def add(self, topic_filter: str, key: K, value: V) -> bool:
        """Whether it is new; else it replaces the value."""
        node = self
        for level in topic_filter.split("/"):
            node = node._children.setdefault(level, FilterTree())
        new = key not in node._values
        node._values[key] = value
        return new

    def remove(self, topic_filter: str, key: K) -> bool:
        """Whether it was there."""
        head, _, rest = topic_filter.partition("/")
        child = self._children.get(head)
        if child is None:
            return False
        last = "/" not in topic_filter
        found = child._values.pop(key, None) is not None if last else child.remove(rest, key)
        if not child._values and not child._children:
            del self._children[head]
        return found

    def find(self, topic: str) -> Iterator[tuple[K, V]]:
        levels = topic.split("/")
        yield from self._find(levels, 0, wild=not topic.startswith("$"))

    def _find(self, levels: list[str], at: int, *, wild: bool) -> Iterator[tuple[K, V]]:
        if wild and (rest := self._children.get("#")) is not None:
            yield from rest._values.items()
        if at == len(levels):
            yield from self._values.items()
            return
        if (child := self._children.get(levels[at])) is not None:
            yield from child._find(levels, at + 1, wild=True)
        if wild and (child := self._children.get("+")) is not None:
            yield from child._find(levels, at + 1, wild=True)
