"""A scenario played on a virtual stage: what is incomplete, and that nothing is swallowed."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.scenario.loader import check, parse
from simulators.scenario.model import Scenario
from simulators.scenario.parts import WatchedParts
from simulators.scenario.player import play
from simulators.scenario.session import run_scenario
from simulators.scenario.verdict import Verdict
from simulators.scenario.virtual_session import play_virtual
from simulators.virtual.stage import VirtualStage
from tests.scenario_rig import scenario_of

PANIC = """
timeline:
  - {at: 10s, name: press, press: board.panic_button, for: 5s}
expect:
  - {name: raised, alert: panic, after: press, within: 1s, count: 1, position_within_m: 15, receipt: true}
  - {name: over, alert: panic, phases: [new, end], after: press, within: 6s, count: 1, receipt: true}
never:
  - {alert: quiet}
"""


def played(folder: Path, more: str, spoil: Any = None) -> tuple[Verdict, Scenario]:
    """The verdict on the post; ``spoil(stage, parts)`` runs beside it."""
    scenario = scenario_of(more, clock="virtual")

    async def run(stage: VirtualStage, parts: WatchedParts) -> Verdict:
        if spoil is not None:
            parts.start(spoil(stage, parts), "spoiler")
        return await play(scenario, stage, scenario.world.at)

    return play_virtual(scenario, folder, run)[0], scenario


def test_the_example_of_the_documentation_passes(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/simulation.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    scenario = parse(example, name="docs/simulation.md", base=tmp_path)
    verdict, _ = run_scenario(check(scenario), tmp_path)
    assert (verdict.verdict, verdict.complaints()) == ("passed", [])


def test_a_press_passes(tmp_path: Path) -> None:
    verdict, _ = played(tmp_path, PANIC)
    assert (verdict.verdict, verdict.complaints()) == ("passed", [])
    assert verdict.counts.lost == 0
    assert verdict.counts.raised == verdict.counts.committed == 2


def test_a_simulated_device_that_dies_makes_the_run_incomplete(tmp_path: Path) -> None:
    async def kill_board(stage: VirtualStage, parts: WatchedParts) -> None:
        await stage.sleep_until(5)
        parts.tasks["post-1.board"].cancel()
        await stage.sleep_until(1000)

    verdict, _ = played(tmp_path, PANIC, kill_board)
    assert verdict.verdict == "incomplete"
    assert "the hardware of post-1 died at 5.00 s: it was cancelled" in verdict.incomplete


async def end_agent(stage: VirtualStage) -> None:
    task = stage.devices["post-1"]._task
    assert task is not None
    task.cancel()


async def end_centre(stage: VirtualStage) -> None:
    task = stage.centre.processes[0]._task
    assert task is not None
    task.cancel()


async def crash_centre(stage: VirtualStage) -> None:
    """Its supervisor starts it again; only an exception that is no OSError is a crash."""
    server = stage.centre.processes[0].server
    assert server is not None

    def crash(*_: object) -> None:
        delattr(server.intake, "store_batch")
        raise RuntimeError("a bug")

    setattr(server.intake, "store_batch", crash)  # noqa: B010


@pytest.mark.parametrize(
    ("end", "complaint"),
    [
        (end_agent, "the device of post-1 died at 40.00 s: it ended by itself"),
        (end_centre, "the centre of the run died at 40.00 s: it ended by itself"),
        (crash_centre, "the centre of the run died at 40.00 s: RuntimeError: a bug"),
    ],
    ids=["agent", "centre", "crash"],
)
def test_a_part_that_ends_by_itself_makes_the_run_incomplete(
    tmp_path: Path, end: Callable[[VirtualStage], Awaitable[None]], complaint: str
) -> None:
    async def later(stage: VirtualStage, _: WatchedParts) -> None:
        await stage.sleep_until(40)
        await end(stage)
        await stage.sleep_until(1000)

    verdict, _ = played(tmp_path, PANIC, later)
    assert (verdict.verdict, list(verdict.incomplete)) == ("incomplete", [complaint])


def test_a_misspelt_field_makes_the_run_incomplete(tmp_path: Path) -> None:
    verdict, _ = played(tmp_path, PANIC + "  - {topic: status, having: {stat: degraded}}\n")
    (complaint,) = verdict.incomplete
    assert "no status has a field 'stat'; did you mean 'state'?" in complaint
    assert verdict.verdict == "incomplete"


def test_the_goodbye_at_the_end_of_a_run_is_no_part_of_it(tmp_path: Path) -> None:
    verdict, _ = played(tmp_path, "expect: [{topic: status, having: {state: stopped}}]")
    assert verdict.verdict == "failed"


UNHEARD = "[{at: 5s, fault: line.unplug, source: gnss, for: 10s}, {at: 7s, fault: line.noise, source: gnss, for: 2s}]"


@pytest.mark.parametrize(
    ("timeline", "complaint"),
    [
        (
            UNHEARD,
            "7 s: post-1: noise on the line of the receiver gnss, for 2 s: had no effect; the proof would be:",
        ),
        ("[{at: 5s, ack: panic}]", "5 s: post-1: the alert of panic is answered: could not be carried out:"),
    ],
    ids=["no effect", "nothing to answer"],
)
def test_what_could_not_be_tried_makes_the_run_incomplete(
    tmp_path: Path, timeline: str, complaint: str
) -> None:
    verdict, _ = played(tmp_path, f"timeline: {timeline}")
    assert verdict.verdict == "incomplete"
    assert [one for one in verdict.incomplete if one.startswith(complaint)] == verdict.incomplete


REJECTED = "  - {at: 20s, command: nonsense}\nexpect:\n"


def test_a_rejected_command_makes_the_run_incomplete_unless_it_is_expected(tmp_path: Path) -> None:
    verdict, _ = played(tmp_path / "one", PANIC.replace("expect:\n", REJECTED))
    assert verdict.verdict == "incomplete"
    assert any("nonsense is sent: the device rejected it: " in one for one in verdict.incomplete)
    wanted = "  - {topic: command/result, having: {state: rejected}, between: [20s, 25s]}\n"
    verdict, _ = played(tmp_path / "two", PANIC.replace("expect:\n", REJECTED + wanted))
    assert (verdict.verdict, verdict.complaints()) == ("passed", [])


def test_power_that_goes_while_a_write_is_slow_ends_the_run_in_time(tmp_path: Path) -> None:
    """The dead agent waited for its own disk thread, for ever. The board repeats a press that nobody stored."""
    verdict, _ = played(tmp_path, SLOW)
    assert (verdict.verdict, verdict.complaints()) == ("passed", [])


SLOW = """
timeline:
  - {at: 10s, fault: disk.slow, delay: 3s, for: 8s}
  - {at: 11s, name: press, press: board.panic_button, for: 500ms}  # before the disk counts as hanging
  - {at: 12s, fault: power.cut, for: 8s}
expect:
  - {name: not lost, alert: panic, after: press, within: 20s, count: 1, receipt: true}
"""
