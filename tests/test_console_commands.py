"""``ringpost console`` in the terminal: accounts, folders, and what is refused in one line."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.config.startup import FILE
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from console import open_page
from console.cli import console
from console.open_page import Refused, find_folder, other_user
from console.web import users as users_module
from console.web.users import Users

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "configs/ringpost-console.service"
PASSPHRASE = "four words in a row"  # noqa: S105  it opens nothing


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_module, "N", 2**14)
    monkeypatch.setattr(users_module, "R", 1)


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(console, list(arguments), input=text)


def test_accounts_are_added_listed_and_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "users.json")
    added = run(
        "user", "add", "desk-3", "--role", "operator", "--role", "rescuer", "--users", file, text=PASSPHRASE
    )
    assert added.exit_code == 0, added.output
    assert PASSPHRASE not in added.output
    assert PASSPHRASE not in Path(file).read_text()
    assert Path(file).stat().st_mode & 0o777 == 0o600
    listed = run("user", "list", "--json", "--users", file)
    assert json.loads(listed.output) == {"name": "desk-3", "roles": ["operator", "rescuer"]}
    accounts = Users.load(Path(file))
    assert accounts.check("desk-3", PASSPHRASE) is not None
    assert accounts.check("desk-3", PASSPHRASE[:-1]) is None
    assert run("user", "remove", "desk-3", "--users", file).exit_code == 0
    assert Users.load(Path(file)).accounts == {}
    assert run("user", "remove", "desk-3", "--users", file).exit_code == EX_CONFIG


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("Desk 3", PASSPHRASE, "a name has up to 32 small letters"),
        ("desk-3", "short", "12 to 256 characters"),
        ("desk-3", "x" * 300, "12 to 256 characters"),
    ],
)
def test_a_bad_account_is_refused_in_one_line(name: str, text: str, right: str, tmp_path: Path) -> None:
    done = run("user", "add", name, "--role", "viewer", "--users", str(tmp_path / "u.json"), text=text)
    assert done.exit_code == EX_CONFIG
    assert right in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "u.json").exists()


@pytest.mark.parametrize(
    ("content", "mode", "right"),
    [
        ("{", 0o600, "is no file of"),
        ("[]", 0o600, "is no file of"),
        ("{}", 0o644, "other users may read it"),
        ('{"x": {"roles": ["king"], "scrypt": ""}}', 0o600, "role 'king'"),
        ('{"x": {"roles": ["viewer"], "scrypt": "1$1$1$00$00"}}', 0o600, "is no hash of"),
        (
            '{"x": {"roles": ["viewer"], "scrypt": "1073741824$8$1$' + "00" * 16 + "$" + "00" * 32 + '"}}',
            0o600,
            "is no hash",
        ),
        ('{"x": 1}', 0o600, "role ''"),
    ],
)
def test_a_damaged_file_of_accounts_is_told(content: str, mode: int, right: str, tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ValueError, match=right):
        Users.load(path)


def test_the_folder_comes_from_the_configuration_or_from_data(tmp_path: Path) -> None:
    assert find_folder(None, tmp_path) == (tmp_path, None)
    with pytest.raises(Refused, match="no such file"):
        find_folder(tmp_path / "missing.yaml", None)
    with pytest.raises(Refused, match="no such directory"):
        find_folder(None, tmp_path / "missing")
    text = (ROOT / "configs/watch_point.yaml").read_text()
    config = tmp_path / "device.yaml"
    config.write_text(text.replace("/var/lib/ringpost", str(tmp_path)))
    if str(tmp_path) not in config.read_text():
        config.write_text(text + f"\ndata: {{directory: {tmp_path}}}\n")
    assert find_folder(config, None)[0] == tmp_path
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / FILE).touch()  # the agent has run there
    config.write_text(config.read_text() + "\nnonsense: [\n")  # a wrong configuration opens the page too
    assert find_folder(config, None)[0] == tmp_path


def test_the_socket_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "console.sock").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "sudo -u" in (other_user(tmp_path) or "")
    owner = (tmp_path / "console.sock").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert other_user(tmp_path) is None
    (tmp_path / "console.sock").unlink()
    assert other_user(tmp_path) is None


def test_the_network_needs_tls_and_accounts(tmp_path: Path) -> None:
    done = run("--data", str(tmp_path), "--host", "192.0.2.1", "--no-open")
    assert done.exit_code == EX_USAGE
    assert "--cert, --key and --users" in done.output


def test_the_browser_gets_its_address_by_a_file_of_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments of a process are seen by all users of the machine."""
    opened: list[tuple[str, str, int]] = []

    def see(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        opened.append((address, path.read_text(), path.parent.stat().st_mode & 0o777))
        return False

    monkeypatch.setattr("webbrowser.open", see)
    open_page.open_browser("http://127.0.0.1:8700/login?token=secret&x")
    ((address, text, mode),) = opened
    assert "secret" not in address
    assert "token=secret&amp;x" in text
    assert mode == 0o700


def test_the_unit_calls_the_command_and_leaves_it_little() -> None:
    lines = UNIT.read_text().splitlines()
    settings: dict[str, Any] = dict(line.split("=", 1) for line in lines if "=" in line and line[0].isalpha())
    words = shlex.split(settings["ExecStart"])
    command = console.get_command(None, "open")  # type: ignore[arg-type]
    assert command is not None
    assert words[1] == "console"
    assert command.make_context("open", words[2:]).params["no_open"] is True
    hardened = {
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateUsers",
        "ProtectHome",
        "MemoryDenyWriteExecute",
        "LockPersonality",
    }
    assert {settings[name] for name in hardened} == {"yes"}
    assert (settings["ProtectSystem"], settings["CapabilityBoundingSet"]) == ("strict", "")
    assert settings["RestrictAddressFamilies"] == "AF_UNIX AF_INET AF_INET6"
