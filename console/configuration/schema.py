"""The JSON Schema of the configuration as fields of a form: kind, limits, unit, default, help, guard."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from agent.config.loader import json_schema as made_schema
from agent.config.policy_table import POLICY
from agent.domain.durations import format_duration
from console.configuration.field_help import field_help, section_help

Widget = Literal[
    "text", "integer", "number", "switch", "choice", "choices", "words", "duration", "section", "yaml"
]
PushGuard = Literal["free", "guarded", "picture", "local"]
DURATION = r"(ms|s|m|h|d)\s*$"
UNITS = (
    ("_mps", "m/s"), ("_mb", "MB"), ("_kb", "kB"), ("_kb_per_hour", "kB/h"), ("_per_s", "1/s"), ("_hz", "Hz"),
    ("_deg", "°"), ("_m", "m"), ("_s", "s"), ("_v", "V"), ("_percent", "%"), ("fps", "1/s"), ("lat", "°"),
    ("lon", "°"), ("hours", "h"), ("baud", "Bd"), ("pixels", "px"), ("width", "px"), ("height", "px"),
)  # fmt: skip
"""Units by the end of a key."""


@cache
def json_schema() -> dict[str, Any]:
    """Made once: that takes half a second."""
    return made_schema()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    key: str
    widget: Widget
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    unit: str | None = None
    help: str = ""
    guard: PushGuard = "free"
    fields: tuple["Field", ...] = ()
    """Of a section."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source or rule."""

    name: str
    help: str
    fields: tuple[Field, ...] = field(default=())


TOP = (
    "place",
    "duty",
    "broker",
    "reporting",
    "evidence",
    "positioning",
    "drill",
    "data",
    "history",
    "privacy",
    "allow",
)
"""The sections of the form beside sources and rules, in its order."""
BASIC = ("schema_version", "device", "kind", "holidays", "groups", "roles", "guarded_rules")


@cache
def top_fields() -> dict[str, Field]:
    """The fields of the whole document but ``sources`` and ``rules``, by key."""
    schema = json_schema()
    return {one.key: one for one in _fields(schema, "Config", None) if one.key not in ("sources", "rules")}


@cache
def kinds(part: Literal["sources", "rules"]) -> dict[str, Kind]:
    """The kinds of sources, or of rules, by name."""
    schema = json_schema()
    node = next(iter(schema["properties"][part]["patternProperties"].values()))
    found = {}
    for name, ref in sorted(node["discriminator"]["mapping"].items()):
        model = ref.rsplit("/", 1)[-1]
        free: PushGuard | None = None if model == "Camera" else "free"
        fields = tuple(one for one in _fields(schema["$defs"][model], model, free) if one.key != "kind")
        found[name] = Kind(name, section_help(model), tuple(sorted(fields, key=lambda one: not one.required)))
    return found


def _fields(node: Mapping[str, Any], model: str, guard: PushGuard | None) -> tuple[Field, ...]:
    required = node.get("required", ())
    return tuple(
        _field(key, one, model, guard, required=key in required)
        for key, one in node.get("properties", {}).items()
    )


def _field(
    key: str, node: Mapping[str, Any], model: str, guard: PushGuard | None, *, required: bool
) -> Field:
    """``guard``: that of the whole part, where its fields have none of their own."""
    row = None if guard else POLICY.get(f"{model}.{key}")
    inner: PushGuard | None = guard
    if guard is None and (row is None or row.guard != "parts"):
        inner = "local" if row is None or row.guard == "parts" else row.guard
    default = node.get("default")
    node = _resolved(node)
    widget, choices = _widget(node)
    name = node.get("title", "")
    return Field(
        key=key,
        widget=widget,
        required=required,
        default=_readable(default),
        choices=choices,
        least=node.get("minimum", node.get("exclusiveMinimum")),
        most=node.get("maximum"),
        unit=_unit(key, widget),
        help=field_help(model, key),
        guard=inner or "free",
        fields=_fields(node, name, inner) if widget == "section" else (),
    )


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a value has, without references and without ``null``."""
    while True:
        options = [one for one in node.get("anyOf", ()) if one.get("type") != "null"]
        if "$ref" in node:
            node = json_schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        elif len(options) == 1:
            node = options[0]
        else:
            return node


def _widget(node: Mapping[str, Any]) -> tuple[Widget, tuple[Any, ...]]:
    kind, items = node.get("type"), _resolved(node.get("items", {}))
    if any(re.search(re.escape(DURATION), one.get("pattern", "")) for one in node.get("anyOf", ())):
        return "duration", ()
    if "enum" in node or "const" in node:
        return "choice", tuple(node.get("enum", [node.get("const")]))
    if node.get("title") == "Secret":
        return "yaml", ()
    if kind == "array" and "enum" in items:
        return "choices", tuple(items["enum"])
    if kind == "array" and items.get("type") == "string":
        return "words", ()
    if kind == "object" and "properties" in node:
        return "section", ()
    known: dict[Any, Widget] = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "switch",
    }
    return known.get(kind, "yaml"), ()


def _unit(key: str, widget: Widget) -> str | None:
    if widget not in ("integer", "number"):
        return None
    return next(
        (unit for end, unit in sorted(UNITS, key=lambda one: -len(one[0])) if key.endswith(end)), None
    )


def _readable(default: Any) -> Any:
    """A default as people write it: ``10s`` for ``PT10S``."""
    if not isinstance(default, str) or not re.fullmatch(r"P(\d+D)?(T[\dHMS.]+)?", default):
        return default
    return format_duration(TypeAdapter(timedelta).validate_python(default))
