"""The roles document: which key may order what, on which devices.

It is signed by its own root keys, ``threshold`` of them, which stay offline. A newer one is accepted only
with the signatures of the old root and of the new one, and only with a higher version. The model follows TUF,
https://theupdateframework.github.io/specification/ (root metadata).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from agent.domain.message import encode
from agent.trust.dsse import Signed, parse
from agent.trust.refusal import OrderRefused
from agent.trust.signing_key import SigningKey, key_id_of, signature_matches

ROLES_TYPE = "application/vnd.ringpost.roles+json"
MAX_KEYS = 64
MAX_VERSION_STEP = 10**6
"""A version is at most this far above the one before, so that a stolen root key can't use up all numbers: the
next document, at the device if need be, is always higher."""
RoleName: TypeAlias = Literal["configurer", "operator", "rescuer", "privacy_officer", "centre"]
ROLE_NAMES: tuple[RoleName, ...] = ("configurer", "operator", "rescuer", "privacy_officer", "centre")

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Public = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Pattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*?._:-]{1,128}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyEntry(_Part):
    """A public key; ``note`` says which one it is (a desk, a stick in the safe), never whose."""

    public: Public
    note: str = Field(default="", max_length=64)


class Root(_Part):
    """The keys that may replace the document."""

    threshold: int = Field(ge=1, le=8)
    keys: tuple[KeyId, ...] = Field(min_length=1, max_length=8)


class Role(_Part):
    """The keys of one role, and what they may order.

    ``devices``: names, with ``*``, or ``group:kind.patrol_boat``. ``paths``: dotted paths into the
    configuration; each covers all below it, ``*`` stands for one level. ``commands``: names, or ``*``.
    """

    keys: tuple[KeyId, ...] = Field(max_length=MAX_KEYS)
    devices: tuple[Pattern, ...] = ("*",)
    paths: tuple[Pattern, ...] = ()
    commands: tuple[Pattern, ...] = ()

    def covers_device(self, device: str, groups: Iterable[str]) -> bool:
        names = {device, *(f"group:{group}" for group in groups)}
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.devices)

    def covers_path(self, path: str) -> bool:
        return any(_path_covers(pattern, path) for pattern in self.paths)

    def covers_command(self, name: str) -> bool:
        return "*" in self.commands or name in self.commands


def _path_covers(pattern: str, path: str) -> bool:
    """Whether ``pattern`` names ``path`` or a part above it."""
    if pattern == "*":
        return True
    wanted, steps = pattern.split("."), path.split(".")
    return len(wanted) <= len(steps) and all(
        want in ("*", step) for want, step in zip(wanted, steps, strict=False)
    )


class Roles(_Part):
    """The content of the document."""

    version: int = Field(ge=1, lt=2**53)
    root: Root
    keys: dict[KeyId, KeyEntry] = Field(max_length=MAX_KEYS)
    guarded_signatures: int = Field(default=2, ge=1, le=4)
    """Keys that must sign a change of a guarded path: the broker, a camera's address, retention …"""
    roles: dict[RoleName, Role] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key_id, entry in self.keys.items():
            if key_id_of(bytes.fromhex(entry.public)) != key_id:
                raise ValueError(f"keys.{key_id}: is not the id of its public key")
        if self.root.threshold > len(set(self.root.keys)):
            raise ValueError(
                f"root.threshold: {self.root.threshold} signatures of {len(set(self.root.keys))} keys"
            )
        named: list[tuple[str, tuple[str, ...]]] = [("root", self.root.keys)]
        named += [(name, role.keys) for name, role in self.roles.items()]
        for name, keys in named:
            if unknown := sorted(set(keys) - set(self.keys)):
                raise ValueError(f"{name}: key {unknown[0]} is not listed in keys")
        return self

    def roles_of(self, key_id: str, device: str, groups: Iterable[str]) -> Mapping[str, Role]:
        """The roles that a key has on a device."""
        groups = tuple(groups)
        return {
            name: role
            for name, role in self.roles.items()
            if key_id in role.keys and role.covers_device(device, groups)
        }

    def signers(self, signed: Signed) -> list[str]:
        """The listed keys whose signature matches, each once."""
        data = signed.signed_bytes()
        found = {
            key_id: None
            for key_id, signature in signed.signatures
            if (entry := self.keys.get(key_id)) is not None
            and signature_matches(bytes.fromhex(entry.public), signature, data)
        }
        return list(found)

    def check_root_signatures(self, signed: Signed, whose: str) -> None:
        """`OrderRefused` where fewer than ``threshold`` root keys have signed."""
        count = len(set(self.signers(signed)) & set(self.root.keys))
        if count < self.root.threshold:
            raise OrderRefused(
                "signature",
                f"{count} of the {self.root.threshold} signatures that the {whose} roles document demands",
            )


def open_roles(data: bytes, current: Roles | None = None) -> Roles:
    """The roles document in an envelope; with ``current``, as its successor. `OrderRefused` otherwise."""
    try:
        signed = parse(data)
    except ValueError as error:
        raise OrderRefused("roles", str(error)) from None
    if signed.payload_type != ROLES_TYPE:
        raise OrderRefused("roles", f"payloadType is not {ROLES_TYPE}")
    if current is not None:
        current.check_root_signatures(signed, "present")
    try:
        json.loads(signed.payload, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise OrderRefused("roles", f"document: {error}"[:300]) from None
    try:
        roles = Roles.model_validate_json(signed.payload)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "document"
        raise OrderRefused("roles", f"{where}: {detail['msg'].removeprefix('Value error, ')}"[:300]) from None
    roles.check_root_signatures(signed, "new")
    if current is not None and roles != current and roles.version <= current.version:
        raise OrderRefused(
            "version",
            f"{roles.version} is not newer than {current.version}; the next is {current.version + 1}",
        )
    if current is not None and roles.version > current.version + MAX_VERSION_STEP:
        raise OrderRefused(
            "version", f"{roles.version} is far above {current.version}; the next is {current.version + 1}"
        )
    return roles


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """ValueError where an object has a key twice: two readers could see two documents."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def sign_roles(roles: Roles, keys: Sequence[SigningKey]) -> bytes:
    """The document in its envelope, signed by ``keys``."""
    payload = encode(roles.model_dump(mode="json"))
    unsigned = Signed(ROLES_TYPE, payload, ())
    data = unsigned.signed_bytes()
    return Signed(ROLES_TYPE, payload, tuple((key.key_id, key.sign(data)) for key in keys)).dump()


OPERATOR_COMMANDS = (
    "ack", "close", "reject", "output", "silence_alert", "fetch", "snapshot", "drill", "ping", "rebirth",
)  # fmt: skip
CONFIGURER_COMMANDS = (
    "config_confirm", "config_get", "config_history", "config_rollback", "diagnostics", "drill", "ping",
    "probe", "rebirth", "resend", "restart_part", "rotate_certificate", "snapshot", "what_if",
)  # fmt: skip


def default_role(name: RoleName, keys: Iterable[str]) -> Role:
    """A role with the rights that it has unless its document says otherwise."""
    rights: dict[RoleName, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "configurer": (("*",), CONFIGURER_COMMANDS),
        "operator": ((), OPERATOR_COMMANDS),
        "rescuer": ((), ("rescue", "rescue_mode", "snapshot", "output")),
        "privacy_officer": (("*",), ("config_get", "config_history")),
        "centre": ((), ("resend",)),
    }
    paths, commands = rights[name]
    return Role(keys=tuple(keys), paths=paths, commands=commands)


def small_team_roles(key: SigningKey, centre: SigningKey) -> Roles:
    """One key with all roles, for a small team, and one that the centre signs its receipts with.

    A guarded change needs this one signature only.
    """
    return Roles(
        version=1,
        root=Root(threshold=1, keys=(key.key_id,)),
        keys={
            key.key_id: KeyEntry(public=key.public.hex(), note="root"),
            centre.key_id: KeyEntry(public=centre.public.hex(), note="centre"),
        },
        guarded_signatures=1,
        roles={
            name: default_role(name, [key.key_id, *([centre.key_id] if name == "centre" else [])])
            for name in ROLE_NAMES
        },
    )


def describe_roles(roles: Roles) -> Iterator[str]:
    """The document for people, line by line."""
    root = ", ".join(roles.root.keys)
    yield f"version {roles.version}; root: {roles.root.threshold} of {len(set(roles.root.keys))} ({root})"
    plural = "" if roles.guarded_signatures == 1 else "s"
    yield f"a guarded change needs {roles.guarded_signatures} signature{plural}"
    for name, role in roles.roles.items():
        yield f"{name}: {', '.join(role.keys) or 'no key'}"
        yield f"  devices: {', '.join(role.devices)}"
        yield f"  paths: {', '.join(role.paths) or 'none'}; commands: {', '.join(role.commands) or 'none'}"
