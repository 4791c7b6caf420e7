"""What a text would change at the device: lines, what restarts, which signatures it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent.cli.config_diff import difference
from agent.cli.restarts import GUARDS, restarts
from agent.config.merge_patch import changed_paths
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.push_policy import policy_violations
from agent.config.secret_policy import secret_violations
from console.configuration.checks import Checked
from console.configuration.in_force import InForce

EffectKind = Literal["restart", "signatures", "impossible"]
MAX_LINES = 400


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a difference; ``sign`` is ``+``, ``-``, ``@`` or a space."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One consequence of a change; ``path`` of what needs signatures, or can't be pushed."""

    kind: EffectKind
    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A change before it is sent."""

    paths: tuple[str, ...]
    lines: tuple[DiffLine, ...]
    effects: tuple[Effect, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change but comments and spaces."""
        return not self.paths

    @property
    def is_possible(self) -> bool:
        """Whether a push may do it, with enough signatures."""
        return all(effect.kind != "impossible" for effect in self.effects)


def review(in_force: InForce, checked: Checked) -> Review:
    """The change from what is in force to a checked text. Takes seconds for a large one."""
    paths = tuple(changed_paths(in_force.tree(), checked.tree))
    running = in_force.config()
    both = None if running is None or checked.config is None else (running, checked.config)
    effects = [Effect("restart", line) for line in restarts(paths, both)]
    if both is not None:
        local = in_force.local_config() or both[0]
        effects += _permissions(both[0], both[1], local, in_force)
    return Review(paths, diff_lines(in_force.text, checked.text), tuple(effects))


def diff_lines(old: str, new: str) -> tuple[DiffLine, ...]:
    """The lines that differ, with two around them; secrets are masked."""
    found: list[DiffLine] = []
    for line in difference(old, new, "", ""):
        if line.startswith(("---", "+++")) and not found:
            continue
        if len(found) == MAX_LINES:
            found.append(DiffLine("@", "…"))
            break
        found.append(DiffLine(line[:1] or " ", line[1:]))
    return tuple(found)


def _permissions(running: Config, wanted: Config, local: Config, in_force: InForce) -> Iterator[Effect]:
    """What no push can change, and what takes more than one signature."""
    forbidden = dict(policy_violations(wanted, running, local))
    new = set(secret_violations(wanted, running, in_force.folder))
    forbidden |= dict(one for one in secret_violations(wanted, local, in_force.folder) if one in new)
    for path, message in forbidden.items():
        yield Effect("impossible", message, path)
    for change in changes(wanted, running, local):
        if change.guard != "free" and change.path not in forbidden:
            yield Effect("signatures", GUARDS[change.guard], change.path)
