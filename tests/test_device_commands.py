"""Commands and answers from the command line: every command is a verb, results are shown as they come."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.cli.config_text import mask_secrets
from agent.cli.device_command import result_lines
from agent.cli.device_commands import command_models
from agent.cli.orders import is_not_permitted, is_push_not_permitted
from agent.trust.changes import Change
from agent.trust.dsse import is_envelope
from agent.trust.refusal import OrderRefused
from agent.trust.signing_key import SigningKey
from agent.trust.trust import Trust
from tests.desk_keys import key_file
from tests.signing import ROLES, signed
from tests.test_architecture import ROOT
from tests.test_desk import Answer, Line, nothing

TABLES = ("agent/inbound.py", "agent/control/control.py", "agent/commands/commands.py")


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGPOST_SIGNING_KEY", str(key_file(tmp_path)))


def ringpost(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], answer: Answer = nothing, **retained: Any
) -> tuple[int, str, str]:
    line = Answering({topic.replace("_", "/"): body for topic, body in retained.items()}, answer)
    monkeypatch.setattr("agent.cli.broker_session.open_session", line.visit)
    done = CliRunner().invoke(cli, [*arguments, "--broker", "mqtt://127.0.0.1:9"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


class Answering(Line):
    """A device that has a nonce for whoever asks."""

    def publish(self, topic: str, payload: bytes, *more: object) -> int:
        if topic.endswith("command/challenge"):
            answer, self.answer = (
                self.answer,
                lambda _, body: [
                    ("command/result", {"command_id": body["id"], "state": "succeeded", "nonce": "n1"})
                ],
            )
            number = super().publish(topic, payload, *more)
            self.answer = answer
            return number
        return super().publish(topic, payload, *more)


def test_every_command_of_a_device_is_a_verb() -> None:
    """The tables of the agent: a name, its model and its function."""
    known = {
        name for file in TABLES for name in re.findall(r'^ +"([a-z_]+)": \(', (ROOT / file).read_text(), re.M)
    }
    assert len(known) > 12
    assert known - set(command_models()) == {"rescue"}  # a verb of its own


def results(*states: dict[str, Any]) -> Answer:
    def answer(_: str, body: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        others = [("command/result", {"command_id": "another", "state": "succeeded"})]
        return [*others, *(("command/result", {"command_id": body["id"], **state}) for state in states)]

    return answer


@pytest.mark.parametrize(
    ("states", "code", "words"),
    [
        ([{"state": "succeeded"}], 0, "ping: d: succeeded"),
        ([{"state": "accepted"}, {"state": "succeeded", "value": 5}], 0, "value: 5"),
        (
            [{"state": "failed", "reason": "no disk\x1b"}],
            1,
            "ping: d: failed: no disk\N{REPLACEMENT CHARACTER}",
        ),
        ([{"state": "rejected", "reason": "signature: key 00 may not order ping"}], 77, "may not order"),
        ([{"state": "rejected", "reason": "no such camera"}], 1, "no such camera"),
        ([{"state": []}, {"state": "expired"}], 1, "expired"),
    ],
)
def test_results_are_shown_as_they_come(
    states: list[dict[str, Any]], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, said, complained = ringpost(monkeypatch, ["command", "ping", "d"], results(*states))
    assert ended == code
    assert words in said + complained


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.command_request.ANSWER_TIMEOUT_S", 0.1)
    code, _, complained = ringpost(monkeypatch, ["command", "ping", "d"])
    assert code == 69
    assert "lost" in complained or "no answer from d" in complained


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (
            ["output", "d", "--source", "board", "--output", "siren", "--no-on"],
            {"source": "board", "on": False},
        ),
        (["what-if", "d", "--rules", '{"quiet": {"after": "9s"}}', "--hours", "2"], {"hours": 2.0}),
        (["what_if", "d", "--rules", "@rules.yaml"], {"rules": {"quiet": {"after": "9s"}}}),
        (["resend", "d", "--lane", "alert", "--epoch", "e", "--ranges", "[[1, 5]]"], {"ranges": [[1, 5]]}),
    ],
)
def test_options_are_the_fields_of_the_command(
    arguments: list[str], body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("rules.yaml").write_text("quiet: {after: 9s}\n")
    sent: list[dict[str, Any]] = []

    def answer(topic: str, given: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert topic == f"command/{arguments[0].replace('-', '_')}"
        sent.append(given)
        return results({"state": "succeeded"})(topic, given)

    code, _, complained = ringpost(monkeypatch, ["command", *arguments], answer)
    assert code == 0, complained
    assert body.items() <= sent[0].items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["command", "pong", "d"], "No such command 'pong'"),
        (["command", "snapshot", "d"], "Missing option '--camera'"),
        (["command", "what_if", "d"], "give zones or rules, or both"),
        (["command", "output", "d", "--source", "a", "--output", "b", "--ttl-s", "9000"], "--ttl-s: "),
        (["command", "what_if", "d", "--rules", "@nothing"], "nothing: No such file"),
        (["command", "what_if", "d", "--rules", "[1"], "neither JSON nor YAML"),
        (["command", "diagnostics", "d", "--key", "nothing.pem"], "nothing.pem: No such file"),
        (["close", "d", "a1", "--role", "x" * 65], "close: role: "),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, complained = ringpost(monkeypatch, arguments)
    assert code in (2, 78)
    assert words in complained


def test_pictures_of_a_command_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: str, body: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        return [
            ("media/another/1", b"\xff\xd8"),
            ("command/result", {"command_id": body["id"], "state": "accepted"}),
            (
                "command/result",
                {"command_id": body["id"], "state": "succeeded", "media": f"media/{body['id']}/1"},
            ),
            (f"media/{body['id']}/1", b"\xff\xd8"),
            (f"media/{body['id']}/" + "2" * 30, b"\xff\xd8"),
        ]

    arguments = ["command", "snapshot", "d", "--camera", "cam1", "--to", "pictures", "--json"]
    code, said, _ = ringpost(monkeypatch, arguments, answer)
    assert code == 0
    (picture,) = Path("pictures/d").iterdir()
    assert picture.stat().st_mode & 0o777 == 0o600
    assert json.loads(said.splitlines()[-1]) == {"saved": str(picture)}


@pytest.mark.parametrize("verb", ["ack", "close", "reject"])
def test_a_refused_answer_to_an_alert_is_77(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(topic: str, ack: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert (topic, ack["action"]) == ("alert/ack", verb)
        refused = {"command": "ack", "state": "rejected", "reason": "key 00 (operator) may not order close"}
        return [("command/result", {**refused, "command_id": one}) for one in ("a2", "a1")]

    active = {"count": 1, "alerts": [{"alert_id": "a1"}]}
    code, _, complained = ringpost(monkeypatch, [verb, "d", "a1"], answer, alerts_active=active)
    assert code == 77
    assert complained == f"{verb}: d: rejected: key 00 (operator) may not order close\n"


def test_what_the_device_says_of_signatures_is_known_here() -> None:
    """The words of `agent.trust`: whoever changes them there sees it here."""
    trust = Trust("d", roles=ROLES)
    order = trust.open("push", signed("push", "d", {"revision": 1}))
    refusals: list[OrderRefused] = []
    stranger = SigningKey.generate()
    strict = ROLES.model_copy(update={"guarded_signatures": 2})
    for act in (
        lambda: Trust("d").open("push", b"{}"),
        lambda: trust.open("push", b"{}"),
        lambda: trust.open("push", signed("push", "e", {"revision": 1})),
        lambda: Trust("d", roles=strict).require_paths(order, [Change("broker.url", "guarded")]),
    ):
        with pytest.raises(OrderRefused) as refused:
            act()
        refusals.append(refused.value)
    assert stranger.key_id not in ROLES.keys
    for refusal in refusals:
        error = {"path": refusal.path, "message": refusal.reason}
        assert is_push_not_permitted({"errors": [error]}), refusal
    assert is_not_permitted("nonce: is older than 60 s")
    assert not is_not_permitted("no camera 'x'")
    assert not is_push_not_permitted(
        {"errors": [{"path": "device", "message": "is 'd', but this device is 'e'"}]}
    )


def test_secrets_are_never_shown() -> None:
    old = (
        "broker: {username: me, password: {file: pw}}\nurl: rtsp://root:hunter2@192.0.2.1/x\napi_token: abc\n"
    )
    new = old.replace("hunter2", "other3") + "password: 'a b'\n"
    shown = "".join(mask_secrets(old, new))
    for secret in ("hunter2", "other3", "abc"):
        assert secret not in shown
    assert "rtsp://root:•••@192.0.2.1/x" in shown
    plain = "url: http://127.0.0.1:8554/camera.mjpg\nport: tcp://h:5\n"
    assert mask_secrets(plain, plain) == (plain, plain)
    assert "••• (changed)@192.0.2.1" in shown
    assert "{file: pw}" in shown


def test_a_text_of_several_lines_stays_one() -> None:
    csr = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\x1b\n-----END CERTIFICATE REQUEST-----\n"
    facts = {"disk": {"free_mb": 5}, "errors": []}
    parts = [{"part": "cam1", "ok": True}]
    lines = list(result_lines({"state": "succeeded", "csr": csr, "parts": parts, "facts": facts}))
    assert lines == [
        "csr:",
        "-----BEGIN CERTIFICATE REQUEST-----",
        "MIIB\N{REPLACEMENT CHARACTER}",
        "-----END CERTIFICATE REQUEST-----",
        "parts:",
        "  part cam1, ok yes",
        "facts:",
        "  disk: free_mb 5",
        "  errors: none",
    ]


@pytest.mark.parametrize("name", ["ping", "rebirth", "challenge"])
def test_what_needs_no_signature_goes_without_whatever_rights_the_key_has(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    publish = Line.publish

    def record(self: Line, topic: str, payload: bytes, *more: object) -> int:
        sent.append(payload)
        return publish(self, topic, payload, *more)

    monkeypatch.setattr(Line, "publish", record)
    assert ringpost(monkeypatch, ["command", name, "d"], results({"state": "succeeded"}))[0] == 0
    assert sent
    assert not any(map(is_envelope, sent))
