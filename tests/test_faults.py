"""The catalogue of faults: complete, described, refused where it can't hit, and never proved by nothing."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from simulators.faults.catalogue import CATALOGUE, reasons, table
from simulators.faults.fault import CannotApplyError, Fault, FaultStep, play
from simulators.faults.line import Noise, Stale, Unplug
from simulators.faults.overlaps import overlaps
from simulators.receiver import FAULTS
from simulators.scenario.loader import parse
from simulators.scenario.session import run_scenario
from tests.staged import Line, empty_stage

CONTRACT = {
    "line": "unplug re_enumerate noise bits_flip bytes_drop wrong_speed split stale silent mute",
    "board": "deaf reset sensor_failed",
    "receiver": " ".join(FAULTS),
    "camera": "cut frozen black covered bright blurred turned fps_drop resolution corrupt_jpeg auth_refused",
    "drone": "out_of_reach",
    "boat": "no_bottom",
    "link": "down latency bandwidth half_open reset slicer tls_expired auth_revoked",
    "broker": "down restart session_lost drop_after_acknowledgement reorder late_will refuse quota",
    "disk": "full read_only slow io_error",
    "clock": "step wrong_at_boot unsynchronised drift",
    "process": "kill stop hang",
    "power": "cut throttled",
    "config": "invalid_push lockout_push power_cut_on_trial",
    "centre": "down rolling_restart restored_from_backup",
    "fleet": "reconnect_storm",
}
NAMES = {f"{family}.{name}" for family, names in CONTRACT.items() for name in names.split()}
CONFIG: dict[str, Any] = {
    "device": "post-1",
    "broker": {"url": "mqtt://127.0.0.1:1883"},
    "sources": {
        "gnss": {"kind": "nmea"},
        "board": {"kind": "sensor_board"},
        "radio": {"kind": "mavlink"},
        "cam1": {"kind": "camera"},
    },
}
FITTING = {"board": "board", "drone": "radio", "camera": "cam1"}


def step_of(kind: str) -> FaultStep:
    """A step that hits what the fault is for."""
    fault = CATALOGUE[kind]
    source = FITTING.get(kind.partition(".")[0], "gnss") if fault.subject == "source" else None
    return FaultStep(
        0,
        "post-1" if fault.subject in ("source", "device") else None,
        source,
        CONFIG["sources"][source]["kind"] if source else "",
        14.0,
    )


def test_every_fault_of_the_field_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == NAMES


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_each_fault_is_described_and_possible_under_some_clock(kind: str) -> None:
    fault, step = CATALOGUE[kind](), step_of(kind)
    text = fault.describe(step)
    assert "{" not in text
    assert text.endswith(", for 14 s")
    assert fault.proof
    assert fault.clocks
    assert (fault.reason == "") == (fault.clocks == ("virtual", "real"))
    for clock in ("virtual", "real"):
        assert (fault.refuse_clock(clock) is None) == (clock in fault.clocks)
    config = CONFIG if step.device else None
    assert fault.misplaced(config, step.source) is None
    assert type(fault).model_validate(fault.model_dump()) == fault


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_a_fault_with_nothing_to_hit_has_no_effect(kind: str) -> None:
    """No line is open, no agent runs, no message comes."""
    stage = empty_stage(CONFIG)
    assert asyncio.run(play(stage, CATALOGUE[kind](), step_of(kind))) is False
    assert [one["event"] for one in stage.record.events] == ["fault_began", "fault_ended"]


@pytest.mark.parametrize(
    ("kind", "config", "source", "text"),
    [
        ("line.noise", CONFIG, None, "line.noise needs a source; known: gnss, board, radio"),
        ("line.noise", CONFIG, "ais", "line.noise can't hit the source 'ais'; known: gnss, board, radio"),
        ("line.noise", CONFIG, "cam1", "line.noise can't hit the source 'cam1'; known: gnss, board, radio"),
        ("camera.black", CONFIG, "gnss", "camera.black can't hit the source 'gnss'; known: cam1"),
        ("receiver.jam", {"sources": {}}, "gnss", "receiver.jam can't hit the source 'gnss'; the device has none"),
        ("line.noise", None, "gnss", "line.noise needs a device"),
        ("disk.full", CONFIG, "gnss", "disk.full hits the device: leave the source out"),
        ("broker.down", CONFIG, None, "broker.down hits the broker: leave the device out"),
    ],
)  # fmt: skip
def test_a_misplaced_fault_is_refused_with_the_known_names(
    kind: str, config: Any, source: str | None, text: str
) -> None:
    assert CATALOGUE[kind].misplaced(config, source) == text


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("line.noise", {"chance": 2}),
        ("line.noise", {"share": 0.5}),
        ("link.latency", {"latency": "soon"}),
        ("board.sensor_failed", {"quantity": "mood"}),
    ],
)
def test_wrong_parameters_are_refused(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CATALOGUE[kind].model_validate(fields)


def test_what_the_stage_does_not_have_can_not_be_applied() -> None:
    stage = empty_stage(CONFIG)
    with pytest.raises(CannotApplyError, match="no device 'post-2'"):
        asyncio.run(play(stage, Unplug(), FaultStep(0, "post-2", "gnss")))
    with pytest.raises(CannotApplyError, match="'ais' has no line"):
        asyncio.run(play(stage, Unplug(), FaultStep(0, "post-1", "ais")))


def test_a_pulled_cable_was_in_use() -> None:
    stage = empty_stage(CONFIG)
    line: Any = stage.devices["post-1"].lines["gnss"]
    line.is_open = True
    assert asyncio.run(play(stage, Unplug(), FaultStep(3, "post-1", "gnss", "nmea", 5.0)))
    assert line.plugged
    assert line.path == Line.path
    assert stage.record.events[-1] == {
        "t": 5.0, "device": "post-1", "event": "fault_effect", "fault": 3, "kind": "line.unplug",
    }  # fmt: skip


def test_faults_of_one_line_act_together_and_each_ends_by_itself() -> None:
    stage = empty_stage(CONFIG)
    line: Any = stage.devices["post-1"].lines["gnss"]
    line.is_open = True
    noise, stale = Noise(chance=1.0), Stale(size=1, direction="to_agent")
    steps = [FaultStep(number, "post-1", "gnss", "nmea") for number in range(2)]

    async def both() -> None:
        await noise.begin(stage, steps[0])
        await stale.begin(stage, steps[1])
        assert line.send(b"abc") != b"abc"
        await noise.end(stage, steps[0])
        assert line.send(b"abc") == b"abc"
        await stale.end(stage, steps[1])

    asyncio.run(both())
    assert noise.took_effect(stage, steps[0])
    assert not stale.took_effect(stage, steps[1])  # each write was long enough to pass


def test_the_table_has_each_fault_once() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(CATALOGUE)


def test_the_page_has_the_catalogue() -> None:
    """Where it differs: ``python -m simulators.faults.catalogue`` prints it."""
    page = (Path(__file__).parents[1] / "docs/simulation.md").read_text()
    assert f"{table()}\n{reasons()}" in page


@dataclass(frozen=True)
class Placed:
    """An entry of a timeline."""

    number: int
    kind: str
    at_s: float
    end_s: float
    device: str | None = "post-1"
    source: str | None = None

    @property
    def fault(self) -> Fault:
        return CATALOGUE[self.kind]()


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ([("link.down", 0, 10), ("link.half_open", 5, 8)], [1]),
        ([("link.half_open", 5, 8), ("link.down", 0, 10)], [0]),
        ([("link.down", 0, 10), ("link.half_open", 10, 18)], []),
        ([("link.down", 0, 10), ("link.latency", 5, 8), ("link.latency", 6, 9)], []),
        ([("link.down", 0, 10), ("power.cut", 5, 8)], []),
        ([("process.kill", 0, 10), ("power.cut", 5, 8), ("process.hang", 9, 11)], [1, 2]),
        ([("disk.read_only", 0, 10), ("disk.io_error", 5, 8), ("disk.full", 5, 8)], [1]),
        ([("clock.step", 0, 10), ("clock.step", 5, 8)], []),
    ],
)
def test_faults_that_would_end_each_other_are_refused(steps: list[Any], wrong: list[int]) -> None:
    placed = [Placed(number, *step) for number, step in enumerate(steps)]
    assert [number for number, _ in overlaps(placed)] == wrong
    elsewhere = [replace(one, device=f"post-{one.number}") for one in placed]
    assert list(overlaps(elsewhere)) == []


def test_a_fault_that_can_not_begin_says_why_and_the_run_is_incomplete(tmp_path: Path) -> None:
    """The instruments of a boat are no receiver."""
    text = """
        schema: ringpost-scenario/1
        name: instruments
        duration: 4s
        devices:
          boat-1:
            hardware: {gnss: boat}
            config:
              kind: patrol_boat
              place: {ring: inner_city, domain: water, site: demo, post: boat-1, lat: 32.1, lon: 118.7}
              sources: {gnss: {kind: nmea, port: gnss}}
        timeline: [{at: 1s, fault: receiver.jam, source: gnss, for: 1s}]
    """
    verdict, _ = run_scenario(parse(text, name="instruments", base=tmp_path), tmp_path)
    assert verdict.verdict == "incomplete"
    (line,) = [one for one in verdict.incomplete if "receiver" in one and "carried out" in one]
    assert line.endswith("could not be carried out: boat-1: the hardware of 'gnss' has no fail")
