"""The desk's verbs against a device that says anything, or nothing: the right answer, the right exit code."""

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.cli.broker_session import at_a_desk
from agent.cli.fleet_link import fleet_link
from agent.config.loader import digest
from agent.mqtt.tls import _ALERTS as ALERTS
from tests.desk_keys import body_of, key_file

GOOD = (
    "schema_version: 1\ndevice: d\nkind: watch_point\n"
    "place: {ring: inner_city, domain: ground, site: s, post: p}\nbroker: {url: 'mqtt://127.0.0.1:9'}\n"
)
PREFIX = "ringpost/v1/d"
Answer = Callable[[str, dict[str, Any]], Sequence[tuple[str, Any]]]


class Line:
    """A connection to a broker that keeps ``retained``, and a device that answers what is published."""

    def __init__(self, retained: dict[str, Any], answer: Answer) -> None:
        self.retained, self.answer = retained, answer
        self.said: deque[tuple[str, Any]] = deque()
        self.published = 0

    async def visit(self, *_: object) -> "Line":
        return self

    def subscribe(self, topics: Sequence[str]) -> int:
        self.said += [(topic, body) for topic, body in self.retained.items() if f"{PREFIX}/{topic}" in topics]
        return 1

    def publish(self, topic: str, payload: bytes, *_: object) -> int:
        self.published += 1
        self.said.append(("", self.published))
        self.said += self.answer(topic.removeprefix(PREFIX + "/"), body_of(payload))
        return self.published

    async def event(self, _within_s: float) -> tuple[Any, ...]:
        for _ in range(50):  # whoever waits for a message has its turn
            await asyncio.sleep(0)
            if self.said:
                break
        else:
            return "lost", "that was all"
        topic, body = self.said.popleft()
        if not topic:
            return "published", body, SimpleNamespace(value=0)
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return "message", SimpleNamespace(topic=f"{PREFIX}/{topic}", payload=payload, retain=False)

    def acknowledge(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGPOST_SIGNING_KEY", str(key_file(tmp_path_factory.mktemp("key"))))


def nothing(*_: object) -> Sequence[tuple[str, Any]]:
    return ()


def desk(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], retained: dict[str, Any], answer: Answer = nothing
) -> tuple[int, str, str]:
    monkeypatch.setattr("agent.cli.broker_session.open_session", Line(retained, answer).visit)
    done = CliRunner().invoke(cli, [*arguments, "--broker", "mqtt://127.0.0.1:9"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path / "good.yaml"


ODD: list[dict[str, Any]] = [
    {"state": 5}, {"state": "applied", "active": []}, {"errors": 5, "active": {"sha256": 5}}, {"revision": 1},
    {"errors": [5, {"path": "\x1b[2J"}], "reason": "\ud800"}, {"revision": [], "highest_revision": "abc"},
    {"highest_revision": 1e300}, {"highest_revision": -5}, {"highest_revision": 2**60}, {"state": []},
]  # fmt: skip


@pytest.mark.parametrize("reported", ODD, ids=ascii)
def test_whatever_a_device_reports_is_shown_and_pushed_to(
    reported: dict[str, Any], good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, _ = desk(monkeypatch, ["config", "get", "d"], {"config/reported": reported})
    assert code == 0
    assert said.replace("\n", "").isprintable()

    def apply(_: str, push: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert push["revision"] == (2 if reported == {"revision": 1} else 1)
        answer = {"state": "applied", "revision": push["revision"], "sha256": push["sha256"]}
        return [("config/reported", answer)]

    code, _, _ = desk(monkeypatch, ["config", "push", "d", str(good)], {"config/reported": reported}, apply)
    assert code == 0


def test_the_answer_to_another_push_of_the_same_number_is_not_ours(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused revision's number is not taken again: the device answers the same push only once."""
    stale = {
        "state": "rejected",
        "revision": 4,
        "sha256": "00",
        "highest_revision": 3,
        "errors": [{"path": "old"}],
    }

    def apply(_: str, push: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert (push["revision"], push["sha256"]) == (5, digest(GOOD))
        return [("config/reported", {"state": "applied", "revision": 5, "sha256": push["sha256"]})]

    code, said, _ = desk(monkeypatch, ["config", "push", "d", str(good)], {"config/reported": stale}, apply)
    assert (code, "old" in said) == (0, False)


OTHERS: dict[str, Any] = {
    "health": {"state": "degraded", "revision": 7, "highest_revision": 7, "parts": []},
    "status": {"state": "applied", "revision": 8},
    "config/reported/x": {"state": "applied", "revision": 9},
}


def test_only_what_comes_on_its_topic_is_the_answer(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker may deliver whatever an earlier session of this name asked for."""
    reported = {"state": "applied", "revision": 2, "highest_revision": 2, "active": {"revision": 2}}

    class Loud(Line):
        def subscribe(self, topics: Sequence[str]) -> int:
            self.said += OTHERS.items()
            return super().subscribe(topics)

    def apply(_: str, push: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert push["revision"] == 3
        return [*OTHERS.items(), ("config/reported", {**reported, "revision": 3, "sha256": push["sha256"]})]

    monkeypatch.setattr("tests.test_desk.Line", Loud)
    code, said, _ = desk(monkeypatch, ["config", "get", "d", "--json"], {"config/reported": reported})
    assert (code, json.loads(said)) == (0, reported)
    code, _, _ = desk(monkeypatch, ["config", "push", "d", str(good)], {"config/reported": reported}, apply)
    assert code == 0
    assert desk(monkeypatch, ["config", "get", "d"], {})[:2] == (69, "")


ACTIVE = {"count": 1, "alerts": [{"alert_id": "a1", "severity": "critical", "text": "a press"}]}
ANSWERED = {"role": "technician", "action": "ack"}


@pytest.mark.parametrize(
    ("arguments", "active", "said", "code", "words"),
    [
        (["a1"], ACTIVE, [{"alert_id": "a1", "acknowledged": ANSWERED}], 0, "acknowledged by technician"),
        (["a1", "--close"], ACTIVE, [{"alert_id": "a1", "phase": "end"}], 0, "ended"),
        (["a1"], ACTIVE, [{"alert_id": "a2", "phase": "end"}, {"alert_id": "a1", "phase": "update"}], 69, ""),
        (["a1", "--close"], ACTIVE, [{"alert_id": "a1", "acknowledged": ANSWERED}], 69, ""),
        (["a2"], ACTIVE, [], 1, "d has no active alert a2; active: a1 (a press)"),
        (["a2"], {**ACTIVE, "count": 40}, [{"alert_id": "a2", "acknowledged": ANSWERED}], 0, "acknowledged"),
        (
            ["a1"],
            {"count": 1, "alerts": [{"alert_id": "a1", "acknowledged": ANSWERED}]},
            [],
            0,
            "acknowledged",
        ),
        (["a1"], {"alerts": [5], "count": []}, [5, {"alert_id": []}], 69, ""),
        (["a1", "--role", "x" * 65], ACTIVE, [], 2, "role"),
    ],
    ids=ascii,
)
def test_an_alert_is_answered_once_the_device_says_so(
    arguments: list[str],
    active: dict[str, Any],
    said: list[Any],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(topic: str, ack: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert topic == "alert/ack"
        expected = {"alert_id": arguments[0], "role": "technician"}
        assert ack == expected | {"action": "close" if "--close" in arguments else "ack"}
        return [("alert", {"alert": one}) for one in said]

    retained = {"alerts/active": active}
    ended, shown, complained = desk(monkeypatch, ["ack", "d", *arguments], retained, answer)
    assert ended == code
    assert words in shown + complained


@pytest.mark.parametrize("verb", ["config get d", "watch", "fetch d a1", "ack d a1", "centre --db c.db"])
@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"RINGPOST_CA": "nope.pem"}, 78, "nope.pem: No such file or directory"),
        (
            {"RINGPOST_CERT": "nope.pem", "RINGPOST_KEY": "nope.key"},
            78,
            "nope.pem: No such file or directory",
        ),
        ({"RINGPOST_CA": "good.yaml"}, 78, "good.yaml: no usable certificate or key"),
        ({"RINGPOST_PROTOCOL": "4"}, 2, "RINGPOST_PROTOCOL: Input should be '5' or '3.1.1'"),
        ({"RINGPOST_CERT": "nope.pem"}, 2, "--broker: cert and key go together"),
    ],
    ids=ascii,
)
def test_what_is_wrong_here_is_said_at_once(
    verb: str, environment: dict[str, str], code: int, words: str, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good.parent)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, [*verb.split(), "--broker", "mqtts://127.0.0.1:9"])
    assert done.exit_code == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "verb",
    ["config get", "config push", "command ping", "watch", "fetch", "ack", "close", "rescue", "centre"],
)
def test_help_names_what_the_environment_may_say(verb: str) -> None:
    said = " ".join(CliRunner().invoke(cli, [*verb.split(), "--help"]).stdout.split())
    for name in ("BROKER", "CA", "CERT", "KEY", "INSECURE", "PROTOCOL"):
        assert f"RINGPOST_{name}" in said, name


def test_a_refused_subscription_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Line):
        async def event(self, _within_s: float) -> tuple[Any, ...]:
            return "subscribed", 1, [SimpleNamespace(value=0x87)]

    monkeypatch.setattr("tests.test_desk.Line", Deaf)
    code, _, complained = desk(monkeypatch, ["config", "get", "d"], {})
    assert (code, complained) == (
        69,
        "broker: not allowed to subscribe to ringpost/v1/d/birth: see the broker's ACL\n",
    )


def test_a_push_to_a_name_that_nobody_has_says_so(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object) -> None:
        return None

    monkeypatch.setattr("agent.cli.fleet_link.FleetLink.until", silence)
    code, _, complained = desk(monkeypatch, ["config", "push", "d", str(good)], {})
    assert code == 69
    assert "no report from d on ringpost/v1; check the device name" in complained


def test_interrupted_is_not_applied(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Sequence[tuple[str, Any]]:
        raise KeyboardInterrupt

    code, _, _ = desk(
        monkeypatch, ["config", "push", "d", str(good)], {"config/reported": {"state": "applied"}}, interrupt
    )
    assert code == 130


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"state": "rejected", "reason": "no clip"}, 1),
        ({"state": "succeeded", "sent": 1}, 0),
        ({"state": "succeeded", "sent": "1"}, 69),
        ({"state": []}, 69),
        ({}, 69),
    ],
    ids=ascii,
)
def test_a_fetch_ends_whatever_the_device_answers(
    result: dict[str, Any], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: str, command: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        return [
            ("media/a1/2", b"\xff\xd8"),
            ("media/a1/" + "3" * 300, b"\xff\xd8"),
            ("command/result", {**result, "command_id": command["id"]}),
        ]

    before = os.umask(0)
    try:
        ended, _, _ = desk(monkeypatch, ["fetch", "d", "a1", "--to", str(tmp_path)], {}, send)
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "d" / "a1-2.jpg").stat().st_mode & 0o777 == 0o600
    assert ended == code
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg")] == [Path("d/a1-2.jpg")]


def test_a_picture_that_can_not_be_kept_is_not_a_brokers_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    arguments = ["fetch", "d", "a1", "--to", str(tmp_path / "file")]
    code, _, complained = desk(monkeypatch, arguments, {}, lambda *_: [("media/a1/2", b"\xff\xd8")])
    assert code == 1
    assert complained.startswith("fetch: ")


def test_what_a_push_brought_and_gives_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    from agent.cli.config_report import print_report

    reported = {
        "state": "applied",
        "revision": 3,
        "active": {"revision": 3},
        "warnings": ["cam2: refused\x1b[2J"],
    }
    print_report("d1", reported, as_json=False)
    assert capsys.readouterr().out.splitlines()[1] == "  warning: cam2: refused\N{REPLACEMENT CHARACTER}[2J"
    print_report("d1", reported | {"warnings": "none"}, as_json=False)
    assert "warning" not in capsys.readouterr().out


def test_a_desk_is_not_told_of_the_certificate_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError("b:8884: the broker says that this device's certificate has expired")

    monkeypatch.setattr("agent.cli.broker_session.open_either", refuse)
    done = CliRunner().invoke(cli, ["ack", "d", "a1", "--broker", "mqtt://127.0.0.1:9"])
    assert (done.exit_code, done.stderr) == (
        69,
        "broker: b:8884: the broker says that the certificate RINGPOST_CERT has expired\n",
    )


def test_each_sentence_about_the_certificate_of_a_device_has_one_for_desks() -> None:
    for text in ALERTS.values():
        assert "this device" not in at_a_desk(text)


def test_a_desk_subscribes_before_it_publishes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device answers within milliseconds: an answer before the subscription never arrives."""
    calls: list[str] = []

    class Quick(Line):
        def subscribe(self, topics: Sequence[str]) -> int:
            calls.append("subscribe")
            return super().subscribe(topics)

        def publish(self, *_: Any) -> Any:
            calls.append("publish")
            return 1

        async def event(self, _: float) -> Any:
            await asyncio.sleep(0)
            return "published", 1, SimpleNamespace(value=0)

    async def scene() -> None:
        monkeypatch.setattr("agent.cli.broker_session.open_session", Quick({}, nothing).visit)
        async with fleet_link("mqtt://127.0.0.1:9", "ringpost/v1", ["ringpost/v1/d/+"]) as link:
            async with asyncio.timeout(30):
                await link.publish("ringpost/v1/d/command/ping", b"{}")

    asyncio.run(scene())
    assert calls == ["subscribe", "publish"]
