"""Plays the scenario of a mutation."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from agent.runtime.logging_setup import set_up_log
from bench.mutations.mutation import MUTATIONS, Patch
from bench.mutations.troubles import TROUBLES, TROUBLES_NAME
from simulators.scenario.loader import SCENARIOS, check, find_scenario, parse
from simulators.scenario.session import run_scenario
from simulators.scenario.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Played:
    """``broken``: each expectation and invariant that is not met, with its first detail."""

    name: str
    scenario: str
    verdict: str
    effects: int
    broken: tuple[tuple[str, str], ...]
    wall_s: float
    cpu_s: float

    @property
    def noticed(self) -> bool:
        """A fault that the mutation kept from its effect leaves the run incomplete: also red."""
        missed = [what for what, _ in self.broken if what not in ("incomplete", "run")]
        return self.verdict in ("failed", "incomplete") and bool(missed) and self.effects > 0


def play_mutated(name: str, folder: Path) -> Played:
    """Plays the scenario of a mutation, in this process."""
    mutation = MUTATIONS[name]
    patch = Patch()
    try:
        mutation.apply(patch)
        return _played(name, mutation.scenario, folder, patch)
    except Exception as error:  # the run ended: that is no verdict
        return Played(name, mutation.scenario, "ended", patch.effects, (("run", repr(error)),), 0.0, 0.0)
    finally:
        patch.close()


def _played(name: str, scenario: str, folder: Path, patch: Patch) -> Played:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    verdict = _play(scenario, folder)
    broken = [(one.name, one.detail) for one in verdict.unmet()]
    broken += [("incomplete", line) for line in verdict.incomplete]
    return Played(
        name, scenario, verdict.verdict, patch.effects, tuple(broken),
        time.monotonic() - wall_s, time.process_time() - cpu_s,
    )  # fmt: skip


def _play(name: str, folder: Path) -> Verdict:
    if name == TROUBLES_NAME:
        return run_scenario(parse(TROUBLES, name=name, base=SCENARIOS), folder)[0]
    return run_scenario(check(find_scenario(name).model_copy(update={"clock": "virtual"})), folder)[0]


def play_by_name(name: str) -> Played:
    """A mutation, or the scenario ``= NAME`` without one."""
    set_up_log("critical")
    with tempfile.TemporaryDirectory(prefix="ringpost-mutation-") as folder:
        if name.startswith("="):
            return _played("none", name[1:], Path(folder), Patch())
        return play_mutated(name, Path(folder))
