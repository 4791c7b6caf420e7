"""``ringpost config diff``: what a push would change on a device, and what it would restart."""

import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import TOPICS, NoAnswerError
from agent.cli.config_text import RefusedError, configuration_text, mask_secrets
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import FleetLink, fleet_link
from agent.cli.orders import load_signer, local_exit_code
from agent.cli.pushed_change import PushedChange
from agent.cli.restarts import permissions, read_both, restarts, why_unreadable
from agent.config.merge_patch import changed_paths, merged, plain
from agent.domain.yaml_loader import BadConfig, load_yaml, read_text
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_UNAVAILABLE

STYLES = {"+": "green", "-": "red", "@": "cyan"}
DIFFERENT = 1


def diff_command(
    device: str,
    file: Path | None,
    patch: str | None,
    revision: int | None,
    keys: Sequence[Path],
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Prints the difference. 0 where there is none, 1 where there is, 69: no answer, 77, 78: wrong file."""
    try:
        signer = load_signer(keys)
        change = PushedChange.from_patch(patch) if patch is not None else None
        text = read_text(file) if file is not None else None
        if text is not None:
            load_yaml(text, str(file))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def proposed(link: FleetLink, present: str) -> tuple[str, str]:
        """The text to compare with, and its name."""
        if change is not None and change.patch is not None:
            return changed_text(present, change.patch), f"{device} with {change.name}"
        if text is not None:
            return text, str(file)
        return await configuration_text(link, signer, device, revision), f"{device} revision {revision}"

    async def session() -> int:
        async with fleet_link(url, root, Selection((device,)).filters(root, TOPICS)) as link:
            try:
                present = await configuration_text(link, signer, device, None)
                wanted, name = await proposed(link, present)
            except NoAnswerError as error:
                click.echo(f"config: {error}", err=True)
                return EX_UNAVAILABLE
            except RefusedError as error:
                click.echo(f"config: {device}: {error}", err=True)
                return error.exit_code
        return print_difference(device, present, wanted, name, as_json)

    return run_at_broker(url, session)


def changed_text(present: str, patch: Any) -> str:
    """``present`` after a merge patch, with its comments and order."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    tree = yaml.load(StringIO(present))
    _merge(tree, patch)
    out = StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _merge(tree: Any, patch: Any) -> None:
    """Applies a merge patch (RFC 7396) in place."""
    for key, value in patch.items():
        if value is None:
            tree.pop(key, None)
        elif isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = merged(None, value)


def print_difference(device: str, present: str, wanted: str, name: str, as_json: bool) -> int:
    """Prints a unified diff without secrets, and what a push would restart."""
    try:
        old, new = plain(load_yaml(present, device)), plain(load_yaml(wanted, name))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    paths = list(changed_paths(old, new))
    both = read_both(present, wanted)
    effects = [*restarts(paths, both), *permissions(both)]
    if both is None:
        effects += why_unreadable(wanted, name)
    lines = list(difference(present, wanted, device, name))
    if as_json:
        click.echo(json.dumps({"device": device, "changed": paths, "effects": effects, "diff": lines}))
    elif not paths:
        click.echo(f"{device}: nothing would change")
    else:
        for line in lines:
            click.secho(line, fg=STYLES.get(line[:1]), bold=line.startswith(("---", "+++")) or None)
        for effect in effects:
            click.echo(effect)
    return DIFFERENT if paths else 0


def difference(present: str, wanted: str, device: str, name: str) -> Iterator[str]:
    """The lines of a unified diff; a secret that changes is named, not shown."""
    old, new = mask_secrets(present, wanted)
    yield from difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{device} (in force)", name, lineterm="", n=2
    )
