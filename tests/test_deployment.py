"""A pushed configuration with injected application: applied, rejected or rolled back, also over a restart."""

import asyncio
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.config.deployment import Deployment
from agent.config.ledger import FALLBACK_S, FILE, MAX_REVISION_STEP
from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.config.startup import folder_of
from agent.config.trial import BrokenSourceError, TrialSteps
from agent.domain.yaml_loader import BadConfig
from agent.trust.changes import Change
from agent.trust.refusal import OrderRefused
from tests.pushed_configurations import anyone
from tests.waiting import until

LOCAL = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  board: {kind: sensor_board, port: /dev/null}
rules:
  panic: {kind: switch, source: board, name: panic_button, severity: warning}
"""
BETTER = LOCAL.replace("severity: warning", "severity: critical")


class Device:
    """A folder with a local file, and what was applied and reported."""

    def __init__(self, folder: Path) -> None:
        self.local = folder / "agent.yaml"
        self.local.write_text(LOCAL)
        self.folder = folder / "data"
        self.applied: list[str] = []
        self.reported: list[dict[str, Any]] = []
        self.reachable = True
        self.unwell = ""
        self.warnings: list[str] = []
        self.deployment = Deployment.boot(self.local, self.folder)

    def reboot(self) -> Deployment:
        self.deployment = Deployment.boot(self.local, self.folder)
        return self.deployment

    def severity(self) -> str:
        return self.deployment.config.rules["panic"].severity

    def push(self, body: str, revision: int, **more: Any) -> dict[str, Any]:
        """Pushes and gives what is reported at the end."""
        payload = {"revision": revision, "sha256": digest(body), "body": body, "confirm_within_s": 2} | more
        return self.handle(json.dumps(payload).encode())

    def patch(self, patch: dict[str, Any], revision: int, target: str = "", **more: Any) -> dict[str, Any]:
        """Pushes a merge patch and gives what is reported at the end."""
        payload = {"revision": revision, "patch": patch, "confirm_within_s": 2} | more
        return self.handle(json.dumps(payload).encode(), target)

    def steps(self) -> TrialSteps:
        async def apply(config: Config) -> None:
            self.applied.append(config.rules["panic"].severity)

        async def proved() -> None:
            if not self.reachable:
                raise TimeoutError

        async def probe(_within_s: float) -> list[str]:
            if self.unwell:
                raise BrokenSourceError(self.unwell)
            return self.warnings

        async def report() -> None:
            self.reported.append(self.deployment.reported())

        return TrialSteps(apply, proved, report, probe)

    def handle(self, payload: bytes, target: str = "") -> dict[str, Any]:
        asyncio.run(self.deployment.handle(payload, self.steps(), target=target, authorize=anyone))
        return self.deployment.reported()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_a_good_push_is_applied_and_survives_a_restart(device: Device) -> None:
    answer = device.push(BETTER, 1)
    assert (answer["state"], answer["revision"], answer["active"]["revision"]) == ("applied", 1, 1)
    assert [report["state"] for report in device.reported] == ["pending", "applied"]
    assert device.applied == ["critical"]
    device.reboot()
    assert device.severity() == "critical"
    assert device.deployment.reported()["active"] == {
        "revision": 1,
        "sha256": digest(BETTER),
        "source": "push",
    }


def test_a_push_is_read_off_the_loop(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes seconds, in which serial lines would overflow."""
    threads: list[threading.Thread] = []

    def read(*given: Any, **named: Any) -> Config:
        threads.append(threading.current_thread())
        return parse(*given, **named)

    monkeypatch.setattr("agent.config.push_check.parse", read)
    assert device.push(BETTER, 1)["state"] == "applied"
    assert threads != []
    assert threading.main_thread() not in threads


def test_the_same_push_again_does_nothing(device: Device) -> None:
    device.push(BETTER, 1)
    before = len(device.reported)
    assert device.push(BETTER, 1)["state"] == "applied"
    assert device.applied == ["critical"]
    assert len(device.reported) == before


CARD = (Path(__file__).resolve().parents[1] / "models" / "cards" / "nanodet-g.yaml").read_text()
SEES = LOCAL.replace(
    "  board:", "  cam1: {kind: camera, url: rtsp://192.0.2.1/1, purpose: a test}\n  board:"
) + ("  there: {kind: zone_enter, camera: cam1, zone: rail}\n")
SEES = SEES.replace(
    "a test}", "a test, zones: {rail: [[0, 0], [1, 0], [1, 1]]}, detector: {model: mine.yaml}}"
)


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        ("zone: rail", "zone: rail, labels: [persn]", "rules.there.labels", "did you mean 'person'?"),
        ("model: mine.yaml", "model: yolo11n", "sources.cam1.detector.model", "no model 'yolo11n'"),
        ("model: mine.yaml", "model: my.yaml", "sources.cam1.detector.model", "my.yaml: No such file"),
        ("model: mine.yaml", "labels: [persn]", "sources.cam1.detector.labels", "did you mean 'person'?"),
    ],
)
def test_a_push_of_what_no_model_sees_is_rejected_with_its_path_and_changes_nothing(
    old: str, new: str, path: str, said: str, device: Device, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(CARD)
    device.push(SEES, 1)
    device.applied.clear()
    answer = device.push(SEES.replace(old, new), 2)
    assert (answer["state"], answer["active"]["revision"]) == ("rejected", 1)
    assert [error["path"] for error in answer["errors"]][:1] == [path]
    assert said in answer["errors"][0]["message"]
    assert answer["errors"][0]["line"] in (7, 11)
    assert device.applied == []


def test_a_device_whose_card_is_gone_starts_with_what_it_ran_and_says_so(
    device: Device, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(CARD)
    assert device.push(SEES, 1)["state"] == "applied"
    (tmp_path / "mine.yaml").unlink()
    assert device.reboot().reported()["active"]["revision"] == 1
    assert "sources.cam1.detector.model: " in device.deployment.reported()["trouble"]
    device.local.write_text(SEES.replace("severity: warning", "severity: info"))
    answer = device.reboot().reported()  # the rest of an edited file runs
    assert (answer["state"], answer["active"]["source"], device.severity()) == ("degraded", "local", "info")
    assert [fault.partition(":")[0] for fault in answer["faults"]] == [
        "sources.cam1 is left out", "rules.there is left out",
    ]  # fmt: skip
    (tmp_path / "mine.yaml").write_text(CARD)
    assert device.reboot().reported()["active"]["source"] == "local"
    assert "faults" not in device.deployment.reported()
    assert "trouble" not in device.deployment.reported()


REJECTED = [
    ("typo", LOCAL.replace("severity", "severty"), {}, "rules.panic.severty", "unknown key; did you mean 'severity'?"),
    ("no yaml", "a: [", {}, "body", "expected the node content"),
    ("another device", LOCAL.replace("bridge-07", "bridge-08"), {}, "device", "is 'bridge-08', but this device is 'bridge-07'"),
    ("another data folder", LOCAL + "data: {directory: /elsewhere}\n", {}, "data.directory", "can't be changed by push"),
    ("who may show people", LOCAL + "privacy: {rescue_key: {file: /etc/os-release}}\n", {}, "privacy", "can't be changed by push"),
    ("wrong sha", BETTER, {"sha256": "0" * 64}, "sha256", "does not match the body"),
    ("other text", BETTER, {"base_sha256": "0" * 64}, "base_sha256", "made from another configuration"),
    ("other base", BETTER, {"base_revision": 4}, "base_revision", "was made for revision 4, but 0 is in force"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "more", "path", "message"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_a_bad_push_is_rejected_with_its_path(
    device: Device, body: str, more: dict[str, Any], path: str, message: str
) -> None:
    answer = device.push(body, 1, **more)
    assert answer["state"] == "rejected"
    assert answer["errors"][0]["path"] == path
    assert message in answer["errors"][0]["message"]
    assert device.applied == []
    assert answer["active"]["source"] == "local"
    assert device.reboot().config.rules["panic"].severity == "warning"


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b'{"revision": "x"}', b'{"revision": 0, "sha256": "", "body": ""}', b"\xff\xfe"],
)
def test_what_is_no_push_is_rejected(device: Device, payload: bytes) -> None:
    assert device.handle(payload)["state"] == "rejected"
    assert device.applied == []


WITH_PASSWORD = LOCAL.replace(
    '"mqtt://127.0.0.1:1883"', '"mqtt://127.0.0.1:1883", username: u, password: {file: secret}'
)
THIEF = WITH_PASSWORD.replace(":1883", ":1884")


def test_a_push_sends_a_secret_nowhere_but_where_the_file_at_the_device_does(device: Device) -> None:
    """Whoever may push could else have any file that the agent can read, sent to a broker of his own."""
    device.local.write_text(WITH_PASSWORD)
    device.reboot()
    for body in (THIEF, WITH_PASSWORD.replace("secret", "/etc/shadow")):
        answer = device.push(body, 1)
        assert (answer["state"], answer["errors"][0]["path"]) == ("rejected", "broker.password")
    assert device.push(WITH_PASSWORD.replace("warning", "critical"), 1)["state"] == "applied"
    # The file at the device counts, not what was pushed; a broken one as it last was.
    device.push(LOCAL, 2)
    device.local.write_text("a: [")
    device.reboot()
    assert device.push(THIEF, 3)["state"] == "rejected"
    assert device.push(WITH_PASSWORD, 3)["state"] == "applied"
    device.local.write_text(THIEF)
    device.reboot()
    assert device.push(THIEF + "# again\n", 4)["state"] == "applied"


def test_what_was_in_force_before_this_check_may_be_pushed_on(device: Device) -> None:
    """A device that was moved to another broker by push, before that needed an edit of its file."""
    device.local.write_text(WITH_PASSWORD)
    device.reboot()
    moved = WITH_PASSWORD.replace("127.0.0.1", "localhost")
    ledger = json.loads((device.folder / FILE).read_text())
    ledger["active"] |= {"text": moved, "sha256": digest(moved), "source": "push", "revision": 1}
    (device.folder / FILE).write_text(json.dumps(ledger | {"highest_revision": 1}))
    assert device.reboot().config.broker.url == "mqtt://localhost:1883"
    assert device.push(moved.replace("warning", "critical"), 2)["state"] == "applied"
    assert device.push(THIEF, 3)["state"] == "rejected"
    device.push(WITH_PASSWORD, 3)
    assert device.push(moved, 4)["state"] == "rejected"  # what was left is left


def test_an_older_revision_is_rejected(device: Device) -> None:
    device.push(BETTER, 5)
    answer = device.push(LOCAL, 4)
    assert (answer["state"], answer["errors"][0]["message"]) == (
        "rejected",
        "4 is not newer than 5; the next is 6",
    )
    assert device.push(LOCAL, 6)["state"] == "applied"


def test_what_cannot_reach_the_broker_is_rolled_back(device: Device) -> None:
    device.reachable = False
    answer = device.push(BETTER, 1)
    assert (answer["state"], answer["active"]["source"]) == ("rolled_back", "local")
    assert answer["reason"] == "the broker was not reached within 2 s"
    assert device.applied == ["critical", "warning"]
    device.reboot()
    assert device.severity() == "warning"
    device.reachable = True
    assert device.push(BETTER, 1)["state"] == "rolled_back"  # the retained push comes again: it was answered
    assert device.push(BETTER, 2)["state"] == "applied"


def test_a_bug_while_applying_is_rolled_back(device: Device) -> None:
    async def scene() -> None:
        async def apply(config: Config) -> None:
            if config.rules["panic"].severity == "critical":
                raise KeyError("a bug")

        async def nothing() -> None:
            return

        payload = json.dumps({"revision": 1, "sha256": digest(BETTER), "body": BETTER}).encode()
        await device.deployment.handle(payload, TrialSteps(apply, nothing, nothing), authorize=anyone)

    asyncio.run(scene())
    assert device.deployment.reported()["state"] == "rolled_back"
    assert "KeyError" in device.deployment.reported()["reason"]


def test_power_lost_during_a_trial_brings_the_old_one_back(device: Device) -> None:
    async def scene() -> None:
        async def cut(*_: Any) -> None:
            raise SystemExit  # the power goes

        async def nothing() -> None:
            return

        payload = json.dumps({"revision": 1, "sha256": digest(BETTER), "body": BETTER}).encode()
        await device.deployment.handle(payload, TrialSteps(cut, nothing, nothing), authorize=anyone)

    with pytest.raises(SystemExit):
        asyncio.run(scene())
    device.reboot()
    assert device.severity() == "warning"
    assert device.deployment.reported()["state"] == "rolled_back"
    assert "restarted" in device.deployment.reported()["reason"]
    # The trial is over with that: what is answered next is not replaced by it at the start after.
    answer = device.push("device: [", 2)
    assert answer["state"] == "rejected"
    assert device.reboot().reported() == answer


def test_a_local_edit_wins_over_an_older_push(device: Device) -> None:
    device.push(BETTER, 1)
    device.local.write_text(LOCAL.replace("severity: warning", "severity: info"))
    device.reboot()
    assert device.severity() == "info"
    assert device.deployment.reported()["active"]["source"] == "local"


def test_a_broken_local_file_does_not_silence_a_device_that_ran(device: Device) -> None:
    device.local.write_text("device: [")
    device.reboot()
    assert device.severity() == "warning"
    assert "agent.yaml:1" in str(device.deployment.trouble)
    device.local.unlink()
    device.reboot()
    assert device.severity() == "warning"


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        LOCAL.replace("device:", "devise:"),
        LOCAL.replace("severity: warning", "severity: [warning"),
        LOCAL.replace("kind: switch", "kind: swich"),
    ],
)
@pytest.mark.parametrize("data", ["data: {directory: kept, max_mb: 64}\n", 'data:\n  directory: "kept"\n'])
def test_a_broken_local_file_still_says_where_the_device_keeps_what_it_ran(
    tmp_path: Path, broken: str, data: str
) -> None:
    """The service names no folder: a slip in the file would end the device for good."""
    local = tmp_path / "agent.yaml"
    local.write_text(data + LOCAL)
    Deployment.boot(local, folder_of(local) / "config")
    local.write_text(data + broken)
    assert folder_of(local) == tmp_path / "kept"
    assert Deployment.boot(local, folder_of(local) / "config").config.device == "bridge-07"
    (tmp_path / "kept/config" / FILE).unlink()  # it never ran
    if "swich" in broken:
        assert folder_of(local) == tmp_path / "kept"  # the rest of it can run
        return
    with pytest.raises(BadConfig):
        folder_of(local)


def test_a_broken_first_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("device: [")
    with pytest.raises(BadConfig):
        Deployment.boot(file, tmp_path / "data")


def test_a_ledger_that_can_not_be_read_ends_nobody(device: Device) -> None:
    """A bad sector, or one that root wrote when a technician tried it by hand."""
    ledger = device.folder / FILE
    ledger.unlink()
    ledger.mkdir()
    device.reboot()
    assert device.severity() == "warning"
    assert "Is a directory" in device.deployment.reported()["trouble"]
    device.reboot()
    assert "trouble" not in device.deployment.reported()


def test_a_damaged_ledger_is_set_aside(device: Device) -> None:
    ledger = device.folder / FILE
    ledger.write_text('{"active": ')
    device.reboot()
    assert device.severity() == "warning"
    assert ledger.with_suffix(".damaged").read_text() == '{"active": '


def test_at_every_moment_the_file_holds_a_good_configuration(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write fails, for each n: after a restart the device runs the old configuration or the new."""
    import agent.config.ledger as module

    write = module.write_durably
    for failing in range(4):
        count = 0

        def maybe(path: Path, data: bytes, failing: int = failing) -> None:
            nonlocal count
            count += 1
            if count - 1 == failing:
                raise OSError("no space left on device")
            write(path, data)

        monkeypatch.setattr(module, "write_durably", maybe)
        other = BETTER if failing % 2 else LOCAL.replace("severity: warning", "severity: info")
        with suppress(OSError):
            device.push(other, 10 + failing)
        monkeypatch.setattr(module, "write_durably", write)
        device.reboot()
        assert device.severity() in ("warning", "critical", "info")


def test_on_a_disk_that_can_not_be_written_it_runs_and_refuses_a_push(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _data: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("agent.config.ledger.write_durably", refuse)
    deployment = device.reboot()
    assert "Read-only file system" in (deployment.trouble or "")
    answer = device.push(BETTER, 1)
    assert answer["state"] == "rejected"
    assert "can't be stored on this disk" in answer["errors"][0]["message"]
    assert device.severity() == "warning"
    assert device.applied == []
    monkeypatch.undo()
    assert device.push(BETTER, 2)["state"] == "applied"


def test_a_ledger_that_the_disk_refused_is_written_once_it_can_be(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by tests/test_state_machine.py, seed 24: the device was degraded until the next push."""

    def refuse(_path: Path, _data: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("agent.config.ledger.write_durably", refuse)
    deployment = device.reboot()
    assert not asyncio.run(deployment.save_refused())
    assert "Input/output error" in (deployment.trouble or "")
    monkeypatch.undo()
    assert asyncio.run(deployment.save_refused())
    assert deployment.trouble is None
    assert not asyncio.run(deployment.save_refused())


def test_the_same_revision_with_another_body_is_refused(device: Device) -> None:
    """Two technicians, each with a revision 5: the second must hear that it is not in force."""
    assert device.push(BETTER, 5)["state"] == "applied"
    answer = device.push(LOCAL, 5)
    assert (answer["state"], answer["sha256"]) == ("rejected", digest(LOCAL))
    assert answer["errors"][0]["message"] == "5 is not newer than 5; the next is 6"
    assert device.severity() == "critical"
    assert device.applied == ["critical"]


def test_what_was_rolled_back_and_why_is_kept_over_a_restart(device: Device) -> None:
    device.reachable = False
    answer = device.push(BETTER, 1)
    assert device.deployment.ledger.trial is None
    assert "trial" not in json.loads((device.folder / FILE).read_text())
    assert device.reboot().reported() == answer
    assert answer["reason"] == "the broker was not reached within 2 s"


@pytest.mark.parametrize("revision", [2**53 - 1, MAX_REVISION_STEP + 1])
def test_no_revision_locks_the_door(device: Device, revision: int) -> None:
    answer = device.push(BETTER, revision)
    assert (answer["state"], answer["highest_revision"]) == ("rejected", 0)
    assert answer["errors"][0]["message"] == f"{revision} is far above 0; the next is 1"
    assert device.push(BETTER, 1)["state"] == "applied"
    assert device.push(LOCAL, 1 + MAX_REVISION_STEP)["state"] == "applied"
    assert device.push(BETTER, 2 + MAX_REVISION_STEP)["state"] == "applied"


def test_a_door_that_was_locked_before_is_opened_by_an_edit_at_the_device(device: Device) -> None:
    ledger = json.loads((device.folder / FILE).read_text())
    (device.folder / FILE).write_text(json.dumps(ledger | {"highest_revision": 2**53 - 1}))
    device.local.write_text(LOCAL + "# edited\n")
    device.reboot()
    assert device.push(BETTER, 1)["state"] == "applied"


def test_a_push_that_takes_too_long_is_answered_and_does_not_stop_the_next(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def hang(*_: Any, **__: Any) -> Config:
        free.wait()
        raise AssertionError

    monkeypatch.setattr("agent.config.push_check.CHECK_WITHIN_S", 0.05)
    monkeypatch.setattr("agent.config.push_check.parse", hang)
    answer = device.push(BETTER, 1)
    monkeypatch.undo()
    assert (answer["state"], answer["errors"][0]["message"]) == (
        "rejected", "took longer than 0.05 s to read and check",
    )  # fmt: skip
    assert device.push(BETTER, 1, confirm_within_s=3)["state"] == "rejected"  # as before: it was answered
    assert device.push(BETTER + "#\n", 1)["state"] == "applied"
    free.set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        LOCAL + "".join(f"  r{number}: {{kind: silence, source: board}}\n" for number in range(5000)),
        LOCAL.replace("rules:", "".join(f"  s{n}: {{kind: nmea, port: 'tcp://h:{n + 1}'}}\n" for n in range(5228)) + "rules:"),
        LOCAL.replace("rules:", "".join(f"  s{n}: {{kind: nmea, port: 'tcp://192.0.2.1:{n + 1}'}}\n" for n in range(65)) + "rules:"),
        LOCAL + "holidays: [" + "1," * 110_000 + "1]\n",
        LOCAL + "holidays: [" + "[]," * 80_000 + "1]\n",
    ],
)  # fmt: skip
def test_a_push_of_thousands_of_parts_is_refused(
    device: Device, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its size and not by the time that a busy machine takes for it."""
    monkeypatch.setattr("agent.config.push_check.CHECK_WITHIN_S", 120.0)
    answer = device.push(body, 1)
    assert answer["state"] == "rejected"
    said = answer["errors"][0]["message"]
    assert "more than 20000 keys" in said or "at most" in said


def test_what_worked_before_and_does_not_under_it_is_rolled_back(device: Device) -> None:
    device.unwell = "board: silent under it, and spoke before"
    answer = device.push(BETTER, 1)
    assert (answer["state"], answer["reason"]) == ("rolled_back", device.unwell)
    assert device.applied == ["critical", "warning"]


def test_what_is_new_and_does_not_work_yet_is_warned_of(device: Device) -> None:
    device.warnings = ["cam2: refused: nothing listens there"]
    answer = device.push(BETTER, 1)
    assert (answer["state"], answer["warnings"]) == ("applied", device.warnings)
    assert device.reboot().reported()["warnings"] == device.warnings


MOVED = LOCAL.replace("127.0.0.1:1883", "localhost:1884")


def back(device: Device, *, reachable: bool = True) -> bool:
    async def scene() -> bool:
        async def apply(config: Config) -> None:
            device.applied.append(config.broker.url)

        async def proved() -> None:
            if not reachable:
                raise TimeoutError

        async def report() -> None:
            device.reported.append(device.deployment.reported())

        return await device.deployment.return_to_fallback(
            "no receipts there", TrialSteps(apply, proved, report)
        )

    return asyncio.run(scene())


def test_the_broker_before_stays_a_way_back(device: Device) -> None:
    assert device.push(BETTER, 1)["state"] == "applied"
    assert device.deployment.fallback_config() is None  # the same broker: nothing to go back to
    assert device.push(MOVED, 2)["state"] == "applied"
    assert device.push(MOVED + "# again\n", 3)["state"] == "applied"
    device.reboot()
    before = device.deployment.fallback_config()
    assert before is not None
    assert before.broker.url == "mqtt://127.0.0.1:1883"
    device.applied.clear()
    assert not back(device, reachable=False)  # nor is that one there: what is in force goes on
    assert device.applied == ["mqtt://127.0.0.1:1883", "mqtt://localhost:1884"]
    assert device.deployment.reported()["state"] == "applied"
    assert back(device)
    answer = device.deployment.reported()
    assert (answer["state"], answer["revision"], answer["reason"]) == ("rolled_back", 3, "no receipts there")
    assert answer["active"]["revision"] == 1
    assert device.reboot().config.broker.url == "mqtt://127.0.0.1:1883"
    assert device.severity() == "critical"
    assert device.deployment.fallback_config() is None
    assert device.push(MOVED + "# again\n", 3)["state"] == "rolled_back"  # the retained push comes again


def test_a_broker_that_gives_no_receipts_undoes_no_blackout(device: Device) -> None:
    """Whoever holds the new broker only has to be silent; the privacy officer's push stays in force."""
    camera = "  cam: {kind: camera, url: 'rtsp://192.0.2.9/1', purpose: rescue}\n"
    moved = MOVED.replace("sources:\n", f"sources:\n{camera}", 1)
    masked = moved.replace("rescue}", "rescue, blackout: [[[0, 0], [1, 0], [1, 1]]]}")
    device.push(LOCAL.replace("sources:\n", f"sources:\n{camera}", 1), 1)
    assert device.push(moved, 2)["state"] == "applied"
    assert device.push(masked, 3)["state"] == "applied"
    assert back(device)
    config = device.reboot().config
    assert (config.broker.url, len(config.cameras()["cam"].blackout)) == ("mqtt://127.0.0.1:1883", 1)
    assert device.deployment.reported()["state"] == "rolled_back"
    assert device.push(masked, 3)["state"] == "rolled_back"  # the retained push comes again
    assert device.push(moved.replace("localhost:1884", "127.0.0.1:1883"), 4)["state"] == "applied"


def test_the_way_back_ends_after_a_week_of_running(device: Device) -> None:
    device.push(MOVED, 1)
    asyncio.run(device.deployment.count_running_time(FALLBACK_S / 2))
    assert device.reboot().fallback_config() is not None
    asyncio.run(device.deployment.count_running_time(FALLBACK_S / 2 + 1))
    assert device.deployment.fallback_config() is None
    assert device.reboot().fallback_config() is None


def test_an_edit_at_the_device_ends_the_way_back(device: Device) -> None:
    device.push(MOVED, 1)
    device.local.write_text(LOCAL + "# edited\n")
    assert device.reboot().fallback_config() is None


def test_a_push_weakens_nothing(device: Device) -> None:
    """The limits of `agent.config.policy_table` are held, whoever pushes."""
    answer = device.push(LOCAL.replace("broker: {", "broker: {insecure: true, "), 1)
    assert (answer["state"], answer["errors"][0]["path"]) == ("rejected", "broker.insecure")
    assert "edit the file at the device" in answer["errors"][0]["message"]


def test_a_push_whose_signatures_do_not_suffice_is_refused_with_the_path(device: Device) -> None:
    asked: list[Change] = []

    def authorize(changes: Sequence[Change]) -> None:
        asked.extend(changes)
        raise OrderRefused(changes[0].path, "needs two signatures")

    payload = {"revision": 1, "sha256": digest(BETTER), "body": BETTER}
    push = device.deployment.handle(
        json.dumps(payload).encode(), TrialSteps(_nothing, _nothing, _nothing), authorize=authorize
    )
    asyncio.run(push)
    answer = device.deployment.reported()
    assert asked == [Change("rules.panic.severity", "free")]
    assert (answer["state"], answer["errors"]) == (
        "rejected",
        [{"path": "rules.panic.severity", "message": "needs two signatures", "line": 1}],
    )


def test_a_push_opens_no_file_elsewhere(device: Device, tmp_path: Path) -> None:
    """The parser is told which files a push may name: its errors would say whether others are there."""
    (tmp_path.parent / "outside.json").write_text("{}")
    routed = LOCAL + "  way: {kind: route, source: gnss, path: ../outside.json}\n"
    routed = routed.replace("rules:", "  gnss: {kind: nmea, port: /dev/ttyUSB0}\nrules:")
    answer = device.push(routed, 1)
    assert (answer["state"], answer["errors"][0]["path"]) == ("rejected", "rules.way.path")
    assert "in the folder of the file at the device" in answer["errors"][0]["message"]


async def _wait_for_ever(*_: object) -> None:
    await asyncio.Event().wait()


async def _nothing(*_: object) -> None:
    return


@pytest.mark.parametrize("where", ["proved", "probe"])
def test_a_trial_does_not_hold_up_the_next_push_for_as_long_as_it_was_given(
    device: Device, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """An hour for a source that never speaks would be an hour in which no push is answered."""
    monkeypatch.setattr("agent.config.trial.MIN_TRIAL_S", 0.2)

    async def scene() -> None:
        now_s, waiting = asyncio.get_running_loop().time, list[float]()

        async def wait_for_ever(*_: object) -> None:
            waiting.append(now_s())
            await asyncio.Event().wait()

        waits: dict[str, Any] = {"proved": _nothing, "probe": _nothing} | {where: wait_for_ever}
        payload = {"revision": 1, "sha256": digest(BETTER), "body": BETTER, "confirm_within_s": 3600}
        first = asyncio.ensure_future(
            device.deployment.handle(
                json.dumps(payload).encode(),
                TrialSteps(_nothing, waits["proved"], _nothing, waits["probe"]),
                authorize=anyone,
            )
        )
        for junk in (
            b"{",
            b"\xff",
            json.dumps(payload).encode(),
            json.dumps(payload | {"revision": 0}).encode(),
        ):
            device.deployment.on_newer_push(junk)  # nothing on trial yet
        await until(lambda: waiting and now_s() > waiting[0] + 0.2)
        for junk in (
            b"{",
            b"\xff",
            json.dumps(payload).encode(),
            json.dumps(payload | {"revision": 0}).encode(),
        ):
            device.deployment.on_newer_push(junk)  # the same again at a new connection, or none
        for _ in range(9):
            await asyncio.sleep(0)
        assert not first.done()
        device.deployment.on_newer_push(json.dumps(payload | {"revision": 2}).encode())
        await asyncio.wait_for(first, 60)

    asyncio.run(scene())
    answer = device.deployment.reported()
    assert (answer["state"], answer["reason"]) == (
        "rolled_back",
        "revision 2 arrived before it was proved",
    )
    assert device.push(BETTER, 2)["state"] == "applied"


def test_a_trial_of_another_broker_keeps_alerts_from_the_centre_for_minutes_only(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.config.deployment.MAX_BROKER_TRIAL_S", 0.2)

    async def scene() -> None:
        body = BETTER.replace("1883", "1884")
        payload = {"revision": 1, "sha256": digest(body), "body": body, "confirm_within_s": 3600}
        pushed = device.deployment.handle(
            json.dumps(payload).encode(), TrialSteps(_nothing, _wait_for_ever, _nothing), authorize=anyone
        )
        await asyncio.wait_for(pushed, 60)

    asyncio.run(scene())
    assert device.deployment.reported()["reason"] == "the broker was not reached within 0.2 s"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sha256", "body"),
    [
        ("x" * 250_000, BETTER),
        (digest(long := BETTER.replace("source: board", "source: " + "b" * 200_000)), long),
        (digest(long := BETTER.replace("panic:", "p" * 900 + ":")), long),
        (digest(long := "".join((BETTER, *(f"  {'r' * 28}{n}: {{kind: no}}\n" for n in range(250))))), long),
    ],
    ids=["sha256", "value", "key", "many"],
)  # fmt: skip
def test_an_answer_is_short_whatever_was_pushed(device: Device, sha256: str, body: str) -> None:
    """It is retained, and goes up at each connection, over whatever link."""
    payload = {"revision": 1, "sha256": sha256, "body": body}
    answer = device.handle(json.dumps(payload).encode())
    assert answer["state"] == "rejected"
    assert len(json.dumps(answer)) < 8000


def test_the_ledger_remembers_signers_and_counters_and_no_order_is_carried_out_twice(device: Device) -> None:
    def ordered(body: str, revision: int, counter: int) -> str:
        payload = {"revision": revision, "sha256": digest(body), "body": body, "confirm_within_s": 2}
        steps = TrialSteps(_nothing, _nothing, _nothing)
        push = device.deployment.handle(
            json.dumps(payload).encode(),
            steps,
            key_ids=("k1",),
            counters={"k1 push bridge-07": counter},
            authorize=anyone,
        )
        asyncio.run(push)
        return str(device.deployment.reported()["state"])

    assert ordered(BETTER, 1, 7) == "applied"
    assert ordered("a: [", 2, 9) == "rejected"
    assert device.reboot().ledger.counters == {"k1 push bridge-07": 9}
    assert device.deployment.ledger.active.key_ids == ("k1",)
    assert ordered(LOCAL, 3, 9) == "rejected"  # a replay: the result of the order stands
    assert device.severity() == "critical"
    assert ordered(LOCAL, 3, 10) == "applied"


@pytest.mark.parametrize(
    "payload", [b"{", b"[]", b"null", b"\xff", b'{"revision": 1}', b'{"revision": 1, "sha256": ""}']
)
def test_each_refusal_has_a_path_and_a_reason(device: Device, payload: bytes) -> None:
    errors = device.handle(payload)["errors"]
    assert errors
    assert all(error["path"] and error["message"] for error in errors)
