"""The desk's verbs against a device that says anything, or nothing: the right answer, the right exit code."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.config import digest

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

    def __call__(self, *_: object) -> "Line":
        return self

    async def open(self) -> None:
        pass

    def subscribe(self, topics: Sequence[str]) -> None:
        self.said += [(topic, body) for topic, body in self.retained.items() if f"{PREFIX}/{topic}" in topics]

    def publish(self, topic: str, payload: bytes, *_: object) -> None:
        self.said += self.answer(topic.removeprefix(PREFIX + "/"), json.loads(payload))

    async def event(self, _: float) -> tuple[str, Any]:
        if not self.said:
            return "lost", "that was all"
        topic, body = self.said.popleft()
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return "message", SimpleNamespace(topic=f"{PREFIX}/{topic}", payload=payload)

    def acknowledge(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


def nothing(*_: object) -> Sequence[tuple[str, Any]]:
    return ()


def desk(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], retained: dict[str, Any], answer: Answer = nothing
) -> tuple[int, str, str]:
    monkeypatch.setattr("agent.desk.Connection", Line(retained, answer))
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
        assert push["revision"] == 1
        return [("config/reported", {"state": "applied", "revision": 1, "sha256": push["sha256"]})]

    code, _, _ = desk(monkeypatch, ["config", "push", "d", str(good)], {"config/reported": reported}, apply)
    assert code == 0


def test_the_answer_to_another_push_of_the_same_number_is_not_ours(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused revision's number is free again: its retained answer must not be taken for the next one's."""
    stale = {
        "state": "rejected",
        "revision": 4,
        "sha256": "00",
        "highest_revision": 3,
        "errors": [{"path": "old"}],
    }

    def apply(_: str, push: dict[str, Any]) -> Sequence[tuple[str, Any]]:
        assert (push["revision"], push["sha256"]) == (4, digest(GOOD))
        return [("config/reported", {"state": "applied", "revision": 4, "sha256": push["sha256"]})]

    code, said, _ = desk(monkeypatch, ["config", "push", "d", str(good)], {"config/reported": stale}, apply)
    assert (code, "old" in said) == (0, False)


def test_a_push_to_a_name_that_nobody_has_says_so(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object) -> None:
        return None

    monkeypatch.setattr("agent.desk._reported", silence)
    code, _, complained = desk(monkeypatch, ["config", "push", "d", str(good)], {})
    assert code == 69
    assert "d has reported nothing on ringpost/v1; is its name right?" in complained


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

    ended, _, _ = desk(monkeypatch, ["fetch", "d", "a1", "--to", str(tmp_path)], {}, send)
    assert ended == code
    assert [path.name for path in tmp_path.iterdir()] == ["d-a1-2.jpg"]


def test_a_picture_that_can_not_be_kept_is_not_a_brokers_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    arguments = ["fetch", "d", "a1", "--to", str(tmp_path / "file")]
    code, _, complained = desk(monkeypatch, arguments, {}, lambda *_: [("media/a1/2", b"\xff\xd8")])
    assert code == 1
    assert complained.startswith("fetch: ")
