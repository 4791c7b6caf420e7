"""What a change of configuration restarts on a device, and which signatures it needs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.config.loader import parse
from agent.config.push_changes import changes
from agent.config.push_policy import CONNECTION_FIELDS, policy_violations
from agent.domain.yaml_loader import BadConfig

GUARDS = {"guarded": "needs several signatures", "picture": "needs a privacy officer among its signers"}


def restarts(paths: Iterable[str]) -> list[str]:
    """What restarts for changes at dotted paths, one line for each part; the rest goes on running."""
    lines: dict[str, None] = {}
    for path in paths:
        match path.split("."):
            case ["broker", field, *_] if field in CONNECTION_FIELDS:
                lines["link: connects anew, and a receipt of the centre has to prove it"] = None
            case ["broker", *_]:
                lines["link: connects anew"] = None
            case ["sources", name, *_]:
                lines[f"source {name}: restarts"] = None
            case ["rules", name, *_]:
                lines[f"rule {name}: restarts; an active alert goes on"] = None
    return list(lines)


def permissions(present: str, wanted: str) -> Iterator[str]:
    """What a push of ``wanted`` over ``present`` may not do, and what takes more than one signature.

    Nothing where a text can't be read here: it may name files that only the device has.
    """
    try:
        old, new = (parse(text, name="", base=Path.cwd(), ran_before=True) for text in (present, wanted))
    except (BadConfig, OSError):
        return
    for path, message in policy_violations(new, old, old):
        yield f"{path}: {message}"
    for change in changes(new, old, old):
        if change.guard != "free":
            yield f"{change.path}: {GUARDS[change.guard]}"
