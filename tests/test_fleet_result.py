"""`ringpost fleet`: what is counted as lost or told twice, the search, and what is refused before it runs."""

import asyncio
import resource
from typing import Any

import pytest
from click.testing import CliRunner

from simulators.fleet.fleet_run import FleetPlan, check_machine
from simulators.fleet.result import FleetData, Stored, percentiles, summarise
from simulators.fleet.search import search
from simulators.fleet.verb import fleet, lines

USED = {
    "cpu_ms_per_s": 4.0, "rss_mb": 60.0, "pss_mb": 50.0, "threads": 4, "descriptors": 20, "idle_mb": 58.0,
    "base_mb": 54.0,
}  # fmt: skip


def device(name: str, pressed: int, raised: dict[str, str], **more: Any) -> dict[str, Any]:
    given = {"device": name, "pressed": pressed, "taken": pressed, "raised": raised, "on_disk": []}
    return {**given, "link_lost_s": None, "link_back_s": None, **more}


def stored(alert_id: str, second: int = 1) -> Stored:
    return Stored(alert_id, "2026-11-30T20:00:00.000Z", f"2026-11-30T20:00:0{second}.500Z")


def found(*devices: dict[str, Any], at_centre: dict[str, dict[str, Stored]], **more: Any) -> dict[str, Any]:
    child = {"results": list(devices), "died": [], **USED}
    return summarise(FleetData([child], [], at_centre, **more))


@pytest.mark.parametrize(
    ("one", "at_centre", "lost", "twice"),
    [
        (device("a", 1, {"m1": "x"}), {"m1": stored("x")}, 0, 0),
        (device("a", 1, {"m1": "x"}, on_disk=["m1"]), {}, 0, 0),
        (device("a", 1, {"m1": "x"}), {}, 1, 0),
        (device("a", 2, {"m1": "x"}), {"m1": stored("x")}, 1, 0),  # taken, and no alert was raised
        (device("a", 2, {"m1": "x"}, taken=1), {"m1": stored("x")}, 0, 0),  # the board still has the other
        (device("a", 1, {"m1": "x", "m2": "y"}), {"m1": stored("x"), "m2": stored("y")}, 0, 1),
    ],
)
def test_what_is_lost_and_what_is_told_twice(
    one: dict[str, Any], at_centre: dict[str, Stored], lost: int, twice: int
) -> None:
    result = found(one, at_centre={"a": at_centre})
    assert (result["lost"], result["told_twice"]) == (lost, twice)
    assert f"lost {lost}, told twice {twice}" in "\n".join(lines(result))


def test_the_delay_is_that_of_the_receipt_else_of_the_database() -> None:
    at_centre = {"a": {"m1": stored("x"), "m2": stored("y", 3)}}
    began_s = 1796068800.0  # 2026-11-30T20:00:00Z
    result = found(
        device("a", 2, {"m1": "x", "m2": "y"}), at_centre=at_centre, receipt_s={"m1": began_s + 0.25}
    )
    assert result["finding_to_commit_ms"] == {"p50": 250.0, "p95": 3500.0, "p99": 3500.0, "max": 3500.0}


def test_a_storm_names_the_links_that_came_back() -> None:
    devices = [
        device("a", 0, {}, link_lost_s=100.0, link_back_s=104.0),
        device("b", 0, {}, link_lost_s=100.0),
        device("c", 0, {}),
    ]
    storm = found(*devices, at_centre={}, storm_s=(100.0, 103.0))["storm"]
    assert (storm["links_lost"], storm["links_back"], storm["back_after_s"]["max"]) == (2, 1, 1.0)


def test_percentiles_of_few_values() -> None:
    assert percentiles([]) == {}
    assert percentiles([2.0]) == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}


@pytest.mark.parametrize("bound", [1, 3, 57, 130])
def test_the_search_brackets_the_bound(bound: int) -> None:
    async def trial(agents: int) -> dict[str, Any]:
        return {"finding_to_commit_ms": {"p99": 1000.0 * agents / bound}, "lost": 0}

    result = asyncio.run(search(25, 1e9, trial, clock=lambda: 0.0))
    holds, fails = result["holds"] or 0, result["fails"]
    assert holds <= bound < fails
    assert fails <= max(1.15 * holds, 2 * holds if holds < 8 else 0, 1) or fails - holds == 1


def test_the_search_ends_in_time_and_takes_a_failure_as_too_many() -> None:
    now_s = 0.0

    async def trial(agents: int) -> dict[str, Any]:
        nonlocal now_s
        now_s += 60
        if agents > 50:
            raise OSError("the process of the agents 1 to 50 ended")
        return {"finding_to_commit_ms": {"p99": 100.0}, "lost": 0}

    result = asyncio.run(search(50, 100, trial, clock=lambda: now_s))
    assert (result["holds"], result["fails"]) == (50, 100)
    assert "100 agents: the process of the agents 1 to 50 ended" in lines(result)


def test_without_mosquitto_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.fleet.fleet_run.mosquitto_path", lambda: None)
    done = CliRunner().invoke(fleet, ["--agents", "2"])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        69, "fleet: mosquitto is not installed; install it, as with apt-get install mosquitto",
    )  # fmt: skip


def test_too_few_descriptors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.fleet.fleet_run.mosquitto_path", lambda: "/usr/sbin/mosquitto")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    with pytest.raises(OSError, match=r"one process needs 10250 descriptors, and 4096 are allowed"):
        check_machine(FleetPlan(agents=50, thin=10_000))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    check_machine(FleetPlan(agents=50, thin=2000))
    assert raised == [(2250, 4096)]
