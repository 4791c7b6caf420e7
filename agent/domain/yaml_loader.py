"""YAML 1.2 with the line of each key, and errors that name line, path and remedy.

Duplicate keys are errors. Size and depth are bounded and anchors refused, so that no file can exhaust the
memory or the time of the agent.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
"""Keys, values and list items: ruamel.yaml needs a second or two for so many."""


MAX_NAMES, MAX_WORD = 1000, 100
"""`alternatives` compares no longer lists and words: a push may have thousands."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: its line, its path, and what would be right."""

    line: int
    path: str
    message: str


class BadConfig(ValueError):  # noqa: N818  named for the file, not for the error
    """An invalid configuration, with all of its problems."""

    def __init__(self, problems: list[Problem], name: str) -> None:
        self.problems = problems
        self.name = name
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Each problem as ``FILE:LINE: path: message``; without line where the file itself is the problem."""
        return [
            f"{self.name}:{f'{problem.line}:' if problem.line else ''}"
            f" {problem.path + ': ' if problem.path else ''}{problem.message}"
            for problem in self.problems
        ]


def read_text(path: Path) -> str:
    """The text of a configuration file, bounded. OSError; BadConfig if it is not UTF-8."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadConfig([Problem(line, "", "not UTF-8 text")], str(path)) from error


def load_yaml(text: str, name: str) -> Any:
    """The mapping in ``text`` with the line of each key. BadConfig if it is invalid, or over the bounds."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    def fail(line: int, message: str) -> BadConfig:
        return BadConfig([Problem(line, "", message)], name)

    yaml = YAML(typ="rt")
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(StringIO(text))):
            if count > MAX_NODES:
                raise fail(event.start_mark.line + 1, f"more than {MAX_NODES} keys, values and list items")
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent):
                raise fail(
                    event.start_mark.line + 1, "anchors and aliases (& and *) are not supported; write it out"
                )
            if depth > MAX_DEPTH:
                raise fail(event.start_mark.line + 1, f"nested deeper than {MAX_DEPTH}")
        tree = YAML(typ="rt").load(StringIO(text))
    except BadConfig:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = re.sub(r"\s+", " ", error.problem or error.context or "not YAML").strip()
        raise fail(mark.line + 1 if mark else 1, message.split(" with value")[0]) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise fail(1, f"not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, dict):
        raise fail(1, "a configuration is a mapping (key: value); see configs/ for examples")
    return tree


def line_of(tree: Any, path: Sequence[str | int]) -> int:
    """The line (from 1) of the last step of ``path`` that exists in the file."""
    line, node = 1, tree
    for step in path:
        try:
            marks = node.lc
            line = (marks.key(step) if isinstance(node, dict) else marks.item(step))[0] + 1
            node = node[step]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return int(line)


def alternatives(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` where a known name is similar, and all known names."""
    names = sorted(map(str, known))
    if not names:
        return "there is none"
    near = difflib.get_close_matches(word[:MAX_WORD], names, n=1) if len(names) <= MAX_NAMES else []
    shown = ", ".join(names[:MAX_NAMES]) + ("…" if len(names) > MAX_NAMES else "")
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {shown}"
