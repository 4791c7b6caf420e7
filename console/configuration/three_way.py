"""Two people edit at once: what each changed since the common base, and one text of both."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from agent.config.merge_patch import same
from console.configuration.edits import remove_value, set_value
from console.configuration.in_force import tree_of

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A value that differs; None where there is none."""

    path: Steps
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place that both changed, in different ways."""

    path: Steps
    mine: Changed
    theirs: Changed


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """The changes of both sides; what both made alike is in neither."""

    mine: tuple[Changed, ...]
    theirs: tuple[Changed, ...]
    conflicts: tuple[Conflict, ...]


def compare(base: str, mine: str, theirs: str) -> ThreeWay:
    """The changes of ``mine`` and ``theirs`` since ``base``."""
    own = {change.path: change for change in changed(tree_of(base), tree_of(mine))}
    other = {change.path: change for change in changed(tree_of(base), tree_of(theirs))}
    alike = {path for path in own.keys() & other.keys() if same(own[path].after, other[path].after)}
    own = {path: change for path, change in own.items() if path not in alike}
    other = {path: change for path, change in other.items() if path not in alike}
    conflicts = [
        Conflict(min(left, right, key=len), own[left], other[right])
        for left in own
        for right in other
        if _touch(left, right)
    ]
    return ThreeWay(tuple(own.values()), tuple(other.values()), tuple(conflicts))


def combine(theirs: str, three: ThreeWay, keep_theirs: Set[Steps] = frozenset()) -> str:
    """The text of ``theirs`` with the changes of mine, but for the conflicts at ``keep_theirs``.

    EditError where a change can't be written into it.
    """
    left_out = {conflict.mine.path for conflict in three.conflicts if conflict.path in keep_theirs}
    for change in three.mine:
        if change.path in left_out:
            continue
        if change.after is None:
            theirs = remove_value(theirs, change.path)
        else:
            theirs = set_value(theirs, change.path, change.after)
    return theirs


def changed(old: Any, new: Any, path: Steps = ()) -> Iterator[Changed]:
    """Each value that differs; a list is one value, and a part that is new or gone is one, too."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from changed(old.get(key), new.get(key), (*path, key))
    elif not same(old, new):
        yield Changed(path, old, new)


def _touch(one: Steps, other: Steps) -> bool:
    """Whether one path is the other, or a part of it."""
    common = min(len(one), len(other))
    return one[:common] == other[:common]
