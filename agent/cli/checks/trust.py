"""Who may reconfigure this device (``roles``), and whether its audit log is whole."""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.audit.audit_log import FOLDER as AUDIT_FOLDER
from agent.audit.countersigned import read_countersigned
from agent.audit.verify import verify_folder
from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, user_name
from agent.runtime.error_text import describe_error
from agent.trust.device_key import FILE as DEVICE_KEY
from agent.trust.dsse import MAX_BYTES
from agent.trust.refusal import OrderRefused
from agent.trust.roles import ROLE_NAMES, Roles, open_roles
from agent.trust.signing_key import SigningKey
from agent.trust.trust import FILE as ROLES_FILE
from firmware_bridge.regular_files import read_regular

MOST_PROBLEMS = 5
MAKE = "ringpost keys init, then roles: roles.json in the configuration"


def check_roles(target: Target) -> Iterator[Finding]:
    """The document in force: the newer of the file that the configuration names, and the one that arrived."""
    local = None if target.config is None else target.config.roles
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


def check_audit(target: Target) -> Iterator[Finding]:
    """The chain of the audit log, its end, and what the centre has countersigned of it."""
    folder = target.folder / AUDIT_FOLDER
    owner = f"sudo -u {user_name(target.agent_uid)} ringpost doctor {target.file}"
    if not folder.is_dir():
        if target.folder.is_dir() and not os.access(target.folder, os.R_OK | os.X_OK):
            yield skipped(f"{target.folder}: Permission denied", owner)
        else:
            yield skipped(f"{folder} does not exist: no agent ran here yet")
        return
    try:
        device_key = SigningKey.load(target.folder / DEVICE_KEY).public.hex()
    except (OSError, ValueError):
        device_key = None
    try:
        seen = [one.witness for one in read_countersigned(folder)]
        report = verify_folder(folder, device_key=device_key, witnesses=seen)
    except PermissionError as error:
        yield skipped(describe_error(error), owner)
        return
    except (OSError, ValueError) as error:
        yield failed(describe_error(error), f"ringpost audit verify --data {target.folder}")
        return
    for problem in report.problems[:MOST_PROBLEMS]:
        remedy = f"tell whoever answers for the device; ringpost audit verify --data {target.folder}"
        yield failed(str(problem), remedy)
    if report.intact:
        until = f", countersigned up to entry {max(one.n for one in seen)}" if seen else ""
        yield ok(f"entries {report.first} to {report.last} are intact{until}")
    if device_key is None and report.entries:
        yield warning(
            f"{target.folder / DEVICE_KEY} can't be read: the device's signatures are not checked", owner
        )
