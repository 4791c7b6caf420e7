"""Looks for a seed with which a scenario fails, and for the shortest timeline that still does."""

import ctypes
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from agent.domain.yaml_loader import BadConfig
from simulators.scenario.loader import check, parse
from simulators.scenario.model import Scenario
from simulators.scenario.scenario_text import scenario_text

T = TypeVar("T")

MOST_TRIES = 150
"""Runs to shorten one timeline."""
PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>: the signal that this process gets when its parent ends."""
SHORTEST = timedelta(seconds=1)
"""A fault is not made shorter than this."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What came of one seed. ``broken``: the names of what is not met; ``complaints``: its lines."""

    seed: int
    verdict: str
    sha256: str
    broken: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()


def play_seed(text: str, base: Path, seed: int, folder: str | None = None) -> SeedResult:
    """Plays the scenario in ``text`` with ``seed``, in this process, below ``folder``.

    A run that can't begin is incomplete.
    """
    from agent.runtime.error_text import describe_error
    from agent.runtime.logging_setup import set_up_log
    from simulators.scenario.session import run_scenario

    set_up_log("critical")
    scenario = parse(text, name=f"seed {seed}", base=base)
    scenario = check(scenario.model_copy(update={"seed": seed}))
    with tempfile.TemporaryDirectory(prefix="ringpost-seed-", dir=folder) as own:
        try:
            verdict, _ = run_scenario(scenario, Path(own))
        except Exception as error:
            return SeedResult(
                seed, "incomplete", "", ("the run",), (f"the run ended: {describe_error(error)}",)
            )
    broken = [one.name for one in verdict.unmet()]
    broken += [one.name for one in verdict.sometimes if not one.met]
    if verdict.incomplete:
        broken.append("the run")
    return SeedResult(seed, verdict.verdict, verdict.sha256, tuple(broken), tuple(verdict.complaints()))


def play_seeds(scenario: Scenario, seeds: Sequence[int], base: Path) -> Generator[SeedResult, None, None]:
    """The result of each seed, in their order, on all cores. Closing the iterator ends the rest."""
    text = scenario_text(scenario)
    workers = min(len(seeds), os.cpu_count() or 1)
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="ringpost-seeds-") as folder:
        pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_die_with_parent)
        waiting: list[Future[SeedResult]] = []
        try:
            rest = iter(seeds)
            while True:
                held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
                try:
                    waiting += [
                        pool.submit(play_seed, text, base, seed, folder)
                        for seed in islice(rest, 2 * workers - len(waiting))
                    ]
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, held)
                if not waiting:
                    return
                yield waiting.pop(0).result()
        finally:
            # An exception can be lost within a run; the folder of all runs is this process's.
            for process in multiprocessing.active_children() if waiting else ():
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """Ctrl-C reaches each process of a terminal, and is the parent's; its end, however it comes, is this
    one's, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


Fails = Callable[[Scenario], bool]
"""Whether a shorter scenario still fails in the same way."""


def shorten(scenario: Scenario, fails: Fails, most_tries: int = MOST_TRIES) -> Scenario:
    """A scenario with fewer entries in its timeline, shorter faults and fewer devices that still ``fails``.

    By delta debugging (Zeller): no single entry, and no single device, can be left out of the result, unless
    ``most_tries`` ran out.
    """
    attempts = _Attempts(fails, most_tries)
    timeline = [*range(len(scenario.timeline))]
    chosen = _minimal(timeline, lambda kept: attempts.fails(_with_steps(scenario, kept)))
    scenario = _with_steps(scenario, chosen)
    for number in range(len(scenario.timeline)):
        while (shorter := _halved(scenario, number)) is not None and attempts.fails(shorter):
            scenario = shorter
    devices = list(scenario.devices)
    kept = _minimal(devices, lambda names: bool(names) and attempts.fails(_with_devices(scenario, names)))
    return check(_with_devices(scenario, kept))


class _Attempts:
    def __init__(self, fails: Fails, most: int) -> None:
        self._fails = fails
        self._left = most

    def fails(self, scenario: Scenario) -> bool:
        """False also where the scenario is not valid any more, or where no try is left."""
        if self._left <= 0:
            return False
        self._left -= 1
        try:
            return self._fails(check(scenario))
        except BadConfig:
            return False


def _minimal(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The ddmin algorithm: a part of ``items`` with which it still fails, from which none can be left out."""
    kept, parts = list(items), 2
    if kept and fails([]):
        return []
    while len(kept) >= 2:
        size = -(-len(kept) // parts)
        for first in range(0, len(kept), size):
            rest = kept[:first] + kept[first + size :]
            if rest and fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), 2 * parts)
    return kept


def _with_steps(scenario: Scenario, numbers: Sequence[int]) -> Scenario:
    """Only these entries of the timeline; expectations that count from another one are left out."""
    timeline = tuple(scenario.timeline[number] for number in numbers)
    names = {step.name for step in timeline}
    expect = [one for one in scenario.expect if one.after is None or one.after in names]
    return _in_order(scenario.model_copy(update={"timeline": timeline, "expect": tuple(expect)}))


def _with_devices(scenario: Scenario, names: Sequence[str]) -> Scenario:
    """Only these devices, with what the scenario says of them."""
    world = scenario.world.model_copy(
        update={"people": tuple(one for one in scenario.world.people if _is_seen(one.camera, names))}
    )
    lists = {
        key: tuple(one for one in getattr(scenario, key) if one.device is None or one.device in names)
        for key in ("timeline", "expect", "never")
    }
    devices = {name: scenario.devices[name] for name in names}
    return _in_order(scenario.model_copy(update={**lists, "devices": devices, "world": world}))


def _is_seen(camera: str | None, names: Sequence[str]) -> bool:
    return camera is None or "." not in camera or camera.partition(".")[0] in names


def _in_order(scenario: Scenario) -> Scenario:
    """Without expectations that come after one that is not there any more."""
    expect = scenario.expect
    while True:
        titles = {one.title for one in expect}
        kept = tuple(one for one in expect if one.order_after is None or one.order_after in titles)
        if len(kept) == len(expect):
            return scenario.model_copy(update={"expect": kept})
        expect = kept


def _halved(scenario: Scenario, number: int) -> Scenario | None:
    """The entry lasts half as long; None where it is short already."""
    step = scenario.timeline[number]
    if step.lasts is None or step.lasts / 2 < SHORTEST:
        return None
    half = timedelta(seconds=round(step.lasts.total_seconds() / 2, 3))
    steps = list(scenario.timeline)
    steps[number] = step.model_copy(update={"lasts": half})
    return scenario.model_copy(update={"timeline": tuple(steps)})
