"""What a change of configuration restarts on a device, and which signatures it needs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from agent.config.loader import parse
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.push_policy import CONNECTION_FIELDS, policy_violations
from agent.domain.yaml_loader import BadConfig

GUARDS = {"guarded": "needs several signatures", "picture": "needs a privacy officer among its signers"}
Both: TypeAlias = tuple[Config, Config]
"""The configuration in force, and the proposed one."""


def read_both(present: str, wanted: str) -> Both | None:
    """Both configurations; None where one can't be read here: it may name files that only the device has."""
    try:
        return (
            parse(present, name="", base=Path.cwd(), ran_before=True),
            parse(wanted, name="", base=Path.cwd(), ran_before=True),
        )
    except (BadConfig, OSError):
        return None


def why_unreadable(wanted: str, name: str) -> Iterator[str]:
    """Why the proposed text has no lines of restarts and signatures: often a mistake in it."""
    try:
        parse(wanted, name=name, base=Path.cwd(), ran_before=True)
    except BadConfig as error:
        yield from (f"can't be read here: {line}" for line in str(error).splitlines())
    except OSError:
        return


def restarts(paths: Iterable[str], both: Both | None = None) -> list[str]:
    """What restarts for changes at dotted paths, one line for each part; the rest goes on running."""
    lines: dict[str, None] = {}
    for path in paths:
        match path.split("."):
            case ["broker", field, *_] if field in CONNECTION_FIELDS:
                lines["link: connects anew, and a receipt of the centre has to prove it"] = None
            case ["broker", *_]:
                lines["link: connects anew"] = None
            case ["sources", name, *_]:
                lines[f"source {name}: {_source_effect(name, both)}"] = None
            case ["rules", name, *_]:
                lines[f"rule {name}: {_rule_effect(name, both)}"] = None
    return list(lines)


def _source_effect(name: str, both: Both | None) -> str:
    old, new = (config.sources.get(name) for config in both) if both else (None, None)
    if both is None or (old is not None and new is not None and not old.goes_on_as(new)):
        return "restarts"
    if old is None or new is None:
        return "starts" if old is None else "ends"
    return "takes the change over without a restart"


def _rule_effect(name: str, both: Both | None) -> str:
    if both is not None and name not in both[0].rules:
        return "starts"
    if both is not None and name not in both[1].rules:
        return "ends, and its active alerts end"
    return "restarts; an active alert goes on"


def permissions(both: Both | None) -> Iterator[str]:
    """What a push may not change, and what takes more than one signature."""
    if both is None:
        return
    old, new = both
    forbidden = dict(policy_violations(new, old, old))
    for path, message in forbidden.items():
        yield f"{path}: {message}"
    for change in changes(new, old, old):
        if change.guard != "free" and change.path not in forbidden:
            yield f"{change.path}: {GUARDS[change.guard]}"
