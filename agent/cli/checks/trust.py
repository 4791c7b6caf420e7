"""Who may reconfigure this device (``roles``), and whether its audit log is whole."""

from collections.abc import Iterator
from pathlib import Path

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, user_name
from agent.runtime.error_text import describe_error
from agent.trust.dsse import MAX_BYTES
from agent.trust.refusal import OrderRefused
from agent.trust.roles import ROLE_NAMES, Roles, open_roles
from agent.trust.trust import FILE as ROLES_FILE
from firmware_bridge.regular_files import read_regular

MAKE = "ringpost keys init, then roles: roles.json in the configuration"


def check_roles(target: Target) -> Iterator[Finding]:
    """The document in force: the newer of the file that the configuration names, and the one that arrived."""
    local: Path | None = getattr(target.config, "roles", None)
    arrived = target.folder / "config" / ROLES_FILE
    found: list[tuple[Roles, Path]] = []
    for path in (local, arrived):
        if path is None:
            continue
        try:
            found.append((open_roles(read_regular(path, MAX_BYTES)), path))
        except FileNotFoundError:
            if path == local:
                yield failed(f"{path} not found", MAKE, "roles")
        except PermissionError as error:
            owner = user_name(target.agent_uid)
            yield skipped(describe_error(error), f"sudo -u {owner} ringpost doctor {target.file}", "roles")
        except (OSError, OrderRefused) as error:
            yield failed(f"{path}: {describe_error(error)}", MAKE, "roles")
    if not found:
        if local is None:
            yield warning("no roles document: the device takes no push, command or acknowledgement", MAKE)
        return
    roles, path = max(found, key=lambda one: one[0].version)
    yield from _describe(target, roles, path)


def _describe(target: Target, roles: Roles, path: Path) -> Iterator[Finding]:
    device = target.config.device if target.config else ""
    root = f"{roles.root.threshold} of {len(set(roles.root.keys))} root keys replace it"
    yield ok(f"version {roles.version} in {path}; {root}; guarded changes need {roles.guarded_signatures}")
    nobody = []
    for name in ROLE_NAMES:
        role = roles.roles.get(name)
        keys = [roles.keys[key] for key in role.keys] if role is not None else []
        if role is None or not keys:
            nobody.append(name)
            continue
        notes = ", ".join(
            f"{key[:8]}{f' ({entry.note})' if entry.note else ''}"
            for key, entry in zip(role.keys, keys, strict=True)
        )
        yield ok(f"{name}: {notes}; devices {', '.join(role.devices)}")
    if nobody:
        yield ok(f"nobody is {', '.join(nobody)}")
    if device and "configurer" in nobody:
        yield warning("no key may push a configuration", "ringpost keys: add a configurer")


def check_audit(_target: Target) -> Iterator[Finding]:
    """Whether the audit log is whole."""
    yield skipped("this version has no audit log")
