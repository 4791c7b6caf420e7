"""``ringpost keys``: keys that sign orders, and the roles document that says what each may order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.cli.key_doubts import doubts, idle_signers, refuse_useless_signature
from agent.cli.signing import load_key
from agent.domain.yaml_loader import BadConfig, load_yaml, read_text
from agent.runtime.atomic_files import write_durably
from agent.runtime.sanitize import json_object
from agent.trust.dsse import MAX_BYTES, parse
from agent.trust.order import add_signature
from agent.trust.refusal import OrderRefused
from agent.trust.roles import ROLES_TYPE, Roles, describe_roles, open_roles, sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from firmware_bridge.regular_files import read_regular


def init_keys(folder: Path, passphrase: str | None) -> None:
    """Makes one root key with all roles, a key of the centre, and the roles document.

    OSError where one exists.
    """
    key_file, centre_file, roles_file = (folder / name for name in ("root.pem", "centre.pem", "roles.json"))
    if roles_file.exists():
        raise FileExistsError(17, "exists already; change it with 'ringpost keys roles'", str(roles_file))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, centre = SigningKey.generate(), SigningKey.generate()
    key.save(key_file, passphrase)
    centre.save(centre_file)
    write_durably(roles_file, sign_roles(small_team_roles(key, centre), [key]))
    click.echo(f"{key_file}: key {key.key_id}, with all roles; keep it off every device, broker and centre")
    click.echo(f"{centre_file}: key {centre.key_id}, signs receipts: ringpost centre --key {centre_file} …")
    click.echo(f"{roles_file}: copy it beside the configuration file of each device, and set there:")
    click.echo("  roles: roles.json")
    click.echo(
        "One signature of this key changes everything, also the broker and what pictures show. For two"
    )
    click.echo("signatures, and for one key for each person: 'ringpost keys new' and 'ringpost keys roles'.")
    click.echo(f"Sign with it: ringpost config push DEVICE FILE --key {key_file}")


def new_key(file: Path, passphrase: str | None) -> None:
    """Makes a key."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = SigningKey.generate()
    key.save(file, passphrase)
    click.echo(f"{file}: key {key.key_id}")
    click.echo("For the roles document, under 'keys':")
    click.echo(f'  "{key.key_id}": {{"public": "{key.public.hex()}", "note": ""}}')


def show(file: Path, as_json: bool) -> None:
    """Prints a key file, a roles document or a signed order. ValueError where it is none of these."""
    data = read_regular(file, MAX_BYTES)
    if data.lstrip().startswith(b"-----BEGIN"):
        key = load_key(file)
        entry = {"key_id": key.key_id, "public": key.public.hex()}
        click.echo(json.dumps(entry) if as_json else f"key {key.key_id}, public {key.public.hex()}")
        return
    try:
        signed = parse(data)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if as_json:
        click.echo(json.dumps(json_object(signed.payload), indent=2))
        return
    if signed.payload_type == ROLES_TYPE:
        for line in describe_roles(open_roles(data)):
            click.echo(line)
    else:
        click.echo(signed.payload.decode(errors="replace"))
    click.echo(f"signed by: {', '.join(key_id for key_id, _ in signed.signatures)}")


def write_roles(draft: Path, out: Path, previous: Path | None, keys: Sequence[Path]) -> Roles:
    """Signs a draft, JSON or YAML; with ``previous`` as its successor. Signatures may be added later."""
    fields: Any = load_yaml(read_text(draft), str(draft))
    current = None if previous is None else open_roles(read_regular(previous, MAX_BYTES))
    if isinstance(fields, dict) and (current is not None or "version" not in fields):
        fields["version"] = current.version + 1 if current else 1
    try:
        roles = Roles.model_validate(fields)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "document"
        raise ValueError(f"{draft}: {where}: {detail['msg'].removeprefix('Value error, ')}") from None
    data = sign_roles(roles, [load_key(path) for path in keys])
    write_durably(out, data)
    try:
        open_roles(data, current)
        click.echo(f"{out}: version {roles.version}, signed")
    except OrderRefused as refusal:
        click.echo(f"{out}: version {roles.version}; not enough yet: {refusal}")
    for doubt in doubts(roles):
        click.echo(f"keys: {draft}: {doubt}", err=True)
    return roles


def sign_file(file: Path, keys: Sequence[Path]) -> None:
    """Adds signatures to a roles document or a prepared order."""
    data = read_regular(file, MAX_BYTES)
    signed = parse(data)
    for path in keys:
        key = load_key(path)
        refuse_useless_signature(signed, key.key_id)
        data = add_signature(data, key)
    write_durably(file, data)
    signed = parse(data)
    click.echo(f"{file}: signed by {', '.join(key_id for key_id, _ in signed.signatures)}")
    for key_id in idle_signers(signed) if signed.payload_type == ROLES_TYPE else ():
        click.echo(
            f"keys: {key_id} is no root key of this version; it counts only if it was one before", err=True
        )


FAILURES = (OSError, ValueError, OrderRefused, BadConfig)
"""Of the functions above: each is one line for a person."""
