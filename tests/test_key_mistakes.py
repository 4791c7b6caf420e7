"""Mistakes with keys that the desk points out before a device would."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.trust.order import sign_order
from agent.trust.roles import describe_roles, small_team_roles
from agent.trust.signing_key import SigningKey


def keys(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["keys", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    assert keys("init", tmp_path)[0] == 0
    assert keys("new", tmp_path / "other.pem")[0] == 0
    return tmp_path


def sign_draft(fleet: Path, role: str, **fields: object) -> tuple[int, str]:
    draft = json.loads(keys("show", fleet / "roles.json", "--json")[1])
    draft["roles"][role] |= fields
    (fleet / "draft.json").write_text(json.dumps(draft))
    previous = ("--previous", fleet / "roles.json", "--key", fleet / "root.pem")
    return keys("roles", fleet / "draft.json", "-o", fleet / "roles-2.json", *previous)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"commands": ["config_confrim"]},
            "unknown command 'config_confrim'; did you mean 'config_confirm'?",
        ),
        ({"paths": ["source.*.zones"]}, "no such path 'source.*.zones'; did you mean 'sources'?"),
        ({"commands": ["*", "what_if", "challenge"], "paths": ["*", "sources.*.zones", "*.x"]}, ""),
    ],
)
def test_a_mistyped_right_is_pointed_out(fleet: Path, fields: dict[str, object], words: str) -> None:
    code, said = sign_draft(fleet, "configurer", **fields)
    assert code == 0
    assert words in said
    assert len(said.splitlines()) == (2 if words else 1)


def test_a_key_that_the_order_was_not_prepared_for_would_spoil_it(fleet: Path) -> None:
    first = SigningKey.load(fleet / "root.pem")
    order = fleet / "order.json"
    order.write_bytes(sign_order("push", "d", {}, [first], counters={first.key_id: 1}))
    before = order.read_bytes()
    code, said = keys("sign", order, "--key", fleet / "other.pem")
    assert code == 78
    assert f"--cosigner {SigningKey.load(fleet / 'other.pem').key_id}" in said
    assert order.read_bytes() == before
    assert keys("sign", order, "--key", fleet / "root.pem")[0] == 0


def test_a_signature_that_does_not_count_for_roles_is_pointed_out(fleet: Path) -> None:
    other = SigningKey.load(fleet / "other.pem").key_id
    code, said = keys("sign", fleet / "roles.json", "--key", fleet / "other.pem")
    assert code == 0
    assert f"{other} is no root key of this version" in said
    assert "no root key" not in keys("sign", fleet / "roles-2.json", "--key", fleet / "root.pem")[1]


def test_one_signature_is_one_signature() -> None:
    roles = small_team_roles(SigningKey.generate(), SigningKey.generate())
    assert "a guarded change needs 1 signature" in list(describe_roles(roles))


def test_a_wrong_file_is_78_and_an_existing_one_2(fleet: Path) -> None:
    assert keys("show", fleet / "nothing")[0] == 78
    assert keys("new", fleet / "other.pem")[0] == 2
    assert keys("init", fleet)[0] == 2
