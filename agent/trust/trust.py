"""Decides whether an order counts on this device: signatures, roles, target, counter, nonce.

Entry point: `Trust.open`, then `require_command` or `require_paths`. Without a roles document every order is
refused, with the way to get one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog
from pydantic import ValidationError

from agent.domain.message import encode
from agent.host.clock import monotonic_s, utc_now
from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error, error_reason
from agent.trust.challenges import Challenges
from agent.trust.changes import Change
from agent.trust.counters import Counters, scope
from agent.trust.dsse import MAX_BYTES, is_envelope, parse
from agent.trust.order import KINDS, Kind, Order, Payload, Signer, digest_of, payload_type, peek_body
from agent.trust.refusal import OrderRefused
from agent.trust.refusal_texts import describe_signers, explain_no_signature
from agent.trust.roles import Role, Roles, open_roles
from firmware_bridge.regular_files import read_regular

log = structlog.get_logger()

KEY = "counters"
"""Where the outbox remembers counters, before the kind of order."""
IN_OUTBOX: tuple[Kind, ...] = ("command", "ack")
FILE = "roles.json"
"""The roles document that arrived last, in the folder of the configuration ledger."""
NEEDS_NONCE = frozenset({"output", "rescue", "rescue_mode", "restart_part", "rotate_certificate"})
"""Commands that switch or uncover something: they sign a nonce of ``challenge``."""
NO_ROLES = (
    "this device has no roles document, so it takes no order: make one with 'ringpost keys init', put"
    " roles.json beside the configuration file, set 'roles: roles.json' in it, and restart the agent"
)


class OrderRepeated(OrderRefused):
    """The broker delivers an order that was taken before; that is no new order."""


class Trust:
    """The roles in force on one device, and the counters and nonces of its orders.

    ``groups`` gives the groups of the device; ``clock_trusted`` says whether the system clock is good
    enough to compare ``expires`` with.
    """

    def __init__(
        self,
        device: str,
        groups: Callable[[], Iterable[str]] = tuple,
        roles: Roles | None = None,
        *,
        trouble: str | None = None,
        clock_trusted: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = monotonic_s,
    ) -> None:
        self.device = device
        self.roles = roles
        self.trouble = trouble
        """Why a roles document that the configuration names is not in force."""
        self.counters = {kind: Counters() for kind in KINDS}
        self.challenges = Challenges()
        self._groups = groups
        self._clock_trusted = clock_trusted
        self._monotonic = monotonic
        self._folder: Path | None = None

    def load(self, local: Path | None, folder: Path) -> None:
        """Takes the newest of the document that the configuration names, and the one that arrived last."""
        self._folder = folder
        found: list[Roles] = []
        for path in filter(None, (local, folder / FILE)):
            try:
                found.append(open_roles(read_regular(path, MAX_BYTES)))
            except FileNotFoundError as error:
                if path == local:
                    self.trouble = f"roles: {describe_error(error)}; make one with 'ringpost keys init'"
            except (OSError, OrderRefused) as error:
                self.trouble = f"roles: {path}: {error_reason(error)}"
                log.warning("roles_not_taken", error=self.trouble)
        if found:
            self.roles = max(found, key=lambda roles: roles.version)
            log.info("roles_in_force", version=self.roles.version)

    def replace_roles(self, data: bytes) -> Roles:
        """Puts a newer roles document in force, once it is on disk. `OrderRefused`, or OSError."""
        if self.roles is None:
            raise OrderRefused("roles", NO_ROLES)
        roles = open_roles(data, self.roles)
        if roles == self.roles:
            raise OrderRepeated("version", "is in force already")
        if self._folder is not None:
            write_durably(self._folder / FILE, data)
        self.roles, self.trouble = roles, None
        return roles

    def remembered(self) -> dict[str, bytes]:
        """Counters of commands and acknowledgements, for the outbox; those of pushes are in the ledger."""
        kept = {f"{KEY}/{kind}": self.counters[kind] for kind in IN_OUTBOX}
        return {key: counters.dump() for key, counters in kept.items() if counters}

    def restore(self, recall: Callable[[str], bytes | None], pushes: Mapping[str, int]) -> None:
        """Takes up the counters of before a restart."""
        self.counters["push"].raise_to(pushes)
        for kind in IN_OUTBOX:
            try:
                self.counters[kind].restore(recall(f"{KEY}/{kind}"))
            except ValueError as error:
                log.warning("counters_damaged", kind=kind, error=str(error))

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self._groups())

    def roles_of_keys(self, key_ids: Iterable[str]) -> frozenset[str]:
        """The names of the roles that these keys have on this device, together."""
        roles = self.roles
        if roles is None:
            return frozenset()
        groups = self.groups
        return frozenset(name for key_id in key_ids for name in roles.roles_of(key_id, self.device, groups))

    def signers(self, data: bytes) -> tuple[str, ...]:
        """The listed keys that have signed this envelope; empty for anything else."""
        try:
            return () if self.roles is None else tuple(self.roles.signers(parse(data)))
        except ValueError:
            return ()

    @property
    def signs_receipts(self) -> bool:
        """Whether receipts must be signed: the roles name a key of the centre."""
        return self.roles is not None and bool(self._keys_of("centre"))

    def open(self, kind: Kind, data: bytes, *, group: str | None = None) -> Order:
        """The order in an envelope that arrived on a topic of this device, or of ``group``.

        `OrderRefused`, or `OrderRepeated`. On return its counters are used up: `put_back` where its effect
        could not be stored.
        """
        roles = self.roles
        if roles is None:
            raise OrderRefused("signature", NO_ROLES)
        try:
            signed = parse(data)
        except ValueError as error:
            raise OrderRefused("signature", f"the {kind} is not signed: {error}") from None
        if signed.payload_type != payload_type(kind):
            raise OrderRefused("signature", f"was made for another purpose than a {kind}")
        key_ids = roles.signers(signed)
        if not key_ids:
            raise OrderRefused("signature", explain_no_signature(signed, roles))
        try:
            payload = Payload.model_validate_json(signed.payload)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(map(str, detail["loc"])) or "payload"
            raise OrderRefused(where[:100], detail["msg"].removeprefix("Value error, ")[:300]) from None
        self._check_target(payload, group)
        groups = self.groups
        signers = tuple(
            Signer(key_id, frozenset(roles.roles_of(key_id, self.device, groups))) for key_id in key_ids
        )
        order = Order(
            kind=kind,
            target=payload.target,
            body=payload.body,
            signers=signers,
            counters={} if kind == "receipt" else self._counters(kind, payload, key_ids),
            nonce=payload.nonce,
            expires=payload.expires,
            digest=digest_of(signed.payload),
        )
        if not any(signer.roles for signer in signers):
            raise OrderRefused("signature", f"key {key_ids[0]} has no role on this device")
        if kind != "receipt":
            self._take_counters(order)
        if order.expires is not None and self._clock_trusted() and order.expires < utc_now():
            raise OrderRefused("expires", "the order has expired")
        return order

    def open_receipt(self, data: bytes) -> bytes:
        """The receipt in ``data``, as JSON. `OrderRefused` where the roles name a centre that did not sign.

        A device whose roles name no centre takes every receipt, as the broker delivers it.
        """
        if self.signs_receipts:
            order = self.open("receipt", data)
            if not order.has_role("centre"):
                raise OrderRefused("signature", f"{describe_signers(order.signers)} may not give receipts")
            return encode(order.body)
        return encode(peek_body(data)) if is_envelope(data) else data

    def put_back(self, order: Order) -> None:
        """The effect of an order could not be stored: it counts when the broker delivers it again."""
        self.counters[order.kind].put_back(order.counters)

    def require_command(self, order: Order, name: str) -> None:
        """`OrderRefused` where no signer may give this command, or where its nonce is not good."""
        if not any(role.covers_command(name) for role in self._roles_of(order)):
            raise OrderRefused("signature", f"{describe_signers(order.signers)} may not order {name}")
        if name in NEEDS_NONCE:
            reason = self.challenges.use(order.nonce, self._monotonic())
            if reason is not None:
                raise OrderRefused("nonce", reason)

    def require_paths(self, order: Order, changes: Sequence[Change]) -> None:
        """`OrderRefused` where the signers may not make these changes together."""
        roles = self.roles
        if roles is None:
            raise OrderRefused("signature", NO_ROLES)
        by_key = {
            signer.key_id: roles.roles_of(signer.key_id, self.device, self.groups) for signer in order.signers
        }
        if not any(role.paths for held in by_key.values() for role in held.values()):
            raise OrderRefused(
                "signature", f"{describe_signers(order.signers)} may not change the configuration"
            )
        for change in changes:
            able = {
                key_id
                for key_id, held in by_key.items()
                if any(role.covers_path(change.path) for role in held.values())
            }
            if not able:
                raise OrderRefused(change.path, f"{describe_signers(order.signers)} may not change it")
            needed = 1 if change.guard == "free" else roles.guarded_signatures
            if len(able) < needed:
                raise OrderRefused(
                    change.path,
                    f"needs the signatures of {needed} keys that may change it, and has {len(able)}",
                )
            if change.guard == "picture" and not any("privacy_officer" in by_key[key_id] for key_id in able):
                raise OrderRefused(
                    change.path, "changes what pictures show: needs the signature of a privacy officer"
                )

    def _check_target(self, payload: Payload, group: str | None) -> None:
        if payload.device is not None:
            if group is not None or payload.device != self.device:
                raise OrderRefused(
                    "device", f"was signed for {payload.device}, not for {group or self.device}"
                )
        elif payload.group != group or group not in self.groups:
            raise OrderRefused(
                "group", f"was signed for the group {payload.group}, not for {group or self.device}"
            )

    def _counters(self, kind: Kind, payload: Payload, key_ids: Iterable[str]) -> dict[str, int]:
        missing = [key_id for key_id in key_ids if key_id not in payload.counters]
        if missing:
            raise OrderRefused("counters", f"has none of key {missing[0]}")
        return {scope(key_id, kind, payload.target): payload.counters[key_id] for key_id in key_ids}

    def _take_counters(self, order: Order) -> None:
        counters = self.counters[order.kind]
        if counters.is_repeat(order.counters):
            raise OrderRepeated("counters", "was taken before")
        if (used := counters.too_low(order.counters)) is not None:
            name, highest = used
            key_id = name.split()[0]
            raise OrderRefused(
                "counters", f"{order.counters[name]} of key {key_id} was used; the next is {highest + 1}"
            )
        counters.advance(order.counters)

    def _keys_of(self, role: str) -> frozenset[str]:
        if self.roles is None:
            return frozenset()
        groups = self.groups
        return frozenset(
            key_id for key_id in self.roles.keys if role in self.roles.roles_of(key_id, self.device, groups)
        )

    def _roles_of(self, order: Order) -> Iterable[Role]:
        assert self.roles is not None  # noqa: S101  an order was opened
        groups = self.groups
        for signer in order.signers:
            yield from self.roles.roles_of(signer.key_id, self.device, groups).values()
