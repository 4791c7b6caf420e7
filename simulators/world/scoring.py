"""Scores what devices reported against the truth of a run: positions, points of alerts, delays. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from simulators.run_record import RunRecord
from simulators.world.true_places import TruePlaces, distance_m, reported_position

JUMP_M = 30.0
"""A reported step is a jump where it differs by more than this from the true one."""
SIGMAS = 3.0
"""A position is worse than its error says beyond so many times the error that it claims."""
TIMING_S = 0.2
"""A position holds at its time within this: with its speed, so many metres are no error."""
GROUND = ("ground_plane", "ground_ray")
"""Points of alerts that are of what the camera sees; their error is a radius of 95 %."""
LABELS = {"person": ("person", "officers"), "boat": ("vessel",)}
"""The kinds of the truth that a label may mean."""


@dataclass(frozen=True, slots=True)
class PositionError:
    """One reported position: seconds of the run, metres from the truth, the 1 sigma that it claims."""

    t: float
    error_m: float
    claimed_m: float | None
    trust: str
    slack_m: float = 0.0

    @property
    def worse_than_claimed(self) -> bool:
        """Whether the error is more than `SIGMAS` times the claimed one; one with a doubt claims none."""
        claims = self.trust == "good" and self.claimed_m is not None
        return claims and self.error_m > SIGMAS * (self.claimed_m or 0.0) + self.slack_m


@dataclass(frozen=True, slots=True)
class PositionScore:
    """The positions that one device reported. Metres."""

    reported: int
    median_m: float
    p95_m: float
    worst_m: float
    claimed: int
    """How many claim an error and have full trust."""
    worse_than_claimed: int
    jumps: int

    @property
    def share_worse(self) -> float:
        """The share of positions whose error exceeds `SIGMAS` times the claimed one."""
        return self.worse_than_claimed / self.claimed if self.claimed else 0.0


@dataclass(frozen=True, slots=True)
class PointError:
    """The point of one alert message, and the nearest that it may mean. ``radius_m``: claimed, 95 %."""

    t: float
    device: str
    rule: str
    alert_id: str
    how: str
    of: str
    error_m: float
    radius_m: float | None


def position_errors(record: RunRecord, device: str) -> list[PositionError]:
    """The errors of the positions that a device reported, in order."""
    places, found = TruePlaces(record), []
    for message in record.messages:
        if message["device"] != device or message["topic"] != "position":
            continue
        error_m, body = places.error_m(message), message["body"]
        if error_m is not None:
            slack_m = TIMING_S * places.speed_mps(device, message["t"])
            found.append(
                PositionError(message["t"], error_m, body.get("error_m"), str(body.get("trust")), slack_m)
            )
    return found


def score_positions(record: RunRecord) -> dict[str, PositionScore]:
    """By device that reported a position: its score."""
    places = TruePlaces(record)
    names = dict.fromkeys(one["device"] for one in record.messages if one["topic"] == "position")
    scores = {}
    for name in names:
        errors = position_errors(record, name)
        if not errors:
            continue
        sizes = sorted(one.error_m for one in errors)
        claimed = [one for one in errors if one.trust == "good" and one.claimed_m is not None]
        scores[name] = PositionScore(
            reported=len(errors),
            median_m=_quantile(sizes, 0.5),
            p95_m=_quantile(sizes, 0.95),
            worst_m=sizes[-1],
            claimed=len(claimed),
            worse_than_claimed=sum(one.worse_than_claimed for one in claimed),
            jumps=sum(1 for _ in jumps(record, name, places)),
        )
    return scores


def jumps(record: RunRecord, device: str, places: TruePlaces | None = None) -> Iterator[tuple[float, float]]:
    """Second and metres of each step between two reported positions that the device did not make."""
    places = places or TruePlaces(record)
    steps = []
    for message in record.messages:
        if message["device"] == device and message["topic"] == "position":
            reported = reported_position(message)
            true = places.at(device, places.holds_s(message))
            if reported is not None and true is not None:
                steps.append((message["t"], reported, true))
    for (_, before, was), (second, after, now) in pairwise(steps):
        off_m = abs(distance_m(before, after) - distance_m(was, now))
        if off_m > JUMP_M:
            yield second, off_m


def point_errors(record: RunRecord) -> list[PointError]:
    """The error of the point of each alert message that has one and a truth."""
    places, found = TruePlaces(record), []
    for message in record.messages:
        alert = message["body"].get("alert") if message["topic"] == "alert" else None
        reported = reported_position(message) if isinstance(alert, Mapping) else None
        if alert is None or reported is None:
            continue
        how = str(alert["point"].get("how"))
        second = places.holds_s(message)
        near = [
            (distance_m(reported, true), name)
            for name in _meant(alert, how, message["device"], places)
            if (true := places.at(name, second)) is not None
        ]
        if near:
            error_m, name = min(near)
            found.append(
                PointError(
                    message["t"], message["device"], str(alert.get("rule")), str(alert.get("alert_id")),
                    how, name, error_m, alert["point"].get("error_m"),
                )
            )  # fmt: skip
    return found


def delays_s(record: RunRecord, event: str, rule: str, device: str | None = None) -> list[float | None]:
    """For each ``event`` of the truth: seconds until the next new alert of ``rule``; None where none came."""
    raised = [
        message["t"]
        for message in record.messages
        if message["topic"] == "alert"
        and message["body"]["alert"].get("rule") == rule
        and message["body"]["alert"].get("phase") == "new"
        and device in (None, message["device"])
    ]
    times = [one["t"] for one in record.truth if one.get("event") == event]
    return [next((at_s - second for at_s in raised if at_s >= second), None) for second in times]


def _meant(alert: Mapping[str, Any], how: str, device: str, places: TruePlaces) -> list[str]:
    """What the point of an alert may be of."""
    if how == "ais":
        words = f"{alert.get('key')} {alert.get('text')} {alert.get('mmsi')}"
        vessels = places.objects(("vessel", "beacon", "buoy", "shore_station", "device"))
        return [name for name in vessels if name in words] or [name for name in vessels if name != device]
    if how not in GROUND:
        return [device, *(name for name in places.objects(("drone",)) if name == f"{device}.drone")]
    kinds = LABELS.get(str(alert.get("label")), ("person", "officers", "vessel", "vehicle", "device"))
    return [name for name in places.objects(kinds) if name != device]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
