"""A staged roll-out, from the command line: where it stops, what it says, how it goes on."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.cli.device_selection import Selection, groups_of
from agent.cli.pushed_change import PushedChange
from agent.cli.restarts import permissions, read_both, restarts, why_unreadable
from agent.cli.rollout_plan import load_rollout, plan_waves
from agent.config.merge_patch import changed_paths
from agent.mqtt.connection import Connection
from tests.desk_keys import body_of, key_file

ROOT = "ringpost/v1"
PATCH = '{"rules": {"quiet": {"after": "20s"}}}'
Report = dict[str, Any]


class Device:
    """A device as its reports show it."""

    def __init__(self, name: str, ends: str = "applied", **status: Any) -> None:
        self.name, self.ends = name, ends
        self.active: Report = {"source": "local", "sha256": "00"}
        self.answer: Report = {"state": "applied"}
        self.highest = 0
        self.status: Report = {"state": "online", "reasons": [], **status}
        self.after: Report = {}
        self.commands: list[tuple[str, Report]] = []

    def reports(self) -> list[tuple[str, Report]]:
        reported = self.answer | {"highest_revision": self.highest, "active": self.active}
        birth = {"kind": "patrol_boat", "ring": "perimeter", "domain": "water", "groups": ["north"]}
        return [
            ("config/reported", reported),
            ("status", self.status | {"config": self.active}),
            ("birth", birth),
        ]

    def take(self, push: Report) -> list[tuple[str, Report]]:
        pushed = {"revision": push["revision"], "sha256": push["sha256"]}
        if push.get("validate_only"):
            self.answer = {**pushed, "state": "validated" if self.ends == "applied" else "rejected"}
            return self.reports()
        self.highest = push["revision"]
        if self.ends == "mute":
            return []
        self.answer = {**pushed, "state": self.ends, "reason": "as the test has it"}
        if self.ends in ("applied", "unconfirmed"):
            self.active = {**pushed, "source": "push"}
            self.status = self.status | self.after
        return self.reports()

    def carry_out(self, name: str, command: Report) -> list[tuple[str, Report]]:
        self.commands.append((name, command))
        if name == "config_confirm":
            self.answer = self.answer | {"state": "applied"}
        if name == "config_rollback":
            self.active = {"source": "local", "sha256": "00"}
        result = {"command": name, "command_id": command["id"], "state": "succeeded"}
        return [("command/result", result), *self.reports()]


class Fleet:
    """A broker with devices; ``lose`` loses the connection at the n-th publication."""

    def __init__(self, *devices: Device, lose: int = 0) -> None:
        self.devices = {device.name: device for device in devices}
        self.events: deque[tuple[Any, ...]] = deque()
        self.pushes: list[str] = []
        self.withdrawn: list[str] = []
        self.lose = lose
        self.opened = self.number = 0

    async def open(self, *_: object) -> "Fleet":
        self.opened += 1
        return self

    def _say(self, device: str, said: Sequence[tuple[str, Report]], retained: bool = False) -> None:
        for topic, body in said:
            message = SimpleNamespace(
                topic=f"{ROOT}/{device}/{topic}", payload=json.dumps(body).encode(), retain=retained
            )
            self.events.append(("message", message))

    def subscribe(self, topics: Sequence[str]) -> int:
        self.events.append(("subscribed", 0, [SimpleNamespace(value=1) for _ in topics]))
        for name, device in self.devices.items():
            self._say(name, device.reports(), retained=True)
        return 0

    def publish(self, topic: str, payload: bytes, _qos: int, _retain: bool) -> int:
        self.number += 1
        if self.number == self.lose:
            self.events.append(("lost", "the test has it so"))
            return self.number
        self.events.append(("published", self.number, SimpleNamespace(value=0)))
        _, _, name, kind, what = topic.split("/")
        device = self.devices[name]
        if not payload:
            self.withdrawn.append(name)
            return self.number
        body = body_of(payload)
        if kind == "config":
            self.pushes.append(name)
            self._say(name, device.take(body))
        else:
            self._say(name, device.carry_out(what, body))
        return self.number

    async def event(self, within_s: float) -> tuple[Any, ...] | None:
        await asyncio.sleep(0 if self.events else min(within_s, 0.01))
        return self.events.popleft() if self.events else None

    def acknowledge(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def ringpost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agent.cli.fleet_link.SETTLED_S", 0.05)
    monkeypatch.setattr("agent.cli.fleet_link.FIRST_RETRY_S", 0.01)
    monkeypatch.setattr("agent.cli.rollout.ANSWER_MARGIN_S", 0.2)

    monkeypatch.setenv("RINGPOST_SIGNING_KEY", str(key_file(tmp_path)))

    def call(fleet: Fleet, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("agent.cli.broker_session.open_session", fleet.open)
        done = CliRunner().invoke(cli, ["config", *arguments, "--broker", "mqtt://127.0.0.1:9"])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return call


def boats(count: int) -> list[Device]:
    return [Device(f"boat-{number:02}") for number in range(1, count + 1)]


PUSH = ["push", "--group", "kind.patrol_boat", "--patch", PATCH, "--state", "state.json", "--pause", "0s"]
QUICK = ["--confirm-within", "2s", "--healthy-within", "0.2s"]


@pytest.mark.parametrize(
    ("count", "waves", "canary", "sizes"),
    [
        (200, "1,10%,50%,100%", None, [1, 19, 80, 100]),
        (200, "10%,100%", 3, [3, 17, 180]),
        (3, "1,10%,50%,100%", None, [1, 1, 1]),
        (1, "100%", None, [1]),
        (5, "2", None, [2, 3]),
        (5, "50,100%", None, [5]),
        (4, "100%", 9, [4]),
        (0, "100%", None, []),
    ],
)
def test_waves_are_totals_so_far(count: int, waves: str, canary: int | None, sizes: list[int]) -> None:
    planned = plan_waves([f"d{number}" for number in range(count)], waves, canary)
    assert [sum(one.wave == wave for one in planned.values()) for wave in range(len(sizes))] == sizes
    assert len(planned) == count


@pytest.mark.parametrize("waves", ["", "x", "0", "101%", "1,,2", "-1"])
def test_what_is_no_wave_is_said(waves: str) -> None:
    with pytest.raises(ValueError, match="--waves: "):
        plan_waves(["d"], waves, None)


def test_a_roll_out_reaches_every_device_in_waves(ringpost: Any) -> None:
    fleet = Fleet(*boats(10))
    code, said, _ = ringpost(fleet, *PUSH, *QUICK)
    assert code == 0
    assert fleet.pushes == sorted(fleet.devices)
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("wave")] == [
        "wave 1 of 3: 1 device", "wave 2 of 3: 4 devices", "wave 3 of 3: 5 devices"]  # fmt: skip
    assert lines[-1].startswith("revision 1: 10 (boat-01, boat-02, ")


@pytest.mark.parametrize(
    ("ends", "step", "code", "reason"),
    [
        ("rolled_back", "rolled_back", 1, "as the test has it"),
        ("rejected", "rejected", 1, "as the test has it"),
        ("mute", "no_answer", 69, "no answer within 2.2 s"),
    ],
)
def test_the_first_failure_stops_it_and_the_rest_is_untouched(
    ends: str, step: str, code: int, reason: str, ringpost: Any
) -> None:
    devices = boats(20)
    devices[0].ends = ends
    fleet = Fleet(*devices)
    ended, said, complained = ringpost(fleet, *PUSH, *QUICK)
    assert ended == code
    assert fleet.pushes == ["boat-01"]
    state = load_rollout(Path("state.json"))
    assert state.devices["boat-01"].step == step
    assert len(state.with_step("waiting")) == 19
    assert reason in complained
    assert fleet.withdrawn == (["boat-01"] if ends == "mute" else [])
    assert "as before: " in said
    for way in (
        "--resume state.json\n",
        "--resume state.json --skip-failed",
        "rollback --rollout state.json",
    ):
        assert way in complained


def test_a_device_that_degrades_under_the_new_configuration_stops_it(ringpost: Any) -> None:
    devices = boats(4)
    devices[0].after = {"state": "degraded", "reasons": ["cam1: blind for 12 s"]}
    fleet = Fleet(*devices)
    code, said, complained = ringpost(fleet, *PUSH, *QUICK)
    assert (code, fleet.pushes) == (1, ["boat-01"])
    assert "not healthy: degraded: cam1: blind for 12 s; within 0.2 s" in complained
    assert "revision 1: 1 (boat-01)" in said


def test_what_was_wrong_before_does_not_stop_it(ringpost: Any) -> None:
    devices = boats(3)
    devices[0].status = {"state": "degraded", "reasons": ["cam1: blind for 12 s"]}
    devices[0].after = {"reasons": ["cam1: blind for 15 s"]}
    code, _, _ = ringpost(Fleet(*devices), *PUSH, *QUICK)
    assert code == 0


def test_a_device_that_turns_bad_in_the_pause_stops_it(
    ringpost: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = boats(3)
    fleet = Fleet(*devices)
    told: list[str] = []
    real = fleet.event

    async def event(within_s: float) -> tuple[Any, ...] | None:
        if fleet.pushes == ["boat-01"] and not fleet.events and not told:
            told.append("bad")
            await asyncio.sleep(0.2)
            devices[0].status = {"state": "offline", "reasons": []}
            fleet._say("boat-01", devices[0].reports())
        return await real(within_s)

    monkeypatch.setattr(fleet, "event", event)
    code, _, complained = ringpost(fleet, *PUSH[:-1], "5s", *QUICK)
    assert (code, fleet.pushes) == (1, ["boat-01"])
    assert "boat-01: not healthy: offline" in complained


def test_it_goes_on_without_the_failed_device_or_tries_it_again(ringpost: Any) -> None:
    devices = boats(6)
    devices[0].ends = "rolled_back"
    fleet = Fleet(*devices)
    assert ringpost(fleet, *PUSH, *QUICK)[0] == 1
    before = Path("state.json").read_text()
    code, said, _ = ringpost(fleet, "push", "--resume", "state.json", "--skip-failed")
    assert code == 0
    assert fleet.pushes == sorted(fleet.devices)
    assert "as before: 1 (boat-01)" in said
    for device in devices[1:]:
        device.active, device.highest = {"source": "local", "sha256": "00"}, 0
    Path("state.json").write_text(before)
    devices[0].ends = "applied"
    fleet.pushes.clear()
    code, _, _ = ringpost(fleet, "push", "--resume", "state.json")
    assert code == 0
    assert fleet.pushes == sorted(fleet.devices)
    assert devices[0].active["revision"] == 2  # a rolled-back revision is used up


def test_who_resumes_asks_the_devices_what_became_of_it(ringpost: Any) -> None:
    """As after kill -9: two were sent to; one of them has it, the other never got it."""
    devices = boats(4)
    fleet = Fleet(*devices)
    assert ringpost(fleet, *PUSH, *QUICK)[0] == 0
    state = load_rollout(Path("state.json"))
    for name, step in zip(sorted(fleet.devices), ("done", "sent", "sent", "waiting"), strict=True):
        state.devices[name].step = step  # type: ignore[assignment]
    state.save(Path("state.json"))
    for device in devices[2:]:
        device.active, device.answer, device.highest = (
            {"source": "local", "sha256": "00"},
            {"state": "applied"},
            0,
        )
    fleet.pushes.clear()
    assert ringpost(fleet, "push", "--resume", "state.json")[0] == 0
    assert fleet.pushes == ["boat-03", "boat-04"]
    assert {device.active["revision"] for device in devices} == {1}


def test_a_lost_connection_is_said_and_what_was_sent_is_sent_again(ringpost: Any) -> None:
    fleet = Fleet(*boats(4), lose=2)
    code, _, complained = ringpost(fleet, *PUSH, *QUICK)
    assert code == 0
    assert "config: connection lost: the test has it so; retrying\nconfig: reconnected\n" in complained
    assert fleet.opened == 2
    assert sorted(fleet.pushes) == sorted(fleet.devices)


def test_a_device_that_is_offline_is_named_before_anything_is_sent(ringpost: Any) -> None:
    devices = boats(3)
    devices[1].status = {"state": "offline", "reasons": []}
    fleet = Fleet(*devices)
    code, _, complained = ringpost(fleet, *PUSH, *QUICK)
    assert (code, fleet.pushes) == (69, [])
    assert "nothing was sent: offline or without report: boat-02;" in complained
    code, _, _ = ringpost(fleet, *PUSH, *QUICK, "--skip-offline")
    assert (code, fleet.pushes) == (0, ["boat-01", "boat-03"])


def test_a_manual_confirmation_comes_once_the_device_is_healthy(ringpost: Any) -> None:
    devices = boats(2)
    for device in devices:
        device.ends = "unconfirmed"
    devices[1].after = {"state": "degraded", "reasons": ["board: sends nothing"]}
    code, _, _ = ringpost(Fleet(*devices), *PUSH, *QUICK, "--confirm", "manual")
    assert code == 1
    assert [name for name, _ in devices[0].commands] == ["config_confirm"]
    assert devices[0].commands[0][1]["revision"] == 1
    assert devices[1].commands == []  # it goes back by itself
    steps = [device.step for device in load_rollout(Path("state.json")).devices.values()]
    assert steps == ["done", "unhealthy"]


def test_one_in_flight(ringpost: Any) -> None:
    (device,) = boats(1)
    device.answer = {"state": "pending", "revision": 7}
    fleet = Fleet(device)
    code, _, complained = ringpost(fleet, "push", "boat-01", "--patch", PATCH)
    assert (code, fleet.pushes) == (1, [])
    assert complained == "config: boat-01: one in flight: revision 7 is on trial; try again after it\n"


def test_a_dry_run_changes_nothing(ringpost: Any) -> None:
    devices = boats(3)
    devices[2].ends = "rejected"
    code, said, _ = ringpost(Fleet(*devices), *PUSH, "--dry-run")
    assert code == 1
    assert said.endswith("2 of 3 devices would take it\n")
    assert [device.active["source"] for device in devices] == ["local"] * 3
    assert not Path("state.json").exists()


def test_a_roll_out_is_taken_back_where_it_arrived(ringpost: Any) -> None:
    devices = boats(4)
    devices[1].ends = "rolled_back"
    fleet = Fleet(*devices)
    assert ringpost(fleet, *PUSH, *QUICK)[0] == 1
    code, _, complained = ringpost(fleet, "rollback", "--rollout", "state.json")
    assert code == 0
    assert "1 of 4 devices have this roll-out" in complained
    assert [(name, body.get("to_revision")) for name, body in devices[0].commands] == [
        ("config_rollback", None)
    ]
    assert devices[2].commands == []


def test_json_is_one_object_a_line(ringpost: Any) -> None:
    devices = boats(3)
    devices[2].ends = "rolled_back"
    _, said, _ = ringpost(Fleet(*devices), *PUSH, *QUICK, "--json")
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[0] == {"wave": 1, "of": 3, "devices": 1, "pause_s": 0.0}
    assert lines[-1]["rollout"] == {"done": 2, "rolled_back": 1}
    assert lines[-1]["devices"]["boat-03"] == {
        "step": "rolled_back", "wave": 3, "revision": 1, "detail": "as the test has it"}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["push", "--patch", PATCH], "name devices, or a group with --group, or --all"),
        (["push", "d", "--all", "--patch", PATCH], "one of them"),
        (["push", "--group", "boats", "--patch", PATCH], "'boats' is no group"),
        (["push", "--resume", "nothing.json"], "nothing.json: No such file"),
        (["push", "--resume", "broken.json"], "broken.json: no state of a roll-out"),
        (["push", "d", "e", "whole.yaml"], "for several use --patch"),
        (["push", "d", "--patch", PATCH, "--waves", "none"], "--waves: 'none' is neither"),
        (["rollback", "--rollout", "nothing.json"], "nothing.json: No such file"),
    ],
)
def test_wrong_use_is_said_before_anything_is_sent(arguments: list[str], words: str, ringpost: Any) -> None:
    Path("broken.json").write_text("{}")
    Path("whole.yaml").write_text(
        "schema_version: 1\ndevice: d\nkind: watch_point\nbroker: {url: 'mqtt://127.0.0.1:9'}\n"
        "place: {ring: inner_city, domain: ground, site: s, post: p}\n"
    )
    fleet = Fleet(*boats(1))
    code, _, complained = ringpost(fleet, *arguments)
    assert (code, fleet.opened) == (2, 0)
    assert words in complained


def test_groups_come_from_the_birth_message() -> None:
    birth = {"kind": "patrol_boat", "ring": "perimeter", "domain": "water", "groups": ["north"]}
    assert groups_of(birth) == {"all", "kind.patrol_boat", "ring.perimeter", "domain.water", "group.north"}
    reports = {"b": {"birth": birth}, "a": {"birth": {"kind": "watch_point"}}, "host": {"status": {}}}
    assert Selection(group="group.north").among(reports) == ["b"]
    assert Selection(group="all").among(reports) == ["a", "b"]


def test_errors_point_into_the_technicians_file(tmp_path: Path) -> None:
    file = tmp_path / "patch.yaml"
    file.write_text("# a change\nrules:\n  quiet:\n    after: never\n")
    change = PushedChange.from_patch(str(file))
    errors = [
        {"path": "rules.quiet.after", "message": "is no duration", "line": 31},
        {"path": "sources.cam1", "message": "is gone", "line": 3},
        {"path": "signature", "message": "none"},
    ]
    assert change.error_lines({"errors": errors}) == [
        f"{file}:4: rules.quiet.after: is no duration",
        f"{file}: sources.cam1: is gone",
        f"{file}: signature: none",
    ]


def test_what_would_restart() -> None:
    old = {
        "broker": {"url": "a", "keepalive": 5},
        "sources": {"cam1": {"fps": 2}},
        "rules": {"quiet": {"after": 1}},
    }
    new = {"broker": {"url": "b", "keepalive": 5}, "sources": {"cam1": {"fps": 5}}, "rules": {}}
    paths = list(changed_paths(old, new))
    assert paths == ["broker.url", "rules.quiet", "sources.cam1.fps"]
    assert [line.split(":")[0] for line in restarts(paths)] == ["link", "rule quiet", "source cam1"]


def test_the_diff_says_what_goes_on_and_what_takes_more_signatures() -> None:
    present = """\
schema_version: 1
device: d
kind: watch_point
place: {ring: inner_city, domain: ground, site: s, post: p}
broker: {url: 'mqtt://127.0.0.1:9'}
sources:
  cam1: {kind: camera, url: 'rtsp://192.0.2.1/x', purpose: a test, zones: {rail: [[0, 0], [1, 0], [1, 1]]}}
  board: {kind: sensor_board, port: /dev/ttyUSB0}
rules:
  panic: {kind: switch, source: board, name: panic_button, severity: critical}
"""
    wanted = present.replace("[1, 1]", "[0.9, 1]").replace("USB0", "USB1")
    wanted += "  quiet: {kind: silence, source: board, after: 5s}\n"
    both = read_both(present, wanted)
    assert both is not None
    lines = restarts(["sources.cam1.zones", "sources.board.port", "rules.quiet"], both)
    assert lines == [
        "source cam1: takes the change over without a restart",
        "source board: restarts",
        "rule quiet: starts",
    ]
    without = wanted.replace(
        "  panic: {kind: switch, source: board, name: panic_button, severity: critical}\n", ""
    )
    assert "rules.panic: needs several signatures" in list(permissions(read_both(wanted, without)))
    assert read_both(present, "nothing") is None
    assert list(why_unreadable(wanted, "new.yaml")) == []
    [mistake] = why_unreadable(wanted.replace("after: 5s", "aftr: 5s"), "new.yaml")
    assert mistake.startswith("can't be read here: new.yaml:11: rules.quiet")
    renamed = list(permissions(read_both(present, present.replace("device: d", "device: e"))))
    assert [line for line in renamed if line.startswith("device:")] == [
        "device: can't be changed by push; edit the file at the device"
    ]


def test_the_double_has_the_methods_of_a_connection() -> None:
    for name in ("subscribe", "publish", "event", "acknowledge", "close"):
        assert hasattr(Connection, name)
        assert hasattr(Fleet, name)


def test_a_refusal_from_before_is_not_the_answer_to_the_same_push_again(ringpost: Any) -> None:
    """A refused revision is not used up: the next push has the same number, and may have the same content."""
    (device,) = boats(1)
    device.ends = "rejected"
    fleet = Fleet(device)
    push = ["push", "boat-01", "--patch", PATCH, "--confirm-within", "2s"]
    assert ringpost(fleet, *push)[0] == 1
    device.highest, device.ends = 0, "applied"
    assert ringpost(fleet, *push)[0] == 0
    assert fleet.pushes == ["boat-01", "boat-01"]
