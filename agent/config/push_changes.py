"""The changes that a push makes, each with the guard on it: the signatures that it needs.

Beside the rows of `agent.config.policy_table`: what is removed, what comes at a new address, and what a
rule of ``guarded_rules`` depends on. So no series of pushes with one signature undoes what takes two.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from agent.config.addresses import camera_view, same_cameras, service, services
from agent.config.model import Config
from agent.config.policy_table import Field, fields
from agent.domain.contracts import RulePart
from agent.trust.changes import Change, Guard
from agent.vision.camera import Camera
from firmware_bridge.secret import Secret
from firmware_bridge.source import SourcePart

STRICTNESS: tuple[Guard, ...] = ("free", "guarded", "picture")
SITE = ("place", "duty", "holidays", "positioning")
"""What a rule may take from the rest of the configuration (`agent.domain.site.Site`), and its fixes."""


def changes(pushed: Config, running: Config, local: Config) -> list[Change]:
    """Each changed, added or removed part of ``pushed``, compared with ``running``, which is in force.

    ``local`` is the file at the device: it names the guarded rules, and what it masks stays masked.
    """
    guarded = {*running.guarded_rules, *local.guarded_rules}
    found = [*_section_changes(pushed, running, local, guarded)]
    found += _rule_changes(pushed, running, guarded)
    needed = _sources_of(guarded, running) | _sources_of(guarded, local)
    found += _source_changes(pushed, running, local, needed)
    return found


def _section_changes(pushed: Config, running: Config, local: Config, guarded: set[str]) -> Iterator[Change]:
    for field in fields(pushed, [running], [local], ""):
        site = guarded and field.path.split(".")[0] in SITE
        guard = _strictest(_guard(field), "guarded" if site else "free")
        yield from (Change(path, guard) for path in _differences(field.path, field.new, field.running[0]))


def _rule_changes(pushed: Config, running: Config, guarded: set[str]) -> Iterator[Change]:
    new_rules, old_rules = pushed.rules_as_written, running.rules_as_written
    for name in {**old_rules, **new_rules}:
        new, old, path = new_rules.get(name), old_rules.get(name), f"rules.{name}"
        least: Guard = "guarded" if name in guarded else "free"
        if new is None or old is None:
            quiet = new is not None and _output(new) is None
            yield Change(path, least if quiet else "guarded")
        elif type(new) is not type(old):
            yield Change(path, "guarded" if _is_weaker(new, old) else least)
        else:
            for part in _differences(path, new, old):
                key = part.split(".")[2]
                weaker = key in ("need_ack", "escalate") and _is_weaker(new, old)
                yield Change(part, "guarded" if weaker else least)


def _is_weaker(new: RulePart, old: RulePart) -> bool:
    """Whether a rule needs no answer any more, or switches another output."""
    return (old.need_ack and not new.need_ack) or _output(new) != _output(old)


def _output(rule: RulePart) -> object:
    return rule.escalate.output if rule.escalate else None


def _sources_of(names: set[str], config: Config) -> set[str]:
    """The sources that these rules use, and those whose outputs they switch."""
    found = set[str]()
    for rule in (rule for name, rule in config.rules.items() if name in names):
        found |= {ref.source for ref in rule.source_references()}
        if (camera := rule.camera_reference()) is not None:
            found.add(camera.camera)
        if rule.escalate and rule.escalate.output:
            found.add(rule.escalate.output.source)
    return found


def _source_changes(pushed: Config, running: Config, local: Config, needed: set[str]) -> Iterator[Change]:
    for name in {**running.sources, **pushed.sources}:
        new, old = pushed.sources.get(name), running.sources.get(name)
        if new == old:
            continue
        least: Guard = "guarded" if name in needed else "free"
        if new is None:
            found: Iterator[Change] = iter([Change(f"sources.{name}", "guarded")])
        elif isinstance(new, Camera):
            found = _camera_changes(name, new, old, running, local)
        else:
            found = _line_changes(name, new, old, running)
        yield from (Change(change.path, _strictest(change.guard, least)) for change in found)


def _line_changes(name: str, new: SourcePart, old: SourcePart | None, running: Config) -> Iterator[Change]:
    """A source other than a camera: a service on the network, its secrets and its outputs are guarded."""
    path, address = f"sources.{name}", service(new)
    calls = address is not None and address not in {known for _, known in services(running)}
    if old is None or type(old) is not type(new):
        guarded = old is not None or calls or bool(new.output_names())
        yield Change(path, "guarded" if guarded else "free")
        return
    guarded = calls or new.output_names() != old.output_names()
    for part in _differences(path, new, old):
        key = part.split(".")[2]
        secret = isinstance(getattr(new, key), Secret) or isinstance(getattr(old, key), Secret)
        yield Change(part, "guarded" if guarded or secret else "free")


def _camera_changes(
    name: str, new: Camera, old: SourcePart | None, running: Config, local: Config
) -> Iterator[Change]:
    """A camera: it is compared with each that may show the same view, whatever their names.

    Another path on a known host is another view: a channel of a recorder, or a request that has an effect.
    """
    path = f"sources.{name}"
    views = {camera_view(camera.url) for camera in running.cameras().values()}
    similar = same_cameras(name, new, running), same_cameras(name, new, local)
    found = {field.path: field for field in fields(new, *similar, path)}
    guards = {at: _guard(field) for at, field in found.items()}
    if camera_view(new.url) not in views:
        moved: Guard = "picture"
    else:
        moved = _strictest(*guards.values())
    if not isinstance(old, Camera):
        yield Change(path, moved if old is None else _strictest(moved, "guarded"))
        return
    for at, field in found.items():
        guard = moved if at == f"{path}.url" else guards[at]
        yield from (Change(part, guard) for part in _differences(at, field.new, field.running[0]))


def _guard(field: Field) -> Guard:
    """The guard on the new value of a field that has a row, seen from the values that it is compared with."""
    row = field.row
    if row.guard in ("free", "parts") or (
        row.tighter is None and all(field.new == old for old in field.running)
    ):
        return "free"
    if row.tighter is not None and field.is_tighter(row.tighter):
        return "free"
    return "guarded" if row.guard == "guarded" else "picture"


def _differences(path: str, new: Any, old: Any) -> Iterator[str]:
    """The paths of the values that differ, as deep as sections go."""
    if new == old:
        return
    if isinstance(new, BaseModel) and type(new) is type(old) and not isinstance(new, Secret):
        for name in type(new).model_fields:
            yield from _differences(f"{path}.{name}", getattr(new, name), getattr(old, name))
    else:
        yield path


def _strictest(*guards: Guard) -> Guard:
    return max(guards, key=STRICTNESS.index, default="free")
