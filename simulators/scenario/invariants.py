"""The invariants of a run: those of `simulators.checker`, and the count on both disks."""

from simulators.checker.check import INVARIANTS, check
from simulators.run_record import RunRecord
from simulators.scenario.delivery import DeliveryProof
from simulators.scenario.expectations import Outcome
from simulators.scenario.model import Scenario

NOTHING_LOST = "nothing_lost"
SHOWN = 3
"""Findings of one invariant that its detail quotes."""


def judge_invariants(scenario: Scenario, record: RunRecord, counts: DeliveryProof) -> list[Outcome]:
    """Each invariant that the scenario asks for, in the order of the checker."""
    settings = scenario.invariants
    wanted = settings.only or tuple(INVARIANTS)
    excepted = {one.name for one in settings.excepted}
    chosen = [name for name in wanted if name not in excepted and name in INVARIANTS]
    configs = {name: one.tree for name, one in scenario.devices.items()}
    broken: dict[str, list[str]] = {}
    for finding in check(record, configs, invariants=chosen):
        broken.setdefault(finding.invariant, []).append(str(finding).partition(": ")[2])
    outcomes = [
        Outcome(name, _sentence(name), name not in broken, detail=_quote(broken.get(name, [])))
        for name in chosen
    ]
    text = "Each alert message is at the centre or on the disk of its device."
    return [*outcomes, Outcome(NOTHING_LOST, text, counts.lost <= 0, detail=str(counts))]


def _sentence(name: str) -> str:
    """The first sentence of an invariant, for people."""
    return " ".join((INVARIANTS[name].__doc__ or name).split("\n\n")[0].split())


def _quote(findings: list[str]) -> str:
    more = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    return "; ".join(findings[:SHOWN]) + more
