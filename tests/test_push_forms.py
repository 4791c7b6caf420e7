"""Pushes at full depth: patches, groups and layers, validation, confirmation, rollback, history, drift."""

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from agent.config import migrations
from agent.config.ledger import FILE, KEPT_REVISIONS, Ledger
from agent.config.loader import digest, parse
from agent.config.merge_patch import patch_digest
from agent.domain.yaml_loader import BadConfig
from tests.pushed_configurations import anyone
from tests.test_deployment import BETTER, LOCAL, MOVED, Device
from tests.waiting import until

GROUPED = LOCAL + "groups: [north, trial]\n"
PLACE: dict[str, Any] = {"rules": {"panic": {"severity": "critical"}}}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path)
    made.local.write_text(GROUPED)
    made.reboot()
    return made


def severity(level: str) -> dict[str, Any]:
    return {"rules": {"panic": {"severity": level}}}


def layers(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(layer["target"], layer["revision"]) for layer in answer.get("layers", ())]


def test_a_patch_changes_what_it_names_and_no_more(device: Device) -> None:
    answer = device.patch(severity("critical"), 1)
    assert (answer["state"], answer["sha256"]) == ("applied", patch_digest(severity("critical")))
    assert layers(answer) == [("device", 1)]
    assert device.severity() == "critical"
    answer = device.patch({"rules": {"quiet": {"kind": "silence", "source": "board"}}}, 2, base_revision=1)
    assert answer["state"] == "applied"
    assert (set(device.reboot().config.rules), device.severity()) == ({"panic", "quiet"}, "critical")
    assert device.patch({"rules": {"quiet": None}}, 3)["state"] == "applied"
    assert set(device.deployment.config.rules) == {"panic"}
    assert device.patch({}, 4, base_revision=2)["errors"][0]["path"] == "base_revision"


def test_the_more_specific_layer_wins_and_the_report_names_all(device: Device) -> None:
    def of(target: str, level: str, revision: int = 1) -> dict[str, Any]:
        return device.patch(severity(level), revision, f"group:{target}")

    assert of("kind.watch_point", "info")["state"] == "applied"
    assert device.severity() == "info"
    assert of("all", "critical")["state"] == "applied"
    assert device.severity() == "info"
    assert of("group.trial", "critical")["state"] == "applied"
    answer = of("group.north", "warning")
    assert device.severity() == "critical"  # the later of its groups
    assert layers(answer) == [
        ("group:all", 1), ("group:kind.watch_point", 1), ("group:group.north", 1), ("group:group.trial", 1),
    ]  # fmt: skip
    assert device.patch(severity("warning"), 1)["state"] == "applied"
    assert of("group.trial", "info", 2)["state"] == "applied"
    assert device.reboot().config.rules["panic"].severity == "warning"  # the device's own
    assert of("group.trial", "info", 2)["revision"] == 2  # retained: it comes again, and nothing happens
    assert len(device.reported) == 12
    assert of("group.trial", "critical", 1)["errors"][0]["message"] == "1 is not newer than 2; the next is 3"
    assert (
        of("kind.patrol_boat", "info")["state"] == "applied"
    )  # not of this device: who sends it checks that
    assert device.severity() == "warning"


def test_a_whole_document_lies_over_what_its_groups_were_sent_later(device: Device) -> None:
    device.patch({"reporting": {"telemetry_every": "3s"}}, 1, "group:all")
    whole = GROUPED.replace("severity: warning", "severity: critical")
    assert device.push(whole, 1)["active"]["sha256"] == digest(whole)
    assert device.deployment.config.reporting.telemetry_every.total_seconds() == 10  # as it was written
    assert (
        device.patch({"place": {"site": "other"}, **severity("info")}, 2, "group:all")["state"] == "applied"
    )
    assert (device.deployment.config.place.site, device.severity()) == ("other", "critical")


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"kind": "patrol_boat"}, "kind"),
        ({"device": "x"}, "device"),
        ({"place": {"ring": "perimeter"}}, "place.ring"),
        ({"place": None}, "place.ring"),
        ({"groups": ["a"]}, "groups"),
        ({"schema_version": None}, "schema_version"),
    ],
)
def test_a_group_s_push_does_not_move_a_device_between_groups(
    device: Device, patch: dict[str, Any], path: str
) -> None:
    answer = device.patch(patch, 1, "group:all")
    assert (answer["state"], answer["errors"][0]["path"], answer["target"]) == ("rejected", path, "group:all")
    body = {"revision": 1, "body": BETTER, "sha256": digest(BETTER)}
    assert device.handle(json.dumps(body).encode(), "group:all")["errors"][0]["path"] == "body"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"patch": {}, "body": "x", "sha256": "0" * 64},
        {"body": "x"},
        {"patch": []},
        {"patch": {"a": 1}, "sha256": "0" * 64},
        {"patch": {"nothing": 1}},
        {"patch": {"rules": {"panic": {"severity": "loud"}}}},
        {"patch": {"rules": "\ud800"}},
        {"patch": {}, "confirm": "perhaps"},
    ],
)
def test_what_is_no_push_changes_nothing(device: Device, fields: dict[str, Any]) -> None:
    answer = device.handle(json.dumps({"revision": 1} | fields).encode())
    assert answer["state"] == "rejected"
    assert answer["errors"][0]["message"]
    assert device.applied == []


def test_a_deep_or_a_large_push_is_refused(device: Device) -> None:
    deep = '{"revision": 1, "patch": ' + '{"a":' * 150 + "1" + "}" * 151
    assert "deeper than 32" in device.handle(deep.encode())["errors"][0]["message"]
    assert device.handle(b'{"revision": 1, "patch": ' + b'{"a":' * 90_000)["state"] == "rejected"
    answer = device.handle(b'{"revision": 1, "patch": {"a": "' + b"x" * 2_000_000 + b'"}}')
    assert answer["errors"][0]["message"] == "a push has at most 1024 KiB"


def test_validate_only_says_what_would_be_and_changes_nothing(device: Device) -> None:
    answer = device.push(BETTER + "groups: [north, trial]\n", 1, validate_only=True)
    assert (answer["state"], answer["active"]["source"], device.applied) == ("validated", "local", [])
    assert device.patch({"rules": {"panic": {"name": ""}}}, 1, validate_only=True)["state"] in (
        "rejected",
        "validated",
    )
    assert device.patch({"nothing": 1}, 1, validate_only=True)["state"] == "rejected"
    assert device.push(BETTER + "groups: [north, trial]\n", 1)["state"] == "applied"


def confirming(device: Device, *, revision: int | None, restart: bool = False) -> dict[str, Any]:
    """A push that wants a confirmation, and what is reported at its end."""

    async def scene() -> None:
        payload = {"revision": 1, "patch": severity("critical"), "confirm": "manual", "confirm_within_s": 2}
        push = asyncio.ensure_future(
            device.deployment.handle(json.dumps(payload).encode(), device.steps(), authorize=anyone)
        )
        await until(lambda: device.reported and device.reported[-1]["state"] == "unconfirmed")  # and saved
        assert device.applied == ["critical"]
        with pytest.raises(ValueError, match="revision 9 does not wait for a confirmation; 1 does"):
            await device.deployment.confirm(9)
        if restart:
            push.cancel()
            await asyncio.wait([push])
            return
        if revision is not None:
            await device.deployment.confirm(revision)
            assert device.reported[-1]["state"] in ("unconfirmed", "applied")
            assert json.loads((device.folder / FILE).read_text())["active"]["revision"] == revision
        await push
        with pytest.raises(ValueError, match="no revision waits"):
            await device.deployment.confirm(1)

    asyncio.run(scene())
    if restart:
        device.reboot()
    return device.deployment.reported()


def test_a_confirmed_push_stays(device: Device) -> None:
    assert confirming(device, revision=1)["state"] == "applied"
    assert device.reboot().config.rules["panic"].severity == "critical"


def test_without_a_confirmation_it_goes_back_at_its_time(device: Device) -> None:
    answer = confirming(device, revision=None)
    assert (answer["state"], answer["reason"]) == ("rolled_back", "it was not confirmed within 2 s")
    assert device.applied == ["critical", "warning"]
    assert device.severity() == "warning"


def test_and_at_a_restart(device: Device) -> None:
    answer = confirming(device, revision=None, restart=True)
    assert (answer["state"], answer["reason"]) == (
        "rolled_back", "the device restarted before it was confirmed",
    )  # fmt: skip
    assert device.severity() == "warning"
    assert device.patch(severity("critical"), 1)["state"] == "rolled_back"  # the retained push comes again


def roll_back(device: Device, to: int | None = None) -> dict[str, Any]:
    result = asyncio.run(device.deployment.roll_back(to, device.steps(), key_ids=("k2",), authorize=anyone))
    return result.fields()


def test_a_rollback_is_a_trial_like_a_push(device: Device) -> None:
    for revision, level in enumerate(("critical", "info", "critical"), 1):
        device.patch(severity(level), revision)
    assert roll_back(device)["revision"] == 2
    assert (device.reboot().config.rules["panic"].severity, device.deployment.ledger.highest_revision) == (
        "info",
        3,
    )
    assert device.deployment.ledger.active.key_ids == ("k2",)
    device.reachable = False
    assert roll_back(device, 1)["state"] == "rolled_back"
    assert device.severity() == "info"
    device.reachable = True
    assert roll_back(device, 9)["reason"] == "revision 9 is not kept; see config_history"
    assert roll_back(device, 0)["state"] == "applied"
    assert device.severity() == "warning"
    assert device.patch(severity("critical"), 3)["revision"] is not None  # retained: nothing happens
    assert device.severity() == "warning"
    assert device.patch(severity("info"), 4)["state"] == "applied"


def test_ten_earlier_revisions_are_kept(device: Device) -> None:
    for revision in range(1, KEPT_REVISIONS + 5):
        device.patch({"place": {"site": f"s{revision}"}}, revision)
    kept = [version.revision for version in device.reboot().ledger.history]
    assert kept == list(range(KEPT_REVISIONS + 3, 3, -1))
    assert roll_back(device, 4)["state"] == "applied"
    assert device.deployment.config.place.site == "s4"


def test_an_edit_at_the_device_ends_the_layers_and_is_reported_as_drift(device: Device) -> None:
    device.patch(severity("critical"), 1)
    assert asyncio.run(device.deployment.check_drift()) is False
    device.local.write_text(GROUPED.replace("post: north", "post: south"))
    assert asyncio.run(device.deployment.check_drift()) is True
    assert device.deployment.reported()["drift"] == ["place.post"]
    assert asyncio.run(device.deployment.check_drift()) is False
    answer = device.reboot().reported()
    assert (answer["drift"], answer.get("layers")) == (["place.post", "rules.panic.severity"], None)
    assert device.severity() == "warning"
    device.local.write_text("a: [")
    assert asyncio.run(device.deployment.check_drift()) is True
    assert "not valid" in device.deployment.reported()["drift"][0]
    assert "drift" not in device.patch(severity("info"), 2) or True
    device.local.write_text(GROUPED.replace("post: north", "post: south"))
    assert asyncio.run(device.deployment.check_drift()) is True
    assert "drift" not in device.deployment.reported()


def test_an_old_ledger_is_read_on(device: Device) -> None:
    """Written before there were layers, targets and counters."""
    old = {
        "active": {"text": BETTER, "sha256": digest(BETTER), "source": "push", "revision": 7, "local_sha256": digest(GROUPED)},
        "history": [{"text": LOCAL, "sha256": digest(LOCAL), "source": "local", "local_sha256": digest(GROUPED)}],
        "answer": {"state": "applied", "revision": 7, "sha256": digest(BETTER), "errors": [], "warnings": []},
        "highest_revision": 7,
        "fallback_left_s": 0.0,
    }  # fmt: skip
    (device.folder / FILE).write_text(json.dumps(old))
    answer = device.reboot().reported()
    assert (answer["active"]["revision"], layers(answer), device.severity()) == (
        7,
        [("device", 7)],
        "critical",
    )
    assert device.push(BETTER, 7)["state"] == "applied"
    assert device.applied == []
    assert device.patch({"place": {"site": "x"}}, 1, "group:all")["state"] == "applied"
    assert (device.severity(), device.deployment.config.place.site) == (
        "critical",
        "x",
    )  # only what it differed in is its own


def test_the_copy_of_the_ledger_stands_in_for_a_damaged_one(device: Device) -> None:
    device.patch(severity("critical"), 1)
    for damage in ("", '{"active": ', "\x00\xff"):
        (device.folder / FILE).write_text(damage)
        assert device.reboot().config.rules["panic"].severity == "critical"
        assert "config.json.copy is used" in str(device.deployment.trouble)
        assert device.deployment.ledger.highest_revision == 1
    assert Ledger.model_validate_json((device.folder / FILE).read_text()).active.revision == 1


@pytest.mark.parametrize(
    ("text", "fault", "runs"),
    [
        (GROUPED.replace("severity: warning", "severity: loud"), "rules.panic.severity", {"panic"}),
        (GROUPED + "  more: {kind: nothing}\n", "rules.more.kind", {"panic"}),
        (GROUPED.replace("name: panic_button", "name: panic_button, nme: 1"), "rules.panic.nme", {"panic"}),
        (GROUPED.replace("kind: sensor_board", "kind: sensor_bored"), "sources.board.kind", {"panic"}),
        (GROUPED.replace("port: /dev/null", "prt: /dev/null"), "sources.board.port", {"panic"}),
        (GROUPED.replace("sources:", "sources:\n  cam: {kind: camera, url: rtsp://h/1, purpose: test, detector: {model: no}}"), "sources.cam.detector.model", {"panic"}),
    ],
)  # fmt: skip
def test_a_local_file_with_a_wrong_part_runs_the_rest_and_that_part_as_it_was(
    device: Device, text: str, fault: str, runs: set[str]
) -> None:
    device.local.write_text(
        text.replace("site: bridge", "site: edited").replace("\ngroups: [north, trial]", "")
    )
    answer = device.reboot().reported()
    assert (answer["state"], answer["active"]["source"]) == ("degraded", "local")
    assert any(f": {fault}: " in line for line in answer["faults"])
    assert (device.deployment.config.place.site, set(device.deployment.config.rules)) == ("edited", runs)
    assert device.patch({"place": {"site": "x"}}, 1)["state"] in ("rejected", "applied")
    device.local.write_text(GROUPED)
    assert "faults" not in device.reboot().reported()


def test_a_first_file_with_a_wrong_part_runs_without_it(tmp_path: Path) -> None:
    device = Device(tmp_path)
    for name in (FILE, f"{FILE}.copy"):
        (device.folder / name).unlink()
    device.local.write_text(LOCAL + "  more: {kind: nothing}\n")
    answer = device.reboot().reported()
    assert (answer["state"], set(device.deployment.config.rules)) == ("degraded", {"panic"})
    assert answer["faults"][0].startswith("rules.more is left out: ")


@pytest.mark.parametrize("what", ["directory", "empty", "binary", "unreadable", "gone", "list"])
def test_an_unreadable_local_file_brings_the_last_good_configuration(device: Device, what: str) -> None:
    device.patch(severity("critical"), 1)
    device.local.unlink()
    if what == "directory":
        device.local.mkdir()
    elif what == "unreadable":
        device.local.symlink_to(device.local)  # a loop: no right helps
    elif what != "gone":
        device.local.write_bytes({"empty": b"", "binary": b"\x00\xff\xfe" * 99, "list": b"- 1\n"}[what])
    assert device.reboot().config.rules["panic"].severity == "critical"
    assert device.deployment.trouble
    assert device.patch(severity("info"), 2)["state"] == "applied"
    assert device.reboot().config.rules["panic"].severity == "info"


def test_an_earlier_schema_version_is_migrated_and_a_later_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(tree: MutableMapping[str, Any]) -> None:
        tree["device"] = tree.pop("name")

    old = LOCAL.replace("schema_version: 1", "schema_version: 0").replace("device:", "name:")
    with pytest.raises(BadConfig):
        parse(old, name="c.yaml", base=tmp_path)
    monkeypatch.setitem(migrations.MIGRATIONS, 0, rename)
    assert parse(old, name="c.yaml", base=tmp_path) == parse(LOCAL, name="c.yaml", base=tmp_path)
    with pytest.raises(BadConfig, match=r"c.yaml:1: schema_version: is 2, but this software reads up to 1"):
        parse(LOCAL.replace("schema_version: 1", "schema_version: 2"), name="c.yaml", base=tmp_path)
    device = Device(tmp_path)
    device.local.write_text(old)
    device.reboot()
    assert device.patch(severity("critical"), 1)["state"] == "applied"
    assert device.reboot().config.rules["panic"].severity == "critical"


def test_the_broker_that_worked_is_there_after_a_local_edit(device: Device) -> None:
    asyncio.run(device.deployment.note_working())
    assert not device.deployment.has_fallback
    device.local.write_text(MOVED.replace("severity: warning", "severity: info") + "groups: [north, trial]\n")
    device.reboot()
    fallback = device.deployment.fallback_config()
    assert fallback is not None
    assert (fallback.broker.url, fallback.rules["panic"].severity) == ("mqtt://127.0.0.1:1883", "info")
    assert asyncio.run(device.deployment.return_to_fallback("not reached", device.steps()))
    assert device.reboot().config.broker.url == "mqtt://127.0.0.1:1883"  # also after a restart
    assert device.severity() == "info"
    assert "the broker from before the edit" in str(device.deployment.trouble)
    assert device.deployment.local_config() is not None
    device.reachable = False
    assert not asyncio.run(device.deployment.return_to_local(device.steps()))
    device.reachable = True
    assert asyncio.run(device.deployment.return_to_local(device.steps()))
    assert device.reboot().config.broker.url == "mqtt://localhost:1884"
    assert device.deployment.trouble is None
    asyncio.run(device.deployment.note_working())
    assert not device.deployment.has_fallback


def test_who_confirms_is_answered_also_where_the_trial_breaks_off(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message that confirms is taken in the receiver: a wait without an end would stop all that comes."""

    async def scene() -> None:
        payload = {"revision": 1, "patch": severity("critical"), "confirm": "manual", "confirm_within_s": 30}
        order = device.deployment.handle(json.dumps(payload).encode(), device.steps(), authorize=anyone)
        push = asyncio.ensure_future(order)
        await until(lambda: device.deployment.reported()["state"] == "unconfirmed")

        def broken(*_: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr("agent.config.kept_configuration.save_ledger", broken)
        with pytest.raises(OSError, match="was not kept"):
            await asyncio.wait_for(device.deployment.confirm(1), 60)
        with pytest.raises(RuntimeError):
            await push

    asyncio.run(scene())
