"""Mistakes in roles documents and signatures that a device would show only when somebody needs them."""

from collections.abc import Iterator

from pydantic import ValidationError

from agent.commands.requests import WITHOUT_FIELDS
from agent.config.model import Config
from agent.domain.yaml_loader import alternatives
from agent.trust.dsse import Signed
from agent.trust.order import Payload
from agent.trust.roles import ROLE_NAMES, ROLES_TYPE, Roles, default_role


def doubts(roles: Roles) -> Iterator[str]:
    """Commands and paths that this version does not know. A newer device may know them: no error."""
    known = {name for role in ROLE_NAMES for name in default_role(role, ()).commands}.union(WITHOUT_FIELDS)
    for name, role in roles.roles.items():
        for command in role.commands:
            if command != "*" and command not in known:
                yield f"roles.{name}.commands: unknown command {command!r}; {alternatives(command, known)}"
        for path in role.paths:
            if (step := path.split(".")[0]) != "*" and step not in Config.model_fields:
                yield f"roles.{name}.paths: no such path {path!r}; {alternatives(step, Config.model_fields)}"


def refuse_useless_signature(signed: Signed, key_id: str) -> None:
    """ValueError where the signature of a key would spoil an order: it names no counter of that key."""
    if signed.payload_type == ROLES_TYPE:
        return
    try:
        counters = Payload.model_validate_json(signed.payload).counters
    except ValidationError:
        return
    if key_id not in counters:
        raise ValueError(
            f"the order was prepared for the keys {', '.join(counters)}, not for {key_id}: prepare it again"
            f" with --cosigner {key_id}"
        )


def idle_signers(signed: Signed) -> list[str]:
    """The signers of a roles document that are no root keys of it."""
    root = Roles.model_validate_json(signed.payload).root.keys
    return [key_id for key_id, _ in signed.signatures if key_id not in root]
