"""Where the parts of a YAML text begin and end, in characters, so that an edit touches nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, and its value."""

    key: str
    start: int
    """Of the key."""
    value: "Span"


@dataclass(frozen=True, slots=True)
class Span:
    """A node: ``start`` to ``end``, without what follows it such as a comment."""

    start: int
    end: int
    shape: str
    """``scalar``, ``block_text``, ``mapping``, ``list``."""
    flow: bool
    """Whether it is written in braces or brackets."""
    entries: tuple[Entry, ...] = ()
    items: tuple["Span", ...] = ()


def spans(text: str) -> Span:
    """The root of ``text``, which `agent.domain.yaml_loader.load_yaml` accepts."""
    from ruamel.yaml import YAML

    return _span(YAML(typ="rt").compose(StringIO(text)))


def _span(node: Any) -> Span:
    start, end, name = node.start_mark.index, node.end_mark.index, type(node).__name__
    if name == "ScalarNode":
        block = node.style in ("|", ">")
        return Span(start, end, "block_text" if block else "scalar", flow=False)
    if name == "MappingNode":
        entries = tuple(
            Entry(str(key.value), key.start_mark.index, _span(value)) for key, value in node.value
        )
        last = entries[-1].value.end if entries else end
        return Span(start, end if node.flow_style else last, "mapping", bool(node.flow_style), entries)
    items = tuple(_span(item) for item in node.value)
    last = items[-1].end if items else end
    return Span(start, end if node.flow_style else last, "list", bool(node.flow_style), (), items)


def entry_of(span: Span, key: str) -> Entry | None:
    """The entry of a mapping under ``key``."""
    return next((entry for entry in span.entries if entry.key == key), None)


def find(span: Span, path: Sequence[str | int]) -> Span | None:
    """The node at ``path``; None where the text has none."""
    for step in path:
        if isinstance(step, int):
            if step >= len(span.items):
                return None
            span = span.items[step]
        else:
            entry = entry_of(span, step)
            if entry is None:
                return None
            span = entry.value
    return span


def line_end(text: str, at: int) -> int:
    """The index just after the line break that ends the line of ``at``; the length where it is the last."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def column(text: str, at: int) -> int:
    """The column of ``at``, from 0."""
    return at - (text.rfind("\n", 0, at) + 1)
