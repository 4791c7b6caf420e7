"""Edits of one value in a YAML text. All else stays as it is written: comments, order, quotes, spaces.

An edit cuts and inserts characters. Where the result does not mean what was wanted, ruamel.yaml writes the
document anew, with its comments; where that fails too, the edit is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from typing import Any

from agent.config.merge_patch import Tree, plain, same
from agent.domain.yaml_loader import BadConfig, load_yaml
from console.configuration.spans import Entry, Path, Span, column, entry_of, find, line_end, spans

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@-]*(?::[A-Za-z0-9_./+@-]+)*|[0-9]{1,9}(?:ms|s|m|h|d)")
"""Strings that need no quotes wherever they stand, but for the words of `WORDS`."""
WORDS = re.compile(r"(?i)null|true|false|yes|no|on|off|y|n|~")
WIDTH = 110


class EditError(ValueError):
    """The text can't be edited; one line says why."""


def set_value(text: str, path: Path, value: Any) -> str:
    """``text`` with ``value`` at ``path``; mappings on the way are made. EditError, BadConfig."""
    tree = plain(load_yaml(text, ""))
    wanted = _with(tree, path, value)
    if same(tree, wanted):
        return text
    return _proved(text, wanted, lambda: _put(text, path, value), lambda loaded: _put_in(loaded, path, value))


def remove_value(text: str, path: Path) -> str:
    """``text`` without the value at ``path``; an emptied mapping goes too. EditError, BadConfig."""
    tree = plain(load_yaml(text, ""))
    while len(path) > 1 and len(_at(tree, path[:-1]) or ()) == 1 and isinstance(path[-1], str):
        path = path[:-1]
    if _at(tree, path) is None and path[-1] not in (_at(tree, path[:-1]) or ()):
        return text
    wanted = _without(tree, path)
    return _proved(text, wanted, lambda: _cut(text, path), lambda loaded: _cut_from(loaded, path))


def apply_patch(text: str, patch: Mapping[str, Any], path: Path = ()) -> str:
    """``text`` after a merge patch (RFC 7396), value by value. EditError, BadConfig."""
    for key, value in patch.items():
        here = (*path, key)
        if value is None:
            text = remove_value(text, here)
        elif isinstance(value, Mapping) and isinstance(_at(plain(load_yaml(text, "")), here), dict):
            text = apply_patch(text, value, here)
        else:
            text = set_value(text, here, value)
    return text


def _proved(text: str, wanted: Tree, cut: Callable[[], str], rewrite: Callable[[Any], None]) -> str:
    """The text that means ``wanted``: by characters, else written anew."""
    with suppress(BadConfig, EditError):
        edited = cut()
        if same(plain(load_yaml(edited, "")), wanted):
            return edited
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml, out = YAML(), StringIO()
    yaml.width, yaml.preserve_quotes = 4096, True
    with suppress(BadConfig, YAMLError, ValueError, TypeError, AttributeError):
        loaded = yaml.load(StringIO(text))
        rewrite(loaded)
        yaml.dump(loaded, out)
        if same(plain(load_yaml(out.getvalue(), "")), wanted):
            return out.getvalue()
    raise EditError("this can't be written into the text; edit the text itself")


def _put(text: str, path: Path, value: Any) -> str:
    root = spans(text)
    found = find(root, path)
    if found is not None:
        return _replace(text, found, value)
    known = len(path) - 1
    while known and find(root, path[:known]) is None:
        known -= 1
    holder, key, inner = find(root, path[:known]), path[known], value
    for step in reversed(path[known + 1 :]):
        inner = {step: inner}
    if holder is None or not isinstance(key, str):
        raise EditError("no place for it")
    if holder.shape != "mapping" or not holder.entries:
        return _replace(text, holder, {key: inner})
    return _insert(text, holder, key, inner)


def _replace(text: str, span: Span, value: Any) -> str:
    written = flow(value)
    start, end = span.start, span.end
    before = text[:start].rstrip()
    if before.endswith(":") and (start == end or (span.shape in ("mapping", "list") and not span.flow)):
        start, written = len(before), f" {written}"
        end = max(start, end if span.entries or span.items else start)
    elif span.shape == "block_text":
        written += "\n"
    return text[:start] + written + text[end:]


def _insert(text: str, holder: Span, key: str, value: Any) -> str:
    last = holder.entries[-1].value
    if holder.flow:
        return f"{text[: last.end]}, {flow(key)}: {flow(value)}{text[last.end :]}"
    at = last.end if last.shape == "block_text" else line_end(text, last.end)
    indent = column(text, holder.entries[0].start)
    head = text[:at] if text[:at].endswith("\n") or at == 0 else text[:at] + "\n"
    return head + block(key, value, indent) + text[at:]


def _cut(text: str, path: Path) -> str:
    holder = find(spans(text), path[:-1])
    key = path[-1]
    if holder is None or not isinstance(key, str) or len(holder.entries) < 2:
        raise EditError("no place for it")
    entry = entry_of(holder, key)
    if entry is None:
        raise EditError("no place for it")
    return _cut_flow(text, holder, entry) if holder.flow else _cut_block(text, entry)


def _cut_flow(text: str, holder: Span, entry: Entry) -> str:
    index = holder.entries.index(entry)
    if index:
        start, end = holder.entries[index - 1].value.end, entry.value.end
    else:
        start, end = entry.start, holder.entries[1].start
    return text[:start] + text[end:]


def _cut_block(text: str, entry: Entry) -> str:
    start = entry.start - column(text, entry.start)
    end = entry.value.end if entry.value.shape == "block_text" else line_end(text, entry.value.end)
    if text[start : entry.start].strip():
        raise EditError("it does not begin a line")
    return text[:start] + text[end:]


def flow(value: Any) -> str:
    """``value`` on one line, in braces and brackets where it has parts."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and not WORDS.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def block(key: str, value: Any, indent: int) -> str:
    """The lines of a new entry: on one line where it fits, else one line for each of its entries."""
    line = f"{' ' * indent}{flow(key)}: {flow(value)}\n"
    if len(line) <= WIDTH or not isinstance(value, Mapping) or not value:
        return line
    inner = "".join(block(str(name), one, indent + 2) for name, one in value.items())
    return f"{' ' * indent}{flow(key)}:\n{inner}"


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _with(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        if not isinstance(tree, list) or step >= len(tree):
            raise EditError("no place for it")
        return [*tree[:step], _with(tree[step], rest, value), *tree[step + 1 :]]
    here = tree if isinstance(tree, dict) else {}
    return {**here, step: _with(here.get(step), rest, value)}


def _without(tree: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    if rest:
        return _with(tree, (step,), _without(tree[step], rest))
    return {key: value for key, value in tree.items() if key != step}


def _put_in(loaded: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        if isinstance(step, str) and not isinstance(loaded.get(step), Mapping | list):
            loaded[step] = {}
        loaded = loaded[step]
    loaded[path[-1]] = value


def _cut_from(loaded: Any, path: Path) -> None:
    for step in path[:-1]:
        loaded = loaded[step]
    del loaded[path[-1]]
