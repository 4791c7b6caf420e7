"""Signed orders: envelopes, roles, targets, counters, nonces, and the roles document itself."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.trust import dsse
from agent.trust.challenges import MAX_OPEN, VALID_S, Challenges
from agent.trust.changes import Change, Guard
from agent.trust.counters import Counters
from agent.trust.device_key import load_or_make
from agent.trust.order import add_signature, payload_type, sign_order
from agent.trust.refusal import OrderRefused
from agent.trust.roles import (
    ROLE_NAMES,
    ROLES_TYPE,
    KeyEntry,
    Role,
    RoleName,
    Roles,
    Root,
    default_role,
    open_roles,
    sign_roles,
    small_team_roles,
)
from agent.trust.signing_key import PassphraseNeededError, SigningKey
from agent.trust.trust import NEEDS_NONCE, OrderRepeated, Trust

NAMES = ("root", "root2", "alice", "bob", "officer", "desk", "rescue", "centre", "stranger")
KEYS = {name: SigningKey.generate() for name in NAMES}
ALICE, BOB, OFFICER, STRANGER = KEYS["alice"], KEYS["bob"], KEYS["officer"], KEYS["stranger"]
DEVICE = "bridge-07"


def team(**changes: Any) -> Roles:
    """A roles document of several people; the root needs one of two."""
    holders: dict[RoleName, list[SigningKey]] = {
        "configurer": [ALICE, BOB],
        "privacy_officer": [OFFICER],
        "operator": [KEYS["desk"]],
        "rescuer": [KEYS["rescue"]],
        "centre": [KEYS["centre"]],
    }
    fields: dict[str, Any] = {
        "version": 1,
        "root": Root(threshold=1, keys=(KEYS["root"].key_id,)),
        "keys": {
            key.key_id: KeyEntry(public=key.public.hex()) for name, key in KEYS.items() if name != "stranger"
        },
        "roles": {name: default_role(name, [key.key_id for key in keys]) for name, keys in holders.items()},
    }
    return Roles.model_validate(fields | changes)


def trust(roles: Roles | None = None, **options: Any) -> Trust:
    return Trust(DEVICE, lambda: ["all", "kind.watch_point"], roles or team(), **options)


def counted(*keys: SigningKey, at: int = 1) -> dict[str, int]:
    return {key.key_id: at for key in keys}


def push(
    *keys: SigningKey, at: int = 1, target: str = DEVICE, body: Mapping[str, Any] | None = None
) -> bytes:
    return sign_order("push", target, body or {"revision": 1}, keys, counters=counted(*keys, at=at))


def test_an_order_of_a_listed_key_is_opened() -> None:
    order = trust().open("push", push(ALICE))
    assert order.body == {"revision": 1}
    assert order.key_ids == (ALICE.key_id,)
    assert order.has_role("configurer")
    assert not order.has_role("operator", "privacy_officer")


def edited(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(envelope) | fields).encode()


def resigned(envelope: bytes, **fields: Any) -> bytes:
    """The payload changed, the signature left as it was."""
    body = json.loads(base64.b64decode(json.loads(envelope)["payload"])) | fields
    return edited(envelope, payload=base64.b64encode(json.dumps(body).encode()).decode())


ONE = push(ALICE)
REFUSED = {
    "not JSON": (b"\xff\x00", "is not a JSON object"),
    "deep": (b"[" * 100_000, "is not a JSON object"),
    "huge": (b" " * (dsse.MAX_BYTES + 1), "larger than"),
    "unsigned": (b'{"revision": 1}', "not signed"),
    "no signatures": (edited(ONE, signatures=[]), "list of 1 to 8"),
    "nine signatures": (edited(ONE, signatures=json.loads(ONE)["signatures"] * 9), "list of 1 to 8"),
    "signature of another length": (edited(ONE, signatures=[{"keyid": ALICE.key_id, "sig": "AAAA"}]), "64 bytes"),
    "payload not base64": (edited(ONE, payload="%%"), "not base64"),
    "stranger": (push(STRANGER), "is not in the roles document"),
    "stranger under a known name": (
        edited(ONE, signatures=[{"keyid": ALICE.key_id, "sig": json.loads(push(STRANGER))["signatures"][0]["sig"]}]),
        "does not match",
    ),
    "changed after signing": (resigned(ONE, body={"revision": 2}), "does not match"),
    "another purpose": (sign_order("ack", DEVICE, {}, [ALICE], counters=counted(ALICE)), "another purpose"),
    "type changed": (
        edited(
            sign_order("ack", DEVICE, {}, [ALICE], counters=counted(ALICE)), payloadType=payload_type("push")
        ),
        "does not match",
    ),
    "another device": (push(ALICE, target="bridge-08"), "was signed for bridge-08"),
    "group on the device's topic": (push(ALICE, target="group:all"), "was signed for the group all"),
    "no counter": (sign_order("push", DEVICE, {}, [ALICE]), "has none of key"),
    "counter 0": (push(ALICE, at=0), "counters must be"),
    "counter too high": (push(ALICE, at=2**53), "counters must be"),
    "no role": (push(KEYS["root2"]), "has no role"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_orders_say_why(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(OrderRefused, match=reason) as caught:
        trust().open("push", data)
    assert caught.value.path
    assert len(str(caught.value)) < 400


@given(st.integers(0, 8 * len(ONE) - 1))
def test_a_flipped_bit_never_changes_what_is_ordered(bit: int) -> None:
    data = bytearray(ONE)
    data[bit // 8] ^= 1 << bit % 8
    try:
        order = trust().open("push", bytes(data))
    except OrderRefused:
        return
    assert (order.body, order.key_ids) == ({"revision": 1}, (ALICE.key_id,))


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(OrderRefused):
        trust().open("push", data)


def test_without_roles_the_answer_says_how_to_get_them() -> None:
    with pytest.raises(OrderRefused, match="ringpost keys init"):
        Trust(DEVICE).open("push", push(ALICE))


def test_groups() -> None:
    ours = trust()
    order = ours.open("push", push(ALICE, target="group:kind.watch_point"), group="kind.watch_point")
    assert order.target == "group:kind.watch_point"
    for target, group in (("group:all", "kind.watch_point"), (DEVICE, "all"), ("group:ring.x", "ring.x")):
        with pytest.raises(OrderRefused, match="signed for"):
            ours.open("push", push(ALICE, target=target, at=9), group=group)


def test_a_counter_is_used_once_for_each_kind_and_target() -> None:
    ours = trust()
    ours.open("push", push(ALICE, at=5))
    with pytest.raises(OrderRepeated):
        ours.open("push", push(ALICE, at=5))
    with pytest.raises(OrderRefused, match=r"4 of key .* was used; the next is 6"):
        ours.open("push", push(ALICE, at=4))
    ours.open("push", push(BOB, at=4))
    ours.open("push", push(ALICE, at=4, target="group:all"), group="all")
    ours.open("command", sign_order("command", DEVICE, {}, [ALICE], counters=counted(ALICE, at=3)))
    with pytest.raises(OrderRefused, match="was used"):
        ours.open("push", push(ALICE, BOB, at=5))


def test_an_order_that_could_not_be_stored_counts_again() -> None:
    ours = trust()
    order = ours.open("push", push(ALICE, at=5))
    ours.put_back(order)
    assert ours.open("push", push(ALICE, at=5)).counters == order.counters
    with pytest.raises(OrderRefused, match="was used"):
        ours.open("push", push(ALICE, at=4))


def test_an_order_that_could_not_be_stored_lowers_no_newer_one() -> None:
    ours = trust()
    late = ours.open("push", push(ALICE, at=5))
    ours.open("push", push(ALICE, at=9))
    ours.put_back(late)
    with pytest.raises(OrderRepeated):
        ours.open("push", push(ALICE, at=9))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9)), max_size=40), st.data())
def test_counters_never_fall(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    counters, taken = Counters(), set[tuple[str, int]]()
    for name, value in steps:
        one = {name: value}
        if counters.too_low(one) is None:
            assert (name, value) not in taken
            taken.add((name, value))
            counters.advance(one)
        if data.draw(st.booleans()):
            again = Counters()
            again.restore(counters.dump())
            counters = again


def test_damaged_counters_are_refused() -> None:
    for damaged, reason in ((b"[", "Expecting value"), (b"[1]", "damaged"), (b'{"a": "b"}', "damaged")):
        with pytest.raises(ValueError, match=reason):
            Counters().restore(damaged)


@pytest.mark.parametrize(
    ("name", "key", "allowed"),
    [
        ("output", "desk", True),
        ("output", "alice", False),
        ("rescue", "rescue", True),
        ("rescue", "desk", False),
        ("rescue", "officer", False),
        ("config_rollback", "alice", True),
        ("config_rollback", "desk", False),
        ("ack", "desk", True),
        ("snapshot", "centre", False),
    ],
)
def test_commands_belong_to_roles(name: str, key: str, allowed: bool) -> None:
    ours = trust()
    nonce = ours.challenges.issue(0.0)
    envelope = sign_order("command", DEVICE, {}, [KEYS[key]], counters=counted(KEYS[key]), nonce=nonce)
    ours._monotonic = lambda: 1.0
    order = ours.open("command", envelope)
    if allowed:
        ours.require_command(order, name)
    else:
        with pytest.raises(OrderRefused, match=f"may not order {name}"):
            ours.require_command(order, name)


@pytest.mark.parametrize("name", sorted(NEEDS_NONCE))
def test_orders_that_switch_or_uncover_need_a_fresh_nonce(name: str) -> None:
    now_s = 0.0
    ours = trust(small_team_roles(ALICE, KEYS["centre"]), monotonic=lambda: now_s)

    def order(counter: int, nonce: str | None) -> None:
        envelope = sign_order(
            "command", DEVICE, {}, [ALICE], counters=counted(ALICE, at=counter), nonce=nonce
        )
        ours.require_command(ours.open("command", envelope), name)

    nonce = ours.challenges.issue(now_s)
    order(1, nonce)
    late = ours.challenges.issue(now_s)
    other_session = Challenges().issue(now_s)
    for counter, bad in enumerate((None, nonce, other_session, "x"), 2):
        with pytest.raises(OrderRefused, match="challenge"):
            order(counter, bad)
    now_s = VALID_S + 1
    with pytest.raises(OrderRefused, match="older than 60 s"):
        order(9, late)


def test_open_nonces_are_bounded() -> None:
    challenges = Challenges()
    nonces = [challenges.issue(0.0) for _ in range(MAX_OPEN + 1)]
    assert challenges.use(nonces[0], 1.0) is not None
    assert challenges.use(nonces[1], 1.0) is None


PATHS: list[tuple[str, Guard, list[SigningKey], str | None]] = [
    ("rules.quiet.severity", "free", [ALICE], None),
    ("rules.quiet.severity", "free", [KEYS["centre"], OFFICER], None),
    ("broker.url", "guarded", [ALICE], "needs the signatures of 2"),
    ("broker.url", "guarded", [ALICE, BOB], None),
    ("broker.url", "guarded", [ALICE, KEYS["desk"]], "needs the signatures of 2"),
    ("broker.url", "guarded", [ALICE, ALICE], "needs the signatures of 2"),
    ("sources.cam.rotate", "picture", [ALICE, BOB], "privacy officer"),
    ("sources.cam.rotate", "picture", [ALICE, OFFICER], None),
    ("sources.cam.rotate", "picture", [OFFICER], "needs the signatures of 2"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "guard", "keys", "reason"), PATHS)
def test_paths_need_their_signatures(
    path: str, guard: Guard, keys: list[SigningKey], reason: str | None
) -> None:
    ours = trust()
    order = ours.open("push", push(*keys))
    changes = [Change("rules", "free"), Change(path, guard)] if reason is None else [Change(path, guard)]
    if reason is None:
        ours.require_paths(order, changes)
    else:
        with pytest.raises(OrderRefused, match=reason) as caught:
            ours.require_paths(order, changes)
        assert caught.value.path == path


def test_a_push_that_changes_nothing_needs_a_role_that_may_push() -> None:
    ours = trust()
    ours.require_paths(ours.open("push", push(ALICE)), [])
    with pytest.raises(OrderRefused, match="may not change the configuration"):
        ours.require_paths(ours.open("push", push(KEYS["desk"])), [])


def test_a_role_ends_at_its_paths_and_devices() -> None:
    base = team()
    narrow = Role(keys=(ALICE.key_id,), devices=("boat-*",), paths=("*",))
    with pytest.raises(OrderRefused, match="has no role on this device"):
        trust(team(roles={"configurer": narrow})).open("push", push(ALICE))
    by_group = replace_role(narrow, devices=("group:kind.watch_point",), paths=("rules", "sources.*.zones"))
    ours = trust(team(roles=base.roles | {"configurer": by_group}))
    order = ours.open("push", push(ALICE))
    ours.require_paths(order, [Change("rules.a.b", "free"), Change("sources.cam.zones.north", "free")])
    for path in ("sources.cam.score", "sources", "rulesx", "broker.url"):
        with pytest.raises(OrderRefused, match="may not change it"):
            ours.require_paths(order, [Change(path, "free")])


def replace_role(role: Role, **changes: Any) -> Role:
    return role.model_copy(update=changes)


def test_expiry_counts_only_with_a_clock_that_is_trusted() -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    envelope = sign_order("push", DEVICE, {}, [ALICE], counters=counted(ALICE), expires=past)
    trust().open("push", envelope)
    with pytest.raises(OrderRefused, match="has expired"):
        trust(clock_trusted=lambda: True).open("push", envelope)


def test_a_signature_can_be_added_later() -> None:
    counters = counted(ALICE, OFFICER)
    prepared = sign_order("push", DEVICE, {"revision": 1}, [ALICE], counters=counters)
    order = trust().open("push", add_signature(add_signature(prepared, OFFICER), OFFICER))
    assert sorted(order.key_ids) == sorted([ALICE.key_id, OFFICER.key_id])


def test_receipts_need_a_key_of_the_centre() -> None:
    ours = trust()
    assert ours.signs_receipts
    assert ours.open("receipt", sign_order("receipt", DEVICE, {"ids": []}, [KEYS["centre"]])).has_role(
        "centre"
    )
    assert not ours.open("receipt", sign_order("receipt", DEVICE, {"ids": []}, [ALICE])).has_role("centre")
    assert not trust(team(roles={})).signs_receipts


# The roles document.


def two_of_two(version: int, *names: str) -> Roles:
    keys = [KEYS[name] for name in names]
    return team(version=version, root=Root(threshold=len(keys), keys=tuple(key.key_id for key in keys)))


def test_a_newer_document_needs_the_old_root_and_the_new_one() -> None:
    old, new = team(), two_of_two(2, "root2", "alice")
    assert open_roles(sign_roles(new, [KEYS[name] for name in ("root", "root2", "alice")]), old) == new
    for signers, reason in (
        (["root2", "alice"], "the present roles document demands"),
        (["root", "root2"], "1 of the 2 signatures that the new"),
        (["stranger"], "0 of the 1"),
        ([], "list of 1 to 8"),
    ):
        with pytest.raises(OrderRefused, match=reason):
            open_roles(sign_roles(new, [KEYS[name] for name in signers]), old)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_document_never_comes_back(version: int) -> None:
    with pytest.raises(OrderRefused, match="is not newer than 2"):
        open_roles(sign_roles(team(version=version, guarded_signatures=3), [KEYS["root"]]), team(version=2))


def test_a_stolen_root_key_uses_up_no_version_numbers() -> None:
    """Else no later document could ever take the device back, not even one at the device."""
    far = sign_roles(team(version=2**53 - 1), [KEYS["root"]])
    with pytest.raises(OrderRefused, match="is far above 2; the next is 3"):
        open_roles(far, team(version=2))
    assert open_roles(far).version == 2**53 - 1  # the file at the device may have any


@pytest.mark.parametrize("payload", [b'{"version": 2, "version": 3}', b'{"keys": {"a": {"a": 1, "a": 1}}}'])
def test_a_document_has_no_key_twice(payload: bytes) -> None:
    unsigned = dsse.Signed(ROLES_TYPE, payload, ())
    root = KEYS["root"]
    data = dsse.Signed(ROLES_TYPE, payload, ((root.key_id, root.sign(unsigned.signed_bytes())),)).dump()
    with pytest.raises(OrderRefused, match="an object has a key twice"):
        open_roles(data, team())


def test_a_document_is_consistent() -> None:
    good = team().model_dump()
    other = SigningKey.generate()
    for change, reason in (
        (
            {"keys": good["keys"] | {other.key_id: {"public": ALICE.public.hex()}}},
            "not the id of its public key",
        ),
        ({"root": {"threshold": 2, "keys": [KEYS["root"].key_id]}}, "2 signatures of 1 keys"),
        ({"roles": {"centre": {"keys": [other.key_id]}}}, "is not listed in keys"),
        ({"roles": {"king": {"keys": []}}}, "configurer"),
        ({"version": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(ValueError, match=reason):
            Roles.model_validate(good | change)


def test_the_newest_of_the_local_and_the_pushed_document_is_in_force(tmp_path: Path) -> None:
    local = tmp_path / "roles.json"
    local.write_bytes(sign_roles(team(), [KEYS["root"]]))
    ours = Trust(DEVICE)
    ours.load(local, tmp_path / "config")
    assert ours.roles == team()
    newer = team(version=3, guarded_signatures=3)
    ours.replace_roles(sign_roles(newer, [KEYS["root"]]))
    again = Trust(DEVICE)
    again.load(local, tmp_path / "config")
    assert again.roles == newer
    local.write_bytes(b"{}")
    last = Trust(DEVICE)
    last.load(local, tmp_path / "config")
    assert last.roles == newer
    assert "roles.json" in str(last.trouble)


def test_a_missing_document_is_said(tmp_path: Path) -> None:
    ours = Trust(DEVICE)
    ours.load(tmp_path / "roles.json", tmp_path)
    assert ours.roles is None
    assert "ringpost keys init" in str(ours.trouble)
    with pytest.raises(OrderRefused, match="keys init"):
        ours.replace_roles(sign_roles(team(), [KEYS["root"]]))


def test_one_key_of_a_small_team_holds_all_roles() -> None:
    roles = small_team_roles(ALICE, KEYS["centre"])
    ours = trust(roles)
    assert set(roles.roles_of(ALICE.key_id, DEVICE, [])) == set(ROLE_NAMES)
    ours.require_paths(ours.open("push", push(ALICE)), [Change("sources.cam.rotate", "picture")])


# Key files.


def test_key_files(tmp_path: Path) -> None:
    key = SigningKey.generate()
    path = tmp_path / "key.pem"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).key_id == key.key_id
    with pytest.raises(FileExistsError):
        key.save(path)
    path.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        SigningKey.load(path)
    sealed = tmp_path / "sealed.pem"
    key.save(sealed, "correct horse")
    with pytest.raises(PassphraseNeededError):
        SigningKey.load(sealed)
    with pytest.raises(ValueError, match="wrong passphrase"):
        SigningKey.load(sealed, "wrong")
    assert SigningKey.load(sealed, "correct horse").public == key.public
    (tmp_path / "noise.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n")
    (tmp_path / "noise.pem").chmod(0o600)
    with pytest.raises(ValueError, match="not a private key in PEM"):
        SigningKey.load(tmp_path / "noise.pem")


def test_the_device_key_stays(tmp_path: Path) -> None:
    key = load_or_make(tmp_path)
    assert load_or_make(tmp_path).key_id == key.key_id
    (tmp_path / "identity/device.key").write_bytes(b"damaged")
    fresh = load_or_make(tmp_path)
    assert fresh.key_id != key.key_id
    assert (tmp_path / "identity/device.damaged").exists()
    assert load_or_make(tmp_path).key_id == fresh.key_id
