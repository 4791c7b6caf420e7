"""Help on the fields of a form: the docstrings below the attributes of the models, read from their source."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from agent.config.model import Config

MARKS = re.compile(r"``|`")


def field_help(model: str, key: str) -> str:
    """What is written about a field; empty where nothing is."""
    return _help(model).get(key, "")


def section_help(model: str) -> str:
    """The first line about a section, or a kind of source or rule."""
    found = models().get(model)
    lines = (inspect.getdoc(found) or "").strip().split("\n\n")[0] if found else ""
    return MARKS.sub("", " ".join(lines.split()))


@cache
def models() -> dict[str, type[BaseModel]]:
    """Each model that a configuration is made of, by name."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [Config]
    while waiting:
        model = waiting.pop()
        if found.setdefault(model.__name__, model) is model:
            for field in model.model_fields.values():
                waiting += [one for one in _models_in(field.annotation) if one.__name__ not in found]
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


@cache
def _help(model: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in reversed(models()[model].__mro__ if model in models() else ()):
        if issubclass(part, BaseModel) and part is not BaseModel:
            found |= dict(_written(part))
    return found


def _written(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """(field, docstring) of the class itself."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    except (OSError, SyntaxError):
        return
    key = None
    for line in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            key = line.target.id
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and key is not None:
            yield key, MARKS.sub("", " ".join(str(line.value.value).split()))
            key = None
        else:
            key = None
