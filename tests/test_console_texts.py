"""Every text of the pages has its Chinese, and every Chinese text is used."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from console.web.texts import CHINESE, chinese

ROOT = Path(__file__).resolve().parents[1]
DRAWN = ("console", "centre/map", "simulators/first_minute")
SAID = (*DRAWN, "agent", "models")
"""Whose texts a page may show as they are, such as the reasons of a device."""
TRANSLATES = frozenset({"t", "translated"})


def sources(folders: Sequence[str] = DRAWN) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def asked(path: Path) -> set[str]:
    """The literal texts that the file translates."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in TRANSLATES:
                found |= {one for one in literals(node.args[0]) if re.search("[A-Za-z]", one)}
    return found


def literals(node: ast.AST) -> set[str]:
    """The texts that an expression may give, where they are written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return literals(node.body) | literals(node.orelse)
    return set()


def written() -> str:
    """All texts in the sources, for keys that reach `t` through a table."""
    nodes = (node for path in sources(SAID) for node in ast.walk(ast.parse(path.read_text())))
    return "\0".join(
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_each_text_has_its_chinese() -> None:
    known = chinese()
    missing = {
        f"{path.relative_to(ROOT)}: {text}" for path in sources() for text in asked(path) if text not in known
    }
    assert sorted(missing) == []


def test_each_chinese_text_is_used() -> None:
    """By its whole English text, wherever it is written."""
    texts = written()
    own = {
        (path.name, english)
        for path in CHINESE.glob("*.yaml")
        for english in YAML(typ="safe").load(path.read_text()) or {}
    }
    assert (
        sorted(f"{name}: {english}" for name, english in own if f"\0{english}\0" not in f"\0{texts}\0") == []
    )


def test_no_text_is_translated_twice() -> None:
    """Two files with one English text would have to agree for ever."""
    seen: dict[str, tuple[str, str]] = {}
    differing = []
    for path in sorted(CHINESE.glob("*.yaml")):
        for english, text in (YAML(typ="safe").load(path.read_text()) or {}).items():
            assert isinstance(english, str), f"{path.name}: {english!r}: quote it"
            assert isinstance(text, str), f"{path.name}: {english!r}"
            if english in seen and seen[english][1] != text:
                differing.append(f"{english}: {seen[english]} and {(path.name, text)}")
            seen[english] = path.name, text
    assert differing == []


@pytest.mark.parametrize("path", sorted(CHINESE.glob("*.yaml")), ids=lambda path: path.name)
def test_names_in_braces_are_the_same_in_both(path: Path) -> None:
    names = re.compile(r"\{(\w+)[^}]*\}")
    wrong = [
        english
        for english, text in (YAML(typ="safe").load(path.read_text()) or {}).items()
        if set(names.findall(english)) != set(names.findall(text))
    ]
    assert wrong == []
