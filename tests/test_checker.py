"""The checker: a good run has no finding, and each invariant is broken by exactly one small history."""

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import Message, encode
from agent.outbox.outbox import Outbox
from simulators.checker.check import INVARIANTS, check
from simulators.checker.delivery import is_repeat
from simulators.checker.disks import note_disks
from simulators.checker.finding import Limits
from simulators.checker.places import distance_m
from simulators.checker.sequence import spans
from simulators.run_record import RunRecord

POST = "post-1"
CONFIG: dict[str, Any] = {
    "device": POST,
    "place": {"lat": 32.1162, "lon": 118.7404},
    "rules": {"panic": {"kind": "switch", "source": "board", "name": "panic_button"}},
}
END_S = 400.0


class Run:
    """A record made by hand, of one device that is pressed once and loses its cable once."""

    def __init__(self) -> None:
        self.second = 0.0
        self.record = RunRecord(lambda: self.second)
        self.seqs: dict[str, int] = {}
        self.common(0, "began", at="2026-11-28T06:00:00Z")
        self.event(0, "started", part="device")
        self.status(1, "online")
        self.fault(20, 80, "line.unplug", source="board")
        self.status(25, "degraded", ["board: silent for 5 s"])
        self.status(82, "online")
        self.event(100, "pressed", press="board.panic_button")
        self.alert(100, "new")
        self.alert(103, "end")
        for number in range(30):
            self.send(110 + number, "position", lat=32.1162, lon=118.7404, error_m=2.5, trust="good")
        self.send(300, "health", numbers=[{"lane": "alert", "epoch": "e1", "last": 2}])
        self.finish()

    def event(self, t: float, event: str, device: str | None = POST, **fields: Any) -> None:
        self.second = t
        self.record.event(event, device, **fields)

    def common(self, t: float, event: str, **fields: Any) -> None:
        self.event(t, event, None, **fields)

    def fault(self, begin_s: float, end_s: float, kind: str, number: int = 0, **fields: Any) -> None:
        for t, event in ((begin_s, "began"), (end_s, "ended"), (end_s, "effect")):
            self.event(t, f"fault_{event}", fault=number, kind=kind, **fields)

    def send(self, t: float, topic: str, **fields: Any) -> dict[str, Any]:
        self.second = t
        lane = {"health": "status"}.get(topic, topic)
        self.seqs[lane] = self.seqs.get(lane, 0) + 1
        body = {
            "id": f"{lane}-{self.seqs[lane]}", "device": POST, "epoch": "e1", "seq": self.seqs[lane],
            "at": f"2026-11-28T06:{int(t) // 60:02}:{int(t) % 60:02}Z", "simulated": True,
            "clock": {"source": "ntp", "error_ms": 5}, **fields,
        }  # fmt: skip
        self.record.message(POST, topic, body)
        return body

    def status(self, t: float, state: str, reasons: list[str] | None = None) -> None:
        self.send(t, "status", state=state, reasons=reasons or [])

    def alert(self, t: float, phase: str, alert_id: str = "a1", rule: str = "panic", **fields: Any) -> None:
        alert = {"alert_id": alert_id, "phase": phase, "rule": rule, "source": "board", "since": f"{int(t)}"}
        body = self.send(t, "alert", alert=alert | fields)
        self.event(t, "accepted", id=body["id"], alert_id=alert_id, phase=phase, rule=rule)
        self.event(t, "committed", id=body["id"])
        self.event(t, "receipt", ids=[body["id"]])

    def finish(self) -> None:
        """Both disks at the end: all is at the centre."""
        stored = [
            {
                "lane": "alert",
                "epoch": one["body"]["epoch"],
                "seq": one["body"]["seq"],
                "id": one["body"]["id"],
            }
            for one in self.record.messages
            if one["topic"] == "alert"
        ]
        self.event(END_S, "on_disk", messages=[])
        self.event(END_S, "at_centre", messages=stored)

    def last(self, event: str) -> dict[str, Any]:
        return next(one for one in reversed(self.record.events) if one["event"] == event)

    def again(self) -> None:
        """Both disks anew, after a change of the messages."""
        self.record.events = [
            one for one in self.record.events if one["event"] not in ("on_disk", "at_centre")
        ]
        self.finish()


def findings(run: Run, **more: Any) -> set[str]:
    return {one.invariant for one in check(run.record, {POST: CONFIG}, **more)}


def test_a_good_run_has_no_finding() -> None:
    assert check(Run().record, {POST: CONFIG}) == []


def lose(run: Run) -> None:
    """The end of an alert is nowhere."""
    run.last("at_centre")["messages"].pop()


def receipt_first(run: Run) -> None:
    committed = next(one for one in run.record.events if one["event"] == "committed")
    run.record.events.remove(committed)


def receipt_of_a_result_first(run: Run) -> None:
    body = run.send(120, "command/result", command="ping", state="succeeded")
    run.event(120, "receipt", ids=[body["id"]])
    run.event(121, "committed", id=body["id"])
    run.again()


def lost_receipt(run: Run) -> None:
    run.record.events.remove(next(one for one in run.record.events if one["event"] == "receipt"))


def end_only_at_the_centre(run: Run) -> None:
    end = next(
        one
        for one in run.record.messages
        if one["topic"] == "alert" and one["body"]["alert"]["phase"] == "end"
    )
    run.record.messages.remove(end)


def never_sent(run: Run) -> None:
    run.event(150, "committed", id="x")
    run.event(150, "receipt", ids=["x"])
    run.last("at_centre")["messages"].append({"lane": "alert", "epoch": "e1", "seq": 2, "id": "x"})


def sent_before_it_was_on_disk(run: Run) -> None:
    run.record.events = [one for one in run.record.events if one["event"] != "accepted" or one["t"] != 103]


def two_bodies(run: Run) -> None:
    again = copy.deepcopy(run.record.messages[-1])
    again["body"]["parts"] = ["another"]
    run.record.messages.append(again)


def two_copies(run: Run) -> None:
    run.last("at_centre")["messages"][0]["copies"] = 2


def looks_real(run: Run) -> None:
    del run.record.messages[-1]["body"]["simulated"]


def outside(run: Run) -> None:
    run.second = 50
    run.record.message("", "ringpost/v1/post-1/alert", {})


def two_of_one_number(run: Run) -> None:
    run.record.messages[-2]["body"]["seq"] = run.record.messages[-3]["body"]["seq"]


def hole(run: Run) -> None:
    run.record.messages[-1]["body"]["numbers"][0]["last"] = 4


def hole_of_telemetry(run: Run) -> None:
    run.send(310, "telemetry/gnss", seq=1)
    run.send(320, "telemetry/gnss", seq=3)


def begins_twice(run: Run) -> None:
    run.alert(104, "new")
    run.again()


def after_its_end(run: Run) -> None:
    run.alert(104, "update")
    run.again()


def without_new(run: Run) -> None:
    run.alert(150, "end", "a2", "silent", source="gnss")
    run.again()


def told_twice(run: Run) -> None:
    for alert_id in ("b1", "b2"):
        run.alert(150, "new", alert_id, "silent", source="gnss")
    run.again()


def one_press_two_alerts(run: Run) -> None:
    run.alert(110, "new", "a2", since="100.5")
    run.again()


def unheard_press(run: Run) -> None:
    run.event(200, "pressed", press="board.panic_button")


def far_off(run: Run) -> None:
    run.send(200, "position", lat=32.1662, lon=118.7404, error_m=2.5, trust="good")


def stale(run: Run) -> None:
    place = {"lat": 32.1162, "lon": 118.7404, "error_m": 2.5}
    run.send(200, "position", **place, trust="good", age_s=20.0, stale_after_s=15.0)


def mostly_off(run: Run) -> None:
    for message in run.record.messages:
        if message["topic"] == "position":
            message["body"]["lat"] += 0.00006  # 6.7 m


def alert_far_off(run: Run) -> None:
    run.alert(150, "new", "g", "silent", source="gnss", point={"lat": 32.6, "lon": 118.7, "how": "gnss"})
    run.again()


def person_far_off(run: Run) -> None:
    for t in range(140, 160):
        run.second = t
        run.record.fact(object="man", kind="person", lat=32.1163, lon=118.7405)
    point = {"lat": 32.1263, "lon": 118.7405, "how": "ground_plane", "error_m": 4}
    run.alert(150, "new", "g", "beyond", camera="cam1", point=point)
    run.again()


def wrong_clock(run: Run) -> None:
    run.record.messages[-1]["body"]["at"] = "2026-11-28T09:00:00Z"


def dead(run: Run) -> None:
    run.event(110, "killed", part="device")
    run.event(180, "started", part="device")


def cut_off(run: Run) -> None:
    run.fault(110, 180, "link.half_open", 1)


def blind(run: Run) -> None:
    run.fault(110, 170, "camera.black", 1, source="cam1")


def full(run: Run) -> None:
    run.fault(110, 170, "disk.full", 1)


def complains(run: Run) -> None:
    run.status(90, "degraded", ["gnss: silent"])
    run.status(95, "online")
    run.record.events = [one for one in run.record.events if not one["event"].startswith("fault")]


def owes(run: Run) -> None:
    run.last("on_disk")["messages"].append(
        {"state": "owed", "lane": "alert", "epoch": "e1", "seq": 2, "id": "x"}
    )


def stays_degraded(run: Run) -> None:
    run.status(200, "degraded", ["gnss: silent"])


def health_says_less(run: Run) -> None:
    run.status(301, "degraded", ["gnss: silent"])
    run.send(302, "health", reasons=[])
    run.status(310, "online")


def warning_first(run: Run) -> None:
    run.event(200, "pressed", press="board.panic_button")
    for number, (rule, severity) in enumerate((("tamper", "warning"), ("panic", "critical"))):
        run.alert(200 + number, "new", f"b{number}", rule, severity=severity)
        run.record.messages[-1]["t"] = 230.0 + number
    birth = {"t": 220.0, "device": POST, "topic": "birth", "body": {"id": "birth-1", "simulated": True}}
    run.record.messages.insert(-2, birth)
    run.again()


def storm(run: Run) -> None:
    run.record.messages += [
        next(one for one in run.record.messages if one["topic"] == "alert") | {"t": 120.0 + number}
        for number in range(5)
    ]


BREAKS: list[tuple[Callable[[Run], None], set[str]]] = [
    (lose, {"accepted_alerts_are_kept", "numbers_are_explained", "all_heals"}),
    (receipt_first, {"receipts_follow_commits"}),
    (receipt_of_a_result_first, {"receipts_follow_commits", "numbers_are_explained"}),
    (lost_receipt, {"commits_get_receipts"}),
    (end_only_at_the_centre, {"centre_has_what_was_sent"}),
    (never_sent, {"centre_has_what_was_sent"}),
    (sent_before_it_was_on_disk, {"alerts_are_on_disk_first"}),
    (two_bodies, {"one_id_one_message"}),
    (two_copies, {"one_id_one_message"}),
    (looks_real, {"everything_is_simulated"}),
    (outside, {"everything_is_simulated"}),
    (two_of_one_number, {"one_number_one_message"}),
    (hole, {"numbers_are_explained"}),
    (hole_of_telemetry, {"numbers_are_explained"}),
    (begins_twice, {"phases_are_in_order"}),
    (after_its_end, {"phases_are_in_order"}),
    (without_new, {"phases_are_in_order"}),
    (told_twice, {"one_fact_one_alert"}),
    (one_press_two_alerts, {"one_fact_one_alert"}),
    (unheard_press, {"presses_raise_alerts"}),
    (far_off, {"positions_are_as_good_as_they_say"}),
    (stale, {"positions_are_as_good_as_they_say"}),
    (mostly_off, {"positions_are_as_good_as_they_say"}),
    (alert_far_off, {"positions_are_as_good_as_they_say"}),
    (person_far_off, {"positions_are_as_good_as_they_say"}),
    (wrong_clock, {"clocks_are_as_good_as_they_say"}),
    (dead, {"dead_devices_look_dead"}),
    (cut_off, {"dead_devices_look_dead"}),
    (blind, {"faults_are_told"}),
    (full, {"faults_are_told"}),
    (complains, {"only_troubles_are_told"}),
    (health_says_less, {"health_agrees_with_status"}),
    (warning_first, {"critical_alerts_go_first"}),
    (storm, {"repeats_are_bounded"}),
    (owes, {"all_heals"}),
    (stays_degraded, {"all_heals"}),
]


@pytest.mark.parametrize(("broken", "names"), BREAKS, ids=lambda one: getattr(one, "__name__", ""))
def test_each_break_is_found_by_its_invariant_and_by_no_other(
    broken: Callable[[Run], None], names: set[str]
) -> None:
    run = Run()
    broken(run)
    assert findings(run) == names


def test_a_run_whose_devices_are_stopped_at_its_end_is_judged_before_that() -> None:
    for t, expected in ((END_S - 1, {"all_heals"}), (END_S, set())):
        run = Run()
        run.status(END_S - 200, "degraded" if expected else "online", ["gnss: silent"])
        run.event(t, "stopped", part="device")
        run.status(t, "stopped")
        assert findings(run) == expected


def test_each_invariant_has_a_sentence_and_a_history_that_breaks_it() -> None:
    broken = {name for _, names in BREAKS for name in names} | {"memory_is_bounded"}
    assert broken == set(INVARIANTS)
    assert all((one.__doc__ or "").endswith((".", "say.")) for one in INVARIANTS.values())


def test_memory() -> None:
    assert findings(Run(), memory_mb=[100, 120, 110]) == set()
    assert findings(Run(), memory_mb=[100, 140]) == {"memory_is_bounded"}
    assert findings(Run(), memory_mb=[100, 140], limits=Limits(growth_mb=50)) == set()


def told(run: Run) -> None:
    body = run.send(390, "gap", of_epoch="e1", gap={"lane": "alert", "first": 3, "last": 4, "count": 2})
    run.last("at_centre")["messages"].append({"lane": "result", "epoch": "e1", "seq": 1, "id": body["id"]})


def kept(run: Run) -> None:
    for number in (3, 4):
        one = {"state": "kept", "lane": "alert", "epoch": "e1", "seq": number, "id": f"k{number}"}
        run.last("on_disk")["messages"].append(one)


def renumbered(run: Run) -> None:
    first = next(one["body"] for one in run.record.messages if one["topic"] == "alert")
    for number in (3, 4):
        run.send(305, "alert", **(first | {"seq": number}))


@pytest.mark.parametrize("explain", [told, kept, renumbered])
def test_a_number_is_explained_by(explain: Callable[[Run], None]) -> None:
    run = Run()
    hole(run)
    explain(run)
    assert "numbers_are_explained" not in findings(run)


def test_a_record_without_the_disks_is_no_proof() -> None:
    run = Run()
    run.record.events = [one for one in run.record.events if one["event"] not in ("on_disk", "at_centre")]
    assert {"accepted_alerts_are_kept", "numbers_are_explained"} <= findings(run)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown invariant 'all_is_wel'; known: accepted_alerts_are_kept"):
        check(Run().record, invariants=["all_is_wel"])
    assert check(Run().record, invariants=["all_heals"], leave_out=["all_heals"]) == []


@pytest.mark.parametrize(
    ("changes", "repeat"),
    [
        ({}, True),
        ({"epoch": "e2", "seq": 7, "historical": True, "latency_ms": {"broker": 3}}, True),
        ({"at": "b", "restamped_by_s": 60, "alert": {"since": "b", "count": 1}}, True),
        ({"at": "b"}, False),
        ({"alert": {"since": "a", "count": 2}}, False),
        ({"restamped_by_s": 60, "alert": {"since": "b", "count": 2}}, False),
    ],
)
def test_what_may_differ_in_a_repeat(changes: dict[str, Any], repeat: bool) -> None:
    first = {"id": "x", "epoch": "e", "seq": 1, "at": "a", "alert": {"since": "a", "count": 1}}
    assert is_repeat(first, first | changes) is repeat


def test_figures() -> None:
    assert distance_m(0, 0, 0, 1) == pytest.approx(111_195, abs=1)
    assert spans([1, 2, 3, 7]) == "1-3, 7"


def test_what_both_disks_have(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "data")
    messages = [
        Message(lane="alert", topic="alert", id=f"m{number}", body=encode({"id": f"m{number}"}))
        for number in range(3)
    ]

    async def fill() -> None:
        await outbox.put(*messages)
        await outbox.record_receipts(["m1"])

    asyncio.run(fill())
    record = RunRecord(lambda: 7.0)
    note_disks(record, {POST: tmp_path / "data"}, tmp_path / "centre.db")
    outbox.close()
    on_disk, at_centre = record.events
    assert at_centre["messages"] == []
    assert [(one["state"], one["seq"], one["id"]) for one in on_disk["messages"]] == [
        ("owed", 1, "m0"), ("owed", 3, "m2"), ("kept", 2, "m1"),
    ]  # fmt: skip


def test_an_alert_of_a_life_that_ended_at_its_commit_may_have_been_on_the_disk() -> None:
    run = Run()
    sent_before_it_was_on_disk(run)
    run.event(50, "killed", part="device")
    run.event(51, "started", part="device")
    run.record.events.sort(key=lambda one: one["t"])
    assert "alerts_are_on_disk_first" not in findings(run)


@pytest.mark.parametrize(("died_s", "told"), [(0.3, False), (20.0, True)])
def test_a_press_that_a_death_kept_from_its_acknowledgement_is_pressed_again(
    died_s: float, told: bool
) -> None:
    run = Run()
    one_press_two_alerts(run)
    pressed_s = next(one["t"] for one in run.record.events if one["event"] == "pressed")
    run.event(pressed_s + died_s, "killed", part="device")
    run.event(pressed_s + died_s + 1, "started", part="device")
    run.record.events.sort(key=lambda one: one["t"])
    assert ("one_fact_one_alert" in findings(run)) == told
