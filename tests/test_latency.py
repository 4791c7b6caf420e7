"""The ledger of latencies, with the time put in."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.alerts.alert import Alert, AlertPolicy, Phase
from agent.alerts.latency import MAX_PENDING, SAMPLES, TROUBLE_LASTS_S, LatencyLedger
from agent.domain.findings import Finding
from agent.pipeline import latency_steps


def told(ledger: LatencyLedger, name: str, *, at_s: float, rule: str = "rail", wire_s: float = 0.02) -> None:
    """An alert whose finding, keeping, sending and acknowledgement are known."""
    ledger.on_alert(name, rule, {"frame_to_detection": 40.0, "detection_to_finding": 20_000.0}, at_s)
    ledger.on_stored(name, at_s + 0.001)
    ledger.acknowledged(name, at_s + 0.003, at_s + 0.003 + wire_s)


def test_each_step_is_there_and_the_rule_s_own_time_is_not_in_the_sum() -> None:
    ledger = LatencyLedger()
    told(ledger, "a", at_s=100.0)
    assert ledger.fields() == {
        "rail": {
            "alerts": 1,
            "p50": 63.0,
            "p95": 63.0,
            "steps": {
                "frame_to_detection": 40.0,
                "detection_to_finding": 20_000.0,
                "finding_to_outbox": 1.0,
                "outbox_to_sent": 2.0,
                "sent_to_acknowledged": 20.0,
            },
        }
    }


def test_percentiles_are_of_the_last_alerts_of_each_rule() -> None:
    ledger = LatencyLedger()
    for number in range(SAMPLES):
        told(ledger, f"old-{number}", at_s=number, wire_s=9.0)
    for number in range(SAMPLES):
        told(ledger, f"{number}", at_s=number, wire_s=(number + 1) / 1000)
    told(ledger, "other", at_s=0, rule="panic", wire_s=1.0)
    fields = ledger.fields()
    assert fields["rail"]["alerts"] == SAMPLES
    assert fields["rail"]["p50"] == pytest.approx(43 + 100.5, abs=0.2)
    assert fields["rail"]["p95"] == pytest.approx(43 + 190.05, abs=0.2)
    assert fields["panic"]["p50"] == 1043.0
    ledger.keep_rules(frozenset({"rail"}))
    assert set(ledger.fields()) == {"rail"}


def test_a_budget_that_is_passed_is_said() -> None:
    ledger = LatencyLedger()
    told(ledger, "a", at_s=0.0, wire_s=0.5)
    assert list(ledger.troubles(1.0, 0.5)) == []
    for number in range(5):
        told(ledger, f"late-{number}", at_s=0.0, wire_s=3.0)
    assert list(ledger.troubles(1.0, 3.0)) == ["alerts of rail take longer than 1 s (p95)"]


def test_a_late_alert_is_a_trouble_for_a_while_however_few_there_are() -> None:
    """Else a watch point that was pressed once during an outage would be degraded for years."""
    ledger = LatencyLedger()
    told(ledger, "a", at_s=0.0, wire_s=30.0)
    late = ["alerts of rail take longer than 2 s (p95)"]
    assert list(ledger.troubles(2.0, 40.0)) == late
    assert list(ledger.troubles(2.0, 29.0 + TROUBLE_LASTS_S)) == late
    assert list(ledger.troubles(2.0, 32.0 + TROUBLE_LASTS_S)) == []
    assert ledger.fields()["rail"]["p95"] > 30_000


def test_what_it_does_not_know_is_not_counted_and_what_it_remembers_is_bounded() -> None:
    ledger = LatencyLedger()
    ledger.acknowledged("from before the restart", 1.0, 2.0)
    ledger.on_alert("never kept", "rail", {}, 0.0)
    ledger.acknowledged("never kept", 1.0, 2.0)
    assert ledger.fields() == {}
    for number in range(MAX_PENDING + 10):
        ledger.on_alert(str(number), "rail", {}, 0.0)
    assert len(ledger._pending) == MAX_PENDING


@pytest.mark.parametrize("kept_s", [None, 109.0])
def test_what_is_handed_out_before_it_is_known_to_be_kept_says_so(kept_s: float | None) -> None:
    """From memory while the disk hangs, or by a link that is quicker than the word that the disk has it."""
    ledger = LatencyLedger()
    ledger.on_alert("a", "panic", {}, 100.0)
    assert ledger.on_send("a", 102.5) == {"finding_to_outbox": 2500.0}
    if kept_s is not None:
        ledger.on_stored("a", kept_s)
    assert ledger.on_send("a", 110.0) == {"finding_to_outbox": 2500.0}
    ledger.acknowledged("a", 110.0, 110.5)
    assert ledger.fields()["panic"]["steps"] == {
        "finding_to_outbox": 2500.0,
        "outbox_to_sent": 7500.0,
        "sent_to_acknowledged": 500.0,
    }
    assert list(ledger.troubles(5.0, 111.0)) == ["alerts of panic take longer than 5 s (p95)"]
    assert ledger.on_send("unknown", 1.0) == {}


@pytest.mark.parametrize(
    ("phase", "steps"),
    [
        ("new", {"frame_to_detection": 40.0, "detection_to_finding": 20_000.0}),
        ("update", {"frame_to_detection": 40.0}),
        ("end", {}),
    ],
)
def test_only_a_new_alert_says_what_its_rule_took(phase: Phase, steps: dict[str, float]) -> None:
    """Later the time since its beginning is how long the fact has lasted."""
    at = datetime(2026, 11, 28, tzinfo=UTC)
    finding = Finding(key="rail", text="person", since=at, since_s=100.0, latency_s=0.04)
    terms = AlertPolicy("rail", "zone_dwell", "critical", False, timedelta(0))
    assert latency_steps(Alert("id", phase, terms, finding, at), 120.0) == steps
