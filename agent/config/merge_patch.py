"""JSON merge patches (RFC 7396) over plain trees: apply, find, combine, name the paths. Pure.

A patch is an object: a value replaces the one in its place, null removes it, a list is replaced as a whole.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, TypeAlias

Tree: TypeAlias = dict[str, Any]
"""A configuration as dicts, lists, strings, numbers and booleans."""


def plain(node: Any) -> Any:
    """``node`` of ruamel.yaml without its comments and types; a date becomes its text."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, date):  # datetime is a date too
        return node.isoformat()
    return next((kind(node) for kind in (int, float, str) if isinstance(node, kind)), str(node))


def merged(base: Any, patch: Any) -> Any:
    """``base`` after ``patch``; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def difference(old: Tree, new: Tree) -> Tree:
    """The patch that makes ``new`` of ``old``; a null in ``new`` counts as absent."""
    patch: Tree = {key: None for key in old if new.get(key) is None}
    for key, value in new.items():
        before = old.get(key)
        if value is None or (key in old and same(value, before)):
            continue
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        patch[key] = difference(before, value) if both and isinstance(before, dict) else value
    return patch


def combined(first: Tree, second: Tree) -> Tree:
    """One patch for two that follow each other, over any tree that both were made for."""
    result = dict(first)
    for key, value in second.items():
        before = result.get(key)
        both = isinstance(value, Mapping) and isinstance(before, dict)
        result[key] = combined(before, dict(value)) if both and before is not None else value
    return result


def changed_paths(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The dotted path of each value that differs; a list counts as one value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from changed_paths(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif not same(old, new):
        yield path


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal; true and 1 are not."""
    return canonical(one) == canonical(other)


def canonical(tree: Any) -> str:
    """One text for equal trees."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def patch_digest(patch: Mapping[str, Any]) -> str:
    """The sha256 that identifies a patch: over its JSON with sorted keys and no spaces."""
    return hashlib.sha256(canonical(patch).encode(errors="surrogatepass")).hexdigest()


def depth(tree: Any) -> int:
    """The depth of a tree, counted without recursion."""
    level, deepest = [tree], 0
    while level:
        deepest += 1
        level = [
            below
            for node in level
            if isinstance(node, dict | list)
            for below in (node.values() if isinstance(node, dict) else node)
        ]
    return deepest
