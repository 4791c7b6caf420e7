"""Secrets are readable, and files of secrets and data are for their owner only."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, user_name
from agent.privacy.rescue_grant import MIN_KEY_LENGTH
from agent.runtime.error_text import describe_error
from agent.runtime.process import OURS, PRIVATE_UMASK
from firmware_bridge.secret import Secret

UNITS = ("etc/systemd/system/ringpost.service", "lib/systemd/system/ringpost.service")
MOST_SHOWN = 3


def check_secrets(target: Target) -> Iterator[Finding]:
    """Each secret can be read by this user, and its file by nobody but its owner and group."""
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    count = 0
    for place, secret in secrets_of(target.config, ""):
        count += 1
        wrong = list(
            _check_mode(place, secret) if place == "broker.key" else _check_secret(place, secret, target)
        )
        yield from wrong
        count -= bool(wrong)
    if count:
        yield ok(f"{count} secrets can be read")


def _check_secret(place: str, secret: Secret, target: Target) -> Iterator[Finding]:
    if secret.credential is not None and "CREDENTIALS_DIRECTORY" not in os.environ:
        yield skipped(f"credential {secret.credential!r}: only the service has it", place=place)
        return
    if secret.env is not None and secret.env not in os.environ and target.agent is not None:
        yield skipped(f"environment variable {secret.env!r}: only the service has it", place=place)
        return
    try:
        text = secret.read()
    except PermissionError as error:
        owner = user_name(target.agent_uid)
        if target.agent_uid == os.geteuid():
            remedy = f"sudo chown {owner} {error.filename}"
            yield failed(describe_error(error), remedy, place)
        else:
            yield skipped(describe_error(error), f"sudo -u {owner} ringpost doctor {target.file}", place)
        return
    except (OSError, ValueError) as error:
        yield failed(describe_error(error), "write the file, or correct the path", place)
        return
    if not text:
        yield failed("is empty", "write the secret into it", place)
    elif place == "privacy.rescue_key" and len(text) < MIN_KEY_LENGTH:
        yield failed(
            f"shorter than {MIN_KEY_LENGTH} characters, so it is ignored", "openssl rand -hex 32", place
        )
    yield from _check_mode(place, secret)


def _check_mode(place: str, secret: Secret) -> Iterator[Finding]:
    """Whether only owner and group may use the file; one that is missing is reported by its reader."""
    with suppress(OSError):
        if secret.file is not None and secret.file.stat().st_mode & stat.S_IRWXO:
            yield warning(f"{secret.file} is open to every user", f"chmod o= {secret.file}", place)


def secrets_of(value: Any, place: str) -> Iterator[tuple[str, Secret]]:
    """Each secret in ``value``, with its path in the configuration."""
    if isinstance(value, Secret):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, field in value:
            yield from secrets_of(field, f"{place}.{name}" if place else name)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from secrets_of(item, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from secrets_of(item, f"{place}[{number}]")


def check_permissions(target: Target) -> Iterator[Finding]:
    """The agent's files are for their owner only; the unit sets the umask."""
    folder, wide = target.folder, []
    if not folder.is_dir():
        yield skipped(f"{folder} does not exist yet: the agent makes it")
    else:
        try:
            inside = [path for path in folder.iterdir() if any(path.match(name) for name in OURS)]
            files = [file for path in inside for file in (path, *path.rglob("*"))]
        except OSError as error:
            files = []
            owner = user_name(target.agent_uid)
            yield skipped(describe_error(error), f"sudo -u {owner} ringpost doctor {target.file}")
        for file in files:
            with suppress(OSError):
                if file.lstat().st_mode & PRIVATE_UMASK and not file.is_symlink():
                    wide.append(file.name)
        if wide:
            names = ", ".join(wide[:MOST_SHOWN]) + (" …" if len(wide) > MOST_SHOWN else "")
            yield warning(f"{len(wide)} files are open to others: {names}", f"sudo chmod -R go= {folder}")
        elif files:
            yield ok(f"the {len(files)} files in {folder} are for {user_name(target.agent_uid)} only")
    yield from _check_unit(target.machine.root)


def _check_unit(root: Path) -> Iterator[Finding]:
    for name in UNITS:
        with suppress(OSError):
            text = (root / name).read_text(errors="replace")
            if re.search(r"^UMask=0?077$", text, re.MULTILINE):
                yield ok(f"{root / name}: umask 077")
            else:
                yield warning(f"{root / name} sets no umask", "install configs/ringpost.service anew")
            return
    yield skipped("no systemd unit: nothing starts the agent at boot", "install configs/ringpost.service")
