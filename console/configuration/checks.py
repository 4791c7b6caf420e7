"""The troubles of a text, by the loader of the agent: line, column, path, and what would be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from agent.config.loader import parse
from agent.config.model import Config
from agent.config.notes import config_notes
from agent.domain.yaml_loader import MAX_BYTES, BadConfig, Problem, load_yaml
from agent.runtime.error_text import error_reason
from console.configuration.in_force import InForce, has_blank, tree_of

MAX_SHOWN = 50
REMEDIES = {
    "found character '\\t' that cannot start any token": "a tab: YAML takes none here; indent with spaces"
}
"""Better words for what the parser says."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One mistake in a text; ``line`` and ``column`` from 1, ``path`` with dots."""

    line: int
    column: int
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A text after its check; ``tree`` is empty where it is no YAML, ``config`` None where it is invalid."""

    text: str
    troubles: tuple[Trouble, ...]
    tree: dict[str, Any]
    config: Config | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether a form can show it."""
        return bool(self.tree)


def check(text: str, in_force: InForce) -> Checked:
    """Reads ``text`` as the device would read it in a push. Takes seconds for a large text."""
    if too_large(text):
        message = f"larger than {MAX_BYTES // 1024} KiB: the device takes no more"
        return Checked(text, (Trouble(1, 1, "", message),), {})
    tree = tree_of(text)
    try:
        config = parse(text, name="", base=in_force.folder, only=in_force.named_files())
    except BadConfig as error:
        return Checked(text, placed(text, error.problems), tree)
    except OSError as error:
        return Checked(text, (Trouble(1, 1, "", error_reason(error)),), tree)
    troubles = []
    if config.device != in_force.device:
        message = f"is {config.device!r}, but this device is {in_force.device!r}; write that"
        troubles = [Problem(0, "device", message)]
    if has_blank(tree) and in_force.is_whole:
        troubles.append(Problem(1, "", "a removed secret stands in it; write its reference: {file: …}"))
    return Checked(text, placed(text, troubles), tree, config, tuple(config_notes(config)))


def too_large(text: str) -> bool:
    """Whether the device refuses a text for its size."""
    return len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES


def placed(text: str, problems: Sequence[Problem]) -> tuple[Trouble, ...]:
    """Problems with their columns, and a line where they have none."""
    try:
        tree = load_yaml(text, "")
    except BadConfig:
        tree = None
    found = []
    for problem in problems[:MAX_SHOWN]:
        line, column = (
            _position(tree, problem.path) or (_syntax_error(text) if tree is None else None) or (0, 1)
        )
        if not line or (problem.line and line != problem.line and tree is None):
            line, column = problem.line or 1, 1
        found.append(Trouble(line, column, problem.path, REMEDIES.get(problem.message, problem.message)))
    return tuple(found)


def _position(tree: Any, path: str) -> tuple[int, int] | None:
    """Line and column of the last step of ``path`` that the text has."""
    found = None
    for step in filter(None, path.split(".")):
        try:
            if isinstance(tree, dict):
                line, column = tree.lc.key(step)  # type: ignore[attr-defined]  # a CommentedMap
                tree = tree[step]
            else:
                line, column = tree.lc.item(int(step))
                tree = tree[int(step)]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            break
        found = line + 1, column + 1
    return found


def _syntax_error(text: str) -> tuple[int, int] | None:
    """Where the text stops being YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        for _ in YAML(typ="rt").parse(StringIO(text)):
            pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return None if mark is None else (mark.line + 1, mark.column + 1)
    except (YAMLError, ValueError):
        pass
    return None
