"""Which parts of the agent a change of configuration restarts, by the paths that differ."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.config.push_policy import CONNECTION_FIELDS

ABSENT = object()


def changed_paths(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The deepest paths of mappings at which two trees differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            before, after = old.get(key, ABSENT), new.get(key, ABSENT)
            if before is ABSENT or after is ABSENT:
                yield (*path, str(key))
            else:
                yield from changed_paths(before, after, (*path, str(key)))
    elif old != new:
        yield path


def restarts(paths: Iterable[tuple[str, ...]]) -> list[str]:
    """What restarts, one line for each part; everything else goes on running."""
    lines: dict[str, None] = {}
    for path in paths:
        match path:
            case ("broker", field, *_) if field in CONNECTION_FIELDS:
                lines["link: connects anew, and the centre's receipt has to prove it"] = None
            case ("broker", *_):
                lines["link: connects anew"] = None
            case ("sources", name, *rest):
                if rest and rest[0] in FREE_CAMERA_FIELDS:
                    lines[f"source {name}: takes {rest[0]} over without a restart"] = None
                else:
                    lines[f"source {name}: restarts"] = None
            case ("rules", name, *_):
                lines[f"rule {name}: restarts; an active alert goes on"] = None
            case ("device" | "data", *_):
                lines[f"{path[0]}: can't be changed by push"] = None
    return list(lines)


FREE_CAMERA_FIELDS: frozenset[str] = frozenset()
"""Fields of a camera that a running camera takes over."""
