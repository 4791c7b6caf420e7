"""The view models of the pages at the device: what they say of what the agent reports."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from console.agent_views import Now
from console.pages.checks import Checks
from console.pages.latency_view import alert_bar, rule_bars
from console.pages.now_view import Rates, facts, link_mark, outbox_mark, part_rows, state_mark, troubles
from console.pages.remedies import FoundRemedy, remedy_of
from console.pages.words import age_text, as_number, instant, ms_text, number_text, shown_value
from console.web.session import Session

t = Session("token", "viewer").t
chinese = Session("token", "viewer", language="zh").t


def now(parts: list[dict[str, Any]] | None = None, reasons: tuple[str, ...] = (), **health: Any) -> Now:
    counts = {"raised": 12, "committed": 12, "confirmed": 12, "owed": 0, "lost": 0, "since": ""}
    return cast(
        Now,
        {
            "at": "2026-11-30T12:00:00Z",
            "status": {"state": "degraded" if reasons else "online", "reasons": list(reasons)},
            "health": {"parts": parts or [], **health},
            "counts": counts | {"waiting_by_lane": {}},
            "latency": {}, "active": {}, "deployment": {}, "rescue_mode": None,
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (150, "2 min"), (8000, "2 h"), (200_000, "2 d"),
     (None, "–"), (float("nan"), "–"), (True, "–"), ("12", "–"), (-1, "0.0 s"), (-3600, "−60 min")],
)  # fmt: skip
def test_ages(seconds: object, text: str) -> None:
    assert age_text(seconds) == text


def test_numbers_and_instants() -> None:
    assert [number_text(value) for value in (12, 12.5, 0.00123, 123.456, 4711.2, None)] == [
        "12", "12.5", "0.0012", "123.5", "4711", "–",
    ]  # fmt: skip
    assert number_text(4.2, "m") == "4.2 m"
    assert [ms_text(value) for value in (0.44, 35.2, 1250, 300_000, "x")] == [
        "0.4 ms", "35 ms", "1.2 s", "5 min", "–",
    ]  # fmt: skip
    assert as_number(float("inf")) is None
    assert instant("2026-11-30T12:00:00Z") == instant("2026-11-30T13:00:00+01:00")
    assert [instant(value) for value in ("yesterday", 12, None)] == [None] * 3
    assert shown_value({"on": True, "at": [1.5, None], "name": "<b>"}) == "on ✓, at 1.5, –, name <b>"


def test_the_worst_part_comes_first_with_its_reason() -> None:
    parts = [
        {"part": "board", "running": "running", "speaking": True, "valid": True, "age_s": 0.4, "good": 10},
        {"part": "cam1", "running": "waiting", "error": "refused", "speaking": False, "age_s": 14.0},
        {"part": "gnss", "running": "running", "speaking": True, "valid": True, "age_s": 0.2},
        {"part": "history", "running": "ended"},
    ]
    rows = part_rows(now(parts, ("cam1: refused", "gnss: jamming (warning)")), Rates(), 0.0, t)
    assert [row.name for row in rows] == ["cam1", "gnss", "board", "history"]
    assert (rows[0].running.kind, rows[0].sending.text, rows[0].trouble) == ("bad", "silent", "refused")
    assert rows[1].trouble == "jamming (warning)"
    assert (rows[3].running.kind, rows[3].sending.kind, rows[3].age) == ("idle", "idle", "–")


def test_rates_come_from_counts_and_survive_a_restart() -> None:
    rates = Rates()
    reports = ((0, 100), (1, 100), (2, 120), (4, 120), (7, 170), (8, 4), (10, 24), (40, 24))
    seen = [rates.of({"part": "gnss", "good": good}, at) for at, good in reports]
    assert seen == [None, None, 10.0, 10.0, 10.0, None, 10.0, 0.0]
    assert rates.of({"part": "cam1", "fps": 4.8}, 0) == 4.8


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("gnss: silent for 12 s", "cable"),
        ("gnss: no valid packets: check baud rate and protocol", "baud"),
        ("gnss: many of its packets are damaged", "ground"),
        ("link: the broker refused the login", "broker"),
        ("machine: the disk is nearly full", "disk"),
        ("machine: temperature is high", "air"),
        ("machine: supply voltage is too low", "power"),
        ("broker.tls.cert: expires in 3 days", "certificate"),
        ("cam1: blind in rail (dark) since 2026-11-30 12:00:00Z", "lens"),
        ("cam1: blind: analysed 0.4 times a second; rail needs 2", "smaller"),
        ("config: rules.rail: unknown zone", "Configuration"),
        ("something new", "checks"),
    ],
)
def test_each_trouble_has_one_remedy_in_both_languages(reason: str, words: str) -> None:
    (trouble,) = troubles(now(reasons=(reason,)), [], t)
    assert words in trouble.remedy
    (in_chinese,) = troubles(now(reasons=(reason,)), [], chinese)
    assert in_chinese.remedy != trouble.remedy


def test_a_finding_of_doctor_about_the_same_part_is_the_better_remedy() -> None:
    found = [FoundRemedy("sources.gnss.port", "sudo chmod 660 /dev/ttyUSB0"), FoundRemedy("", "reboot")]
    assert remedy_of("gnss: silent for 12 s", found, t) == "sudo chmod 660 /dev/ttyUSB0"
    assert remedy_of("gnss2: silent for 12 s", found, t).startswith("Check its power")


def test_link_and_outbox_in_one_sentence() -> None:
    assert link_mark(now(), t).kind == "bad"
    link = link_mark(now(link={"broker": "mqtts://b", "acknowledged_ms": 38.2}), t)
    assert (link.kind, link.text) == ("good", "Connected to mqtts://b, which acknowledges within 38 ms.")
    report = now()
    assert outbox_mark(report, t).text == "raised 12, committed 12, owed 0, lost 0"
    assert outbox_mark(report, t).kind == "good"
    report["counts"]["owed"] = 2
    assert outbox_mark(report, t).kind == "doubt"
    report["counts"]["lost"] = 1
    assert outbox_mark(report, t).kind == "bad"
    report["counts"]["stale"] = True
    assert "the disk of the device hangs" in outbox_mark(report, t).text


def test_all_is_well_only_with_a_broker_and_no_alert_that_waits() -> None:
    link = {"broker": "mqtts://b", "acknowledged_ms": 38.2}
    assert state_mark(now(link=link), t).text == "all is well"
    assert state_mark(now(), t).kind == "doubt"
    assert state_mark(now(reasons=("cam1: dark",), link=link), t).text == "degraded: one trouble"
    waits = now(link=link)
    waits["counts"]["owed"] = 2
    assert state_mark(waits, t).kind == "doubt"


def test_facts_of_the_machine() -> None:
    machine = {
        "temperature_c": 81.0, "disk_free_mb": 812, "disk_total_mb": 31_000, "memory_free_mb": 900,
        "certificates_days": {"broker.tls.cert": 400, "broker.tls.ca": 3},
    }  # fmt: skip
    found = {fact.name: fact for fact in facts(now(machine=machine, clock={"source": "rtc"}), t)}
    assert {name: fact.mark for name, fact in found.items()} == {
        "Temperature": "bad", "Free disk": "bad", "Free memory": "good", "Clock": "doubt",
        "Certificate broker.tls.ca": "bad", "Certificate broker.tls.cert": "good",
    }  # fmt: skip
    assert found["Clock"].value == "rtc · not trusted"
    assert facts(now(), t) == []


def test_bars_are_comparable_and_leave_out_what_waits_on_purpose() -> None:
    steps = {"frame_to_detection": 100.0, "detection_to_finding": 3000.0, "sent_to_acknowledged": 100.0}
    slow = {name: {"p50": ms, "p99": ms, "n": 9} for name, ms in steps.items()}
    fast = {"frame_to_detection": {"p50": 20.0, "p99": 30.0, "n": 2}}
    bars = rule_bars({"panic": fast, "rail": slow}, t)
    assert [(bar.name, bar.total) for bar in bars] == [("rail", "200 ms"), ("panic", "20 ms")]
    assert [step.share for step in bars[0].steps] == [0.5, 0.5, 0.0]
    assert [step.share for step in bars[1].steps] == [0.1]
    assert alert_bar({"frame_to_detection": 5.0, "outbox_to_sent": "?"}, t).total == "5.0 ms"
    assert alert_bar({}, t).steps == ()


def test_checks_that_end_early_are_not_taken_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the checks, all of them well, is no device that is well."""
    result = json.dumps({"number": 1, "check": "disk", "findings": [{"state": "ok", "text": "40 GB free"}]})
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    checks = Checks(tmp_path)
    for end, problem in (("kill -9 $$", "ended early"), ("exit 0", "")):
        script.write_text(f"#!/bin/sh\necho '{result}'\n{end}\n")
        script.chmod(0o700)
        asyncio.run(checks.run(None, everything=False))
        assert problem in checks.problem
        assert (checks.made_at is None) == bool(problem)
        assert [row.text for row in checks.rows] == ["40 GB free"]
