"""No position and no clock is better than its error says. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from simulators.checker.finding import Finding
from simulators.checker.history import Device, History
from simulators.run_record import Fields

EARTH_M = 6_371_008.8
FACT_COUNTS_S = 2.0
"""The last fact of an object that moves counts this long."""
ENOUGH = 20
"""Positions from which their share within the claimed error is judged."""
SPEED_SLACK_S = 0.2
"""How far a device may have moved since its position was true, in seconds of its speed."""


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Along the great circle (haversine), independent of the agent's plane."""
    north, east = math.radians(other_lat - lat), math.radians(other_lon - lon)
    chord = math.sin(north / 2) ** 2
    chord += math.cos(math.radians(lat)) * math.cos(math.radians(other_lat)) * math.sin(east / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(chord)))


def truth_at(facts: Sequence[Fields], second: float) -> tuple[float, float, float] | None:
    """Latitude, longitude and speed at ``second``, between two facts; None outside of them."""
    place = bisect_right(facts, second, key=lambda one: one["t"])
    if place == 0:
        return None
    before = facts[place - 1]
    if place == len(facts):
        here = before["lat"], before["lon"], before.get("speed_mps", 0.0)
        return here if second - before["t"] < FACT_COUNTS_S or not here[2] else None
    after = facts[place]
    share = (second - before["t"]) / (after["t"] - before["t"])
    lat, lon = (before[key] + share * (after[key] - before[key]) for key in ("lat", "lon"))
    return lat, lon, max(before.get("speed_mps", 0.0), after.get("speed_mps", 0.0))


def positions_are_as_good_as_they_say(history: History) -> Iterator[Finding]:
    """No trusted position of a device, and no place of an alert, is off by more than its error allows; 19 of
    20 positions are within twice the 1 sigma that they claim."""
    for device in history.devices.values():
        within, count = 0, 0
        for t, body in device.sent("position"):
            if body.get("lat") is None or body.get("historical") or body.get("trust") != "good":
                continue
            if body.get("age_s", 0.0) > body.get("stale_after_s", float("inf")):
                text = f"a position is called good that is {body['age_s']:g} s old"
                yield Finding("positions_are_as_good_as_they_say", device.name, text, t)
                break
            found = _off(device, body, t - body.get("age_s", 0.0))
            if found is None:
                continue
            off_m, slack_m = found
            claimed_m = body.get("error_m") or history.limits.unclaimed_m
            count += 1
            within += off_m <= history.limits.position_sigmas * claimed_m + slack_m
            if off_m > history.limits.position_times * claimed_m + slack_m:
                text = f"a position is off by {off_m:.0f} m, and claims {claimed_m:g} m"
                yield Finding("positions_are_as_good_as_they_say", device.name, text, t)
                break
        if count >= ENOUGH and within < history.limits.position_share * count:
            text = f"{within} of {count} positions are within twice their error"
            yield Finding("positions_are_as_good_as_they_say", device.name, text)
        yield from _alert_points(history, device)


def _off(device: Device, body: Mapping[str, Any], second: float) -> tuple[float, float] | None:
    """How far a place is from the device, and how far the device may have moved meanwhile, in metres."""
    place = device.config.get("place", {})
    truth = truth_at(device.truth, second) if device.truth else None
    if not device.truth and place.get("lat") is not None:
        truth = place["lat"], place["lon"], 0.0
    return _off_truth(body, truth)


def _off_truth(
    body: Mapping[str, Any], truth: tuple[float, float, float] | None
) -> tuple[float, float] | None:
    if truth is None:
        return None
    return distance_m(body["lat"], body["lon"], truth[0], truth[1]), truth[2] * SPEED_SLACK_S


def _alert_points(history: History, device: Device) -> Iterator[Finding]:
    for t, body in device.sent("alert"):
        alert = body.get("alert", {})
        point = (
            alert.get("point") if alert.get("phase") == "new" else None
        )  # later ones may be of a while ago
        if not isinstance(point, dict) or body.get("historical") or point.get("trust") == "low":
            continue
        if alert.get("phase") == "end":  # it repeats the last point of what has gone since
            continue
        claimed_m = point.get("error_m") or history.limits.unclaimed_m
        if point.get("how") not in ("surveyed", "gnss", "drone", "ground_plane", "ground_ray"):
            continue
        then_s = t - point.get("age_s", 0.0)
        near = [_off(device, point, then_s)] if point["how"] in ("surveyed", "gnss") else []
        near += [_off_truth(point, truth_at(facts, then_s)) for facts in history.objects.values()]
        off_m, slack_m = min((one for one in near if one is not None), default=(0.0, 0.0))
        if off_m > history.limits.position_times * claimed_m + slack_m:
            text = f"{alert.get('rule')} is off by {off_m:.0f} m, and claims {claimed_m:g} m ({point['how']})"
            yield Finding("positions_are_as_good_as_they_say", device.name, text, t)
            return


def clocks_are_as_good_as_they_say(history: History) -> Iterator[Finding]:
    """A message that claims an error of its clock has its instant within that error; judged where the record
    has the instant at which the run began (event ``began``, ``at``)."""
    starts = [one["at"] for one in history.common if one["event"] == "began"]
    if not starts:
        return
    began = datetime.fromisoformat(starts[0])
    for device in history.devices.values():
        for t, topic, body in device.messages:
            error_ms = body.get("clock", {}).get("error_ms")
            if error_ms is None or topic != "health" or body.get("historical"):
                continue  # health is made when it is sent, or a few seconds before
            off_s = (datetime.fromisoformat(body["at"]) - began).total_seconds() - t
            if abs(off_s) > error_ms / 1000 + history.limits.clock_slack_s:
                text = f"its clock is {off_s:+.1f} s off, and claims {error_ms:g} ms"
                yield Finding("clocks_are_as_good_as_they_say", device.name, text, t)
                break
