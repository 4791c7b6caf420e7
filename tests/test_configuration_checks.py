"""What the page says about a text before it is sent: mistakes with their place, effects, the push itself."""

from pathlib import Path
from typing import Any, cast

import pytest

from agent.config.loader import digest
from agent.config.push_check import Desired
from agent.config.secret_filter import BLANK
from console.agent_views import ConfigView, Hello
from console.configuration.checks import check
from console.configuration.edits import apply_patch, set_value
from console.configuration.history import kept_rows
from console.configuration.in_force import InForce
from console.configuration.push import PushError, push_fields
from console.configuration.review import review
from console.configuration.trial import trial_state

TEXT = """\
schema_version: 1
device: post-1
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}   # surveyed
broker: {url: "mqtt://localhost:1883", insecure: true, username: post-1, password: {file: broker.txt}}
data: {directory: data}
sources:
  board: {kind: sensor_board, port: /dev/ttyACM0}   # panic button
rules:
  panic: {kind: switch, source: board, name: panic, severity: critical}
"""
REPORTED = {
    "state": "applied",
    "revision": 4,
    "highest_revision": 4,
    "active": {"revision": 4, "source": "push"},
}


@pytest.fixture
def in_force(tmp_path: Path) -> InForce:
    return made(TEXT, tmp_path)


def made(text: str, folder: Path, sha256: str | None = None) -> InForce:
    view = cast(
        ConfigView,
        {"text": text, "revision": 4, "sha256": sha256 or digest(text), "file_text": TEXT, "file_sha256": digest(TEXT),
         "history": [], "drift": None, "trial": None, "reported": REPORTED},
    )  # fmt: skip
    return InForce.of(view, cast(Hello, {"device": "post-1", "config_file": str(folder / "post.yaml")}))


MISTAKES: list[tuple[str, str, tuple[int, int, str], str]] = [
    ("typo", TEXT.replace("severity", "severty"), (10, 53, "rules.panic.severty"), "did you mean 'severity'"),
    ("range", TEXT.replace("north}", "north, lat: 91}"), (4, 69, "place.lat"), "less than or equal to 90"),
    ("missing", TEXT.replace("device: post-1\n", ""), (1, 1, "device"), "is required"),
    ("reference", TEXT.replace("source: board", "source: bord"), (10, 25, "rules.panic.source"), "did you mean 'board'"),
    ("not YAML", TEXT + "a: [1,\n", (12, 1, ""), "expected the node content"),
    ("tab", TEXT + "extra:\n\t- 1\n", (12, 1, ""), "indent with spaces"),
    ("twice", TEXT + "device: x\n", (11, 1, ""), "duplicate key"),
    ("anchor", TEXT.replace("data: {", "data: &a {") + "history: *a\n", (11, 1, ""), "anchors and aliases"),
    ("bomb", "a: &a [x, x]\nb: [*a, *a]\n", (2, 1, ""), "anchors and aliases"),
    ("newer", TEXT.replace("schema_version: 1", "schema_version: 2"), (1, 1, "schema_version"), "update the software"),
    ("deep", "a: " + "[" * 40 + "]" * 40, (1, 1, ""), "nested deeper"),
    ("huge", "a: " + "x" * 1_000_000, (1, 1, ""), "larger than 256 KiB"),
    ("empty", "", (1, 1, ""), "a configuration is a mapping"),
    ("other device", TEXT.replace("device: post-1", "device: post-2"), (2, 1, "device"), "this device is 'post-1'"),
    ("hostile", TEXT.replace("post: north", 'post: "<script>alert(1)</script>\u202e"'), (0, 0, ""), ""),
    ("null byte", TEXT + "\0", (1, 1, ""), "not YAML"),
    ("secret", TEXT.replace("{file: broker.txt}", "geheim"), (5, 74, "broker.password"), "never written"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "message"), [one[1:] for one in MISTAKES], ids=[one[0] for one in MISTAKES]
)
def test_a_mistake_has_its_place_and_what_would_be_right(
    in_force: InForce, text: str, place: tuple[int, int, str], message: str
) -> None:
    checked = check(text, in_force)
    if not message:
        assert checked.troubles == ()
        return
    first = checked.troubles[0]
    assert message in first.message
    assert (first.line, first.path) == (place[0], place[2])
    if place[1] > 1:
        assert first.column == place[1]
    with pytest.raises(PushError, match="mend them first"):
        push_fields(in_force, checked)


def test_the_whole_text_is_pushed_so_that_comments_stay(in_force: InForce) -> None:
    text = set_value(TEXT, ("reporting", "health_every"), "30s")
    fields = push_fields(in_force, check(text, in_force), manual=True)
    desired = Desired.model_validate({**fields, "revision": 5})
    assert (desired.body, desired.sha256, desired.base_sha256) == (text, digest(text), digest(TEXT))
    assert (desired.base_revision, desired.confirm) == (4, "manual")


def test_a_removed_secret_is_never_sent(tmp_path: Path) -> None:
    """The device removed the user name on the way here: what goes back is a patch of what was edited."""
    in_force = made(TEXT.replace("username: post-1", f'username: "{BLANK}"'), tmp_path, digest(TEXT))
    text = set_value(in_force.text, ("reporting", "health_every"), "30s")
    fields = push_fields(in_force, check(text, in_force))
    assert fields["patch"] == {"reporting": {"health_every": "30s"}}
    assert BLANK not in str(fields)
    text = set_value(in_force.text, ("broker", "url"), f"mqtt://{BLANK}@elsewhere")
    with pytest.raises(PushError):
        push_fields(in_force, check(text, in_force))


def test_a_blank_typed_by_hand_is_a_mistake(in_force: InForce) -> None:
    checked = check(set_value(TEXT, ("place", "site"), BLANK), in_force)
    assert "removed secret" in checked.troubles[0].message


EFFECTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("rule", {"rules": {"panic": {"severity": "warning"}}}, "restart", "rule panic: restarts; an active alert goes on"),
    ("new rule", {"rules": {"x": {"kind": "silence", "source": "board"}}}, "restart", "rule x: starts"),
    ("source", {"sources": {"board": {"port": "/dev/ttyACM1"}}}, "restart", "source board: restarts"),
    ("link", {"broker": {"keepalive": "20s"}}, "restart", "link: connects anew"),
    ("kind", {"kind": "metro_post"}, "signatures", "needs several signatures"),
    ("record", {"evidence": {"record": False}}, "signatures", "needs a privacy officer among its signers"),
    ("folder", {"data": {"max_mb": 600}}, "impossible", "can't be changed by push"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "kind", "text"), [one[1:] for one in EFFECTS], ids=[one[0] for one in EFFECTS]
)
def test_a_change_says_what_it_restarts_and_who_has_to_sign(
    in_force: InForce, patch: dict[str, Any], kind: str, text: str
) -> None:
    checked = check(apply_patch(TEXT, patch), in_force)
    found = review(in_force, checked)
    assert checked.troubles == ()
    assert any(effect.kind == kind and text in effect.text for effect in found.effects)
    assert found.is_possible == (kind != "impossible")
    assert (
        {line.sign for line in found.lines} >= {"+", "-"}
        or patch.get("rules", {}).get("x")
        or "evidence" in patch
    )


def test_comments_alone_are_no_change(in_force: InForce) -> None:
    found = review(in_force, check(TEXT + "# a note\n", in_force))
    assert found.is_empty
    assert [line.text for line in found.lines if line.sign == "+"] == ["# a note"]


def view(state: str, trial: dict[str, Any] | None = None, **more: Any) -> ConfigView:
    return cast(ConfigView, {"reported": {"state": state, "revision": 5, **more}, "trial": trial})


def on_trial(waiting_for: str, confirm: bool = False) -> dict[str, Any]:
    deadline = "2026-11-30T12:01:00+00:00"
    return {
        "revision": 5,
        "since": None,
        "waiting_for": waiting_for,
        "deadline": deadline,
        "confirm": confirm,
    }


TRIALS: list[tuple[ConfigView, str, list[str]]] = [
    (view("pending", on_trial("the broker was not reached")), "trying", ["now", "waiting", "waiting"]),
    (view("pending", on_trial("no receipt of the centre arrived")), "trying", ["done", "now", "waiting"]),
    (view("pending", on_trial("changed sources were not proved")), "trying", ["done", "done", "now"]),
    (view("unconfirmed", on_trial("", confirm=True)), "unconfirmed", ["done", "done", "done", "now"]),
    (view("applied"), "applied", ["done", "done", "done"]),
    (view("rolled_back", reason="no receipt of the centre arrived within 60 s"), "rolled_back", ["done", "failed", "waiting"]),
    (view("rolled_back", reason="cam1: no such file; it worked before the push"), "rolled_back", ["done", "done", "failed"]),
    (view("rolled_back", reason="it was not confirmed within 60 s"), "rolled_back", ["done", "done", "done", "failed"]),
    (view("rolled_back", reason="the device restarted before it was confirmed"), "rolled_back", []),
    (view("rejected", errors=[{"path": "a", "message": "b", "line": 3}]), "rejected", []),
    (view("", errors="nonsense", warnings=7, key_ids=None), "none", []),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "outcome", "steps"), TRIALS)
def test_a_trial_is_told_step_by_step(shown: ConfigView, outcome: str, steps: list[str]) -> None:
    state = trial_state(shown)
    assert (state.outcome, [step for _, step in state.steps]) == (outcome, steps)
    assert state.is_on == (shown["trial"] is not None)
    if outcome == "rejected":
        assert state.errors == ((3, "a", "b"),)


def test_rows_of_the_history_come_from_what_is_well_formed() -> None:
    entries = [
        {
            "state": "in_force",
            "revision": 5,
            "sha256": "ab" * 8,
            "key_ids": ["k1"],
            "at": "2026-11-30T12:00:00Z",
        },
        {"state": "kept", "sha256": "cd" * 8},
        {"state": "rejected", "revision": "6\x1b[31m", "reason": "bad\x07"},
        "nonsense",
    ]
    rows = kept_rows(cast(Any, entries))
    assert [(row.revision, row.has_text) for row in rows] == [(5, True), (None, False), (None, False)]
    assert (rows[0].key_ids, rows[0].sha256) == (("k1",), "ab" * 6)
    assert rows[2].reason == "bad\ufffd"
