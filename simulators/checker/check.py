"""The invariants of a run, by name, and `check`, which applies them to a record."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from simulators.checker import delivery, honesty, liveness, places, sending, sequence, telling
from simulators.checker.finding import Finding, Limits
from simulators.checker.history import History
from simulators.run_record import RunRecord

Invariant: TypeAlias = Callable[[History], Iterator[Finding]]

INVARIANTS: dict[str, Invariant] = {
    one.__name__: one
    for one in (
        delivery.accepted_alerts_are_kept,
        delivery.receipts_follow_commits,
        delivery.commits_get_receipts,
        delivery.centre_has_what_was_sent,
        delivery.alerts_are_on_disk_first,
        delivery.one_id_one_message,
        delivery.everything_is_simulated,
        sequence.one_number_one_message,
        sequence.numbers_are_explained,
        telling.phases_are_in_order,
        telling.one_fact_one_alert,
        telling.presses_raise_alerts,
        places.positions_are_as_good_as_they_say,
        places.clocks_are_as_good_as_they_say,
        honesty.dead_devices_look_dead,
        honesty.faults_are_told,
        honesty.only_troubles_are_told,
        sending.health_agrees_with_status,
        sending.critical_alerts_go_first,
        sending.repeats_are_bounded,
        liveness.all_heals,
        liveness.memory_is_bounded,
    )
}
"""Each with its sentence as docstring."""


def check(
    record: RunRecord,
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    invariants: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    limits: Limits | None = None,
    memory_mb: Sequence[float] = (),
) -> list[Finding]:
    """All that contradicts the invariants, in their order; empty where the run kept its promises.

    ``configs``: the configuration of each device, by name. ``invariants``: the names of those to apply, by
    default all but ``leave_out``. ``memory_mb``: measurements of the process, in order of time. ValueError
    for an unknown name. A record without the state of both disks at the end (`simulators.checker.disks`) is
    a finding.
    """
    chosen = list(INVARIANTS if invariants is None else invariants)
    if unknown := [name for name in (*chosen, *leave_out) if name not in INVARIANTS]:
        raise ValueError(f"unknown invariant {unknown[0]!r}; known: {', '.join(INVARIANTS)}")
    history = History(record, configs or {}, limits or Limits(), memory_mb)
    return [
        finding
        for name, invariant in INVARIANTS.items()
        if name in chosen and name not in leave_out
        for finding in invariant(history)
    ]
