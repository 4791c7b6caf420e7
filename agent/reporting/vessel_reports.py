"""The newest report on each vessel, at limited rates, so that a busy port does not fill the link. Pure."""

import math
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from agent.domain.observations import Observation
from agent.positioning.closest_approach import Kinematics, closest_approach, kinematics_of
from agent.reporting.flood_limit import MAX_COUNTED, TokenBucket
from firmware_bridge.readings import Vessel

POSITION_EVERY_S = 60.0
STATIC_EVERY_S = 900.0
"""Name, size and destination seldom change, and the name is sent with the position."""
DISTRESS_EVERY_S = 10.0
THINNING_FACTOR = 5
"""Reports are this many times rarer where bytes are short, except distress."""
REPORTS_PER_MINUTE = 240
"""Limit for each source, and the same again for urgent reports: ten thousand forged vessels neither fill the
link nor displace a call for help."""
MAX_REPORTS = 2000
"""Reports that are kept for each source, and the same number of urgent ones."""
SILENT_S = 600.0
"""A vessel without a report for this long is the first to be forgotten."""
NEAR_M, NEAR_WITHIN_S = 1000.0, 600.0
"""A vessel that comes this near within this time is sent before others."""

ReportKey: TypeAlias = tuple[int, str]
"""MMSI and category: position, static data, distress, or the text itself."""


@dataclass(slots=True)
class _Report:
    """The newest observation under a key; ``pending`` until it is sent."""

    newest: Observation
    first_s: float
    sent_s: float = -math.inf
    pending: bool = True


class _ReportBuffer:
    """The reports of one source that share a rate limit."""

    def __init__(self, urgent: bool) -> None:
        self.urgent = urgent
        self.reports: OrderedDict[ReportKey, _Report] = OrderedDict()
        self._never_sent: OrderedDict[ReportKey, None] = OrderedDict()
        """Keys of which nothing was sent yet; in both, the key with the newest observation is last."""
        self.rate = TokenBucket()

    def put(self, key: ReportKey, report: _Report) -> ReportKey | None:
        """Keeps a report; returns the key of a pending one that is forgotten for it."""
        self.reports[key] = report
        self.reports.move_to_end(key)
        if report.sent_s == -math.inf:
            self._never_sent[key] = None
            self._never_sent.move_to_end(key)
        if len(self.reports) <= MAX_REPORTS:
            return None
        oldest, now_s = next(iter(self.reports)), report.newest.mono_s
        if now_s - self.reports[oldest].newest.mono_s <= SILENT_S and len(self._never_sent) > 1:
            # a repeated key moves to the end, so that among those never sent the oldest single report goes
            oldest = next(iter(self._never_sent))
        forgotten = self.take(oldest)
        return oldest if forgotten is not None and forgotten.pending else None

    def take(self, key: ReportKey) -> _Report | None:
        """Removes a report."""
        self._never_sent.pop(key, None)
        return self.reports.pop(key, None)

    def due(
        self, now_s: float, thin: bool, first: Callable[[Observation], bool]
    ) -> tuple[list[ReportKey], list[ReportKey]]:
        """The keys to send now, oldest observation first, and the keys that are due but over the limit.

        Half of the limit goes to ``first`` and then to the vessels known for longest, half to those that have
        waited for longest, so that neither old nor new vessels can be kept out.
        """
        due = [
            key
            for key, report in self.reports.items()
            if report.pending and now_s - report.sent_s >= _every_s(key, thin and not self.urgent)
        ]
        room = self.rate.available(
            now_s, REPORTS_PER_MINUTE / (THINNING_FACTOR if thin and not self.urgent else 1)
        )
        if len(due) > room:
            by_age = sorted(
                due, key=lambda key: (not first(self.reports[key].newest), self.reports[key].first_s)
            )
            chosen = set(by_age[: room - room // 2])
            by_wait = sorted(by_age[len(chosen) :], key=lambda key: self.reports[key].sent_s)
            chosen.update(by_wait[: room // 2])
        else:
            chosen = set(due)
        self.rate.consume(len(chosen))
        for key in chosen:
            self.reports[key].sent_s, self.reports[key].pending = now_s, False
            self._never_sent.pop(key, None)
        return [key for key in due if key in chosen], [key for key in due if key not in chosen]


class VesselReports:
    """Collects vessels; gives the newest report of each when it is due again, within the limits of a source.

    Urgent are distress calls, our own vessel, and subjects of alerts: they have their own limit.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, bool], _ReportBuffer] = {}
        self._left_out: dict[str, set[int]] = {}

    def on_vessel(self, vessel: Vessel, observation: Observation, alerted: Container[str] = ()) -> None:
        """Takes one observation; ``alerted`` are the keys of active alerts, among them MMSI numbers."""
        if vessel.text is not None:
            category = vessel.text
        elif vessel.distress is not None:
            category = "distress"
        else:
            category = "static" if vessel.lat is None else "position"
        source, key = observation.source, (vessel.mmsi, category)
        in_distress = vessel.distress is not None and not vessel.test
        urgent = in_distress or bool(vessel.own) or str(vessel.mmsi) in alerted
        buffer, other = self._buffer(source, urgent), self._buffer(source, not urgent)
        report = buffer.reports.get(key) or other.take(key)
        if report is None:
            report = _Report(observation, observation.mono_s)
        report.newest, report.pending = observation, True
        forgotten = buffer.put(key, report)
        if forgotten is not None:
            self._leave_out(source, forgotten)

    def due(
        self, now_s: float, thin: bool, own: Kinematics | None = None, alerted: Container[str] = ()
    ) -> list[Observation]:
        """The reports to send now, urgent ones first, then by age; they count as sent."""
        reports = []
        for (source, urgent), buffer in sorted(self._buffers.items(), key=lambda item: not item[0][1]):
            first = partial(_is_own_or_alerted, alerted) if urgent else partial(_approaches, own, now_s)
            chosen, left_out = buffer.due(now_s, thin, first)
            reports += [buffer.reports[key].newest for key in chosen]
            for key in left_out:
                self._leave_out(source, key)
        return reports

    def pop_left_out(self, source: str) -> int:
        """The number of vessels left out since the last call, up to `MAX_COUNTED`."""
        return len(self._left_out.pop(source, ()))

    def _buffer(self, source: str, urgent: bool) -> _ReportBuffer:
        return self._buffers.setdefault((source, urgent), _ReportBuffer(urgent))

    def _leave_out(self, source: str, key: ReportKey) -> None:
        numbers = self._left_out.setdefault(source, set())
        if len(numbers) < MAX_COUNTED:
            numbers.add(key[0])


def _is_own_or_alerted(alerted: Container[str], report: Observation) -> bool:
    vessel = report.value
    return isinstance(vessel, Vessel) and (bool(vessel.own) or str(vessel.mmsi) in alerted)


def _approaches(own: Kinematics | None, now_s: float, report: Observation) -> bool:
    vessel = report.value
    other = kinematics_of(vessel, report.mono_s) if isinstance(vessel, Vessel) else None
    if own is None or other is None:
        return False
    return closest_approach(own, other, now_s, NEAR_WITHIN_S).closest_m < NEAR_M


def _every_s(key: ReportKey, thin: bool) -> float:
    if key[1] == "distress":
        return DISTRESS_EVERY_S
    return (STATIC_EVERY_S if key[1] == "static" else POSITION_EVERY_S) * (THINNING_FACTOR if thin else 1)


def motion_at(position: Mapping[str, Any] | None, now_s: float) -> Kinematics | None:
    """Our own motion, from the fields of ``position``; None where the position is unknown, poor or stale."""
    if position is None or position.get("lat") is None or position.get("trust") != "good":
        return None
    course, speed = position.get("course_deg"), position.get("speed_mps")
    age_s = position.get("age_s") or 0.0
    motion_mps = speed if course is not None and speed is not None else 0.0
    return Kinematics(position["lat"], position["lon"], motion_mps, course or 0.0, now_s - age_s)


def approach_fields(own: Kinematics | None, report: Observation, now_s: float) -> dict[str, Any]:
    """Range and closest point of approach (CPA) at present courses and speeds; empty where unknown."""
    vessel = report.value
    other = kinematics_of(vessel, report.mono_s) if isinstance(vessel, Vessel) and not vessel.own else None
    if own is None or other is None:
        return {}
    cpa = closest_approach(own, other, now_s)
    return {
        "range_m": round(cpa.range_m),
        "bearing_deg": round(cpa.bearing_deg),
        "cpa_m": round(cpa.closest_m),
        "cpa_s": round(cpa.seconds),
    }
