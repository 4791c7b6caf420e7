"""Reads a configuration: YAML 1.2 with errors as ``FILE:LINE: path: message``."""

import hashlib
import re
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.config.cross_checks import model_errors, reference_errors
from agent.config.migrations import migrate
from agent.config.model import PATTERNS, Config
from agent.config.simulated_sources import simulated_source_errors
from agent.domain.yaml_loader import (
    MAX_BYTES,
    BadConfig,
    Problem,
    alternatives,
    line_of,
    load_yaml,
    read_text,
)
from agent.runtime.error_text import error_reason

MAX_PROBLEMS = 50
"""Errors in references that are listed: to find an alternative for thousands takes a minute."""


def digest(text: str) -> str:
    """The sha256 over the text as written; it identifies a configuration."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> Config:
    """The configuration in a file. BadConfig where the file is unreadable or its content is not valid."""
    try:
        text = read_text(path)
    except OSError as error:
        raise BadConfig([Problem(0, "", error_reason(error))], str(path)) from error
    return parse(text, name=str(path), base=folder_beside(path))


def folder_beside(path: Path) -> Path:
    """The folder of a configuration file, links followed: where its relative paths begin."""
    try:
        return path.resolve().parent
    except (OSError, RuntimeError):  # a loop of links
        return path.absolute().parent


def parse(
    text: str, *, name: str, base: Path, ran_before: bool = False, only: frozenset[Path] | None = None
) -> Config:
    """The configuration in ``text``; relative paths start at ``base``. BadConfig lists every error.

    A configuration that ``ran_before`` is accepted without the cards of its models: they may be gone by now.
    With ``only``, as for a push, it may name files below ``base`` or in ``only``; no other file is opened.
    """
    tree = load(text, name)
    return validated(tree, name=name, base=base, ran_before=ran_before, only=only)


def load(text: str, name: str) -> Any:
    """The tree in ``text`` with the line of each key, in the present schema version. BadConfig."""
    if len(text) > MAX_BYTES:
        raise BadConfig([Problem(1, "", f"larger than {MAX_BYTES // 1024} KiB")], name)
    tree = load_yaml(text, name)
    migrate(tree, name)
    return tree


def validated(
    tree: Any, *, name: str, base: Path, ran_before: bool = False, only: frozenset[Path] | None = None
) -> Config:
    """The configuration in a tree of `load`; see `parse`."""
    try:
        config = Config.model_validate(tree, context={"base": base, "only": only})
    except ValidationError as error:
        problems = [
            problem_at(detail, tree, _schema()) for detail in error.errors(include_url=False)[:MAX_PROBLEMS]
        ]
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name) from error
    found = chain(reference_errors(config), simulated_source_errors(config))
    if not ran_before:
        found = chain(found, model_errors(config, pushed=only is not None))
    errors = islice(found, MAX_PROBLEMS)
    problems = [Problem(line_of(tree, path), ".".join(path), message) for path, message in errors]
    rules = {}
    for rule_name, rule in config.rules.items():
        try:
            rules[rule_name] = rule.resolve(config.site())
        except ValueError as error:
            path = ("rules", rule_name)
            problems.append(Problem(line_of(tree, path), ".".join(path), str(error)))
    if problems:
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name)
    return config.with_rules(rules)


def problem_at(detail: ErrorDetails, tree: Any, schema: dict[str, Any]) -> Problem:
    """A pydantic error as a message for a technician, with its line; ``schema`` is that of the model."""
    path: list[str | int] = []
    node = tree
    for step in detail["loc"]:  # the tags of discriminated unions stand in loc, but not in the file
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            if step != detail["loc"][-1] or detail["type"] != "missing":
                continue
        path.append(step)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        message = "is required"
    elif kind == "extra_forbidden":
        known = _keys(schema, detail["loc"][:-1])
        message = f"unknown key; {alternatives(str(path[-1]), known)}"
    elif kind == "union_tag_invalid":
        known = re.findall(r"'([^']*)'", str(context["expected_tags"]))
        path.append("kind")
        message = f"unknown kind {context['tag']!r}; {alternatives(str(context['tag']), known)}"
    elif kind == "union_tag_not_found":
        message = "kind is required"
    elif kind == "string_pattern_mismatch":
        message = (
            f"{detail['input']!r} does not fit; write {PATTERNS.get(context['pattern'], context['pattern'])}"
        )
    else:
        message = detail["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
    return Problem(line_of(tree, path), ".".join(str(step) for step in path), message)


def _keys(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the JSON Schema allows at ``loc``."""

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return node

    node = resolve(schema)
    for step in loc:
        mapping = node.get("discriminator", {}).get("mapping", {})
        options = [resolve(option) for option in node.get("anyOf", [])]
        if step in mapping:
            node = resolve({"$ref": mapping[step]})
        elif step in node.get("properties", {}):
            node = resolve(node["properties"][step])
        elif isinstance(node.get("additionalProperties"), dict):
            node = resolve(node["additionalProperties"])
        elif "patternProperties" in node:
            node = resolve(next(iter(node["patternProperties"].values())))
        elif "items" in node:
            node = resolve(node["items"])
        elif options:
            node = next((o for o in options if step in o.get("properties", {})), options[0])
    if "properties" not in node:
        node = next((o for o in map(resolve, node.get("anyOf", [])) if "properties" in o), node)
    return list(node.get("properties", {}))


@cache
def _schema() -> dict[str, Any]:
    """Made once: a file may have thousands of unknown keys."""
    return Config.model_json_schema()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration, for editors."""
    schema = Config.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ringpost configuration",
        **schema,
    }
