"""Runs a configuration whose sources or rules are wrong in part: the rest, and the wrong parts as they were.

Only at the start: a push with an error is rejected as a whole.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.config.loader import load, validated
from agent.config.merge_patch import plain, same
from agent.config.model import Config
from agent.domain.yaml_loader import BadConfig, Problem

SECTIONS = ("sources", "rules")


def parse_in_part(text: str, *, name: str, base: Path, earlier: Sequence[str]) -> tuple[Config, list[str]]:
    """The configuration in ``text`` without its faults, and a line for each of them.

    A wrong source or rule is replaced by the part of that name in one of the ``earlier`` texts, the newest
    first, or left out where none is right. BadConfig where the fault is elsewhere.
    """
    tree, good = load(text, name), list[Any]()
    faults: dict[tuple[str, str], str] = {}
    reasons: dict[tuple[str, str], str] = {}
    used: dict[tuple[str, str], int] = {}
    while True:
        try:
            return validated(tree, name=name, base=base), list(faults.values())
        except BadConfig as error:
            wrong = {_part_of(problem, tree): problem for problem in reversed(error.problems)}
            if None in wrong:
                raise
            good = good or [known for known in map(_loaded, earlier) if known is not None]
            for part, problem in wrong.items():
                assert part is not None  # noqa: S101  raised above
                section, key = part
                at = used[part] = used.get(part, 0)
                instead, used[part] = _next_good(good, at, section, key, tree[section][key])
                if instead is None:
                    del tree[section][key]
                else:
                    tree[section][key] = instead
                outcome = "is left out" if instead is None else "runs as before"
                reasons.setdefault(part, f"{problem.path}: {problem.message}")
                faults[part] = f"{section}.{key} {outcome}: {reasons[part]}"


def _loaded(text: str) -> Any:
    try:
        return load(text, "")
    except BadConfig:
        return None


def _next_good(good: Sequence[Any], at: int, section: str, key: str, wrong: Any) -> tuple[Any, int]:
    """The part in the next of the earlier configurations that has another one; None after the last."""
    for number in range(at, len(good)):
        parts = good[number].get(section)
        part = parts.get(key) if isinstance(parts, dict) else None
        if part is not None and not same(plain(part), plain(wrong)):
            return part, number + 1
    return None, len(good)


def _part_of(problem: Problem, tree: Any) -> tuple[str, str] | None:
    """Section and name of the source or rule that a problem is in; None where it is elsewhere."""
    for section in SECTIONS:
        parts = tree.get(section)
        if isinstance(parts, dict) and problem.path.startswith(f"{section}."):
            rest = problem.path.removeprefix(f"{section}.")
            names = [name for name in parts if rest == str(name) or rest.startswith(f"{name}.")]
            if names:
                return section, max(names, key=lambda name: len(str(name)))
    return None
