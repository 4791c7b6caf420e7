"""What a run of the fleet has shown, from what its processes, the monitor and the database say. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Stored:
    """An alert's message in the centre's database."""

    alert_id: str
    at: str
    received_at: str


@dataclass(slots=True)
class FleetData:
    """``agents`` and ``thin``: what each child process has said."""

    agents: list[dict[str, Any]]
    thin: list[dict[str, Any]]
    stored: Mapping[str, Mapping[str, Stored]]
    """By device and id: messages that began an alert."""
    receipt_s: Mapping[str, float] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)
    storm_s: tuple[float, float] | None = None
    """When the broker went down and was back, in seconds since 1970."""
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What broker and centre used."""


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest; empty without values."""
    found = sorted(values)
    if not found:
        return {}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: round(found[max(0, math.ceil(share * len(found)) - 1)], 1) for name, share in shares.items()
    }


def summarise(data: FleetData) -> dict[str, Any]:
    """The figures in JSON. ``lost`` counts presses that the agent took and that are neither at the centre nor
    on its disk; ``told_twice`` presses with more than one alert."""
    devices = [one for child in data.agents for one in child["results"]]
    stored = {one["device"]: data.stored.get(one["device"], {}) for one in devices}
    lost = sum(_lost(one, stored[one["device"]]) for one in devices)
    twice = sum(
        max(0, len({alert.alert_id for alert in stored[one["device"]].values()}) - one["pressed"])
        for one in devices
    )
    delays_ms = [
        1000 * (data.receipt_s.get(message_id, _unix_s(alert.received_at)) - _unix_s(alert.at))
        for alerts in stored.values()
        for message_id, alert in alerts.items()
    ]
    count = len(devices)
    found: dict[str, Any] = {
        "agents": count,
        "processes": len(data.agents),
        "presses": sum(one["pressed"] for one in devices),
        "taken": sum(one["taken"] for one in devices),
        "committed": sum(map(len, stored.values())),
        "on_disk": sum(len(one["on_disk"]) for one in devices),
        "lost": lost,
        "told_twice": twice,
        "repeats": sum(times - 1 for times in data.sent.values()),
        "died": [name for child in data.agents for name in child["died"]],
        "finding_to_commit_ms": percentiles(delays_ms),
        "per_agent": _per_agent(data.agents, count),
        "services": data.services,
    }
    if data.thin:
        found["thin"] = {
            "clients": sum(one["connected"] for one in data.thin),
            "messages_per_s": round(sum(one["messages_per_s"] for one in data.thin), 1),
            "cpu_ms_per_s": round(sum(one["cpu_ms_per_s"] for one in data.thin), 1),
        }
    if data.storm_s is not None:
        found["storm"] = _storm(devices, *data.storm_s)
    return found


def _lost(device: Mapping[str, Any], stored: Mapping[str, Stored]) -> int:
    """Presses that the agent took, and alerts that it raised, that are nowhere."""
    there, raised, taken = stored.keys() | set(device["on_disk"]), set(device["raised"]), int(device["taken"])
    return max(taken - len(there), len(raised - there))


def _per_agent(children: Sequence[Mapping[str, Any]], count: int) -> dict[str, float]:
    """The share of one agent of what all processes use; memory without that of an empty process, too."""

    def share(name: str) -> float:
        return round(sum(float(one[name]) for one in children) / max(count, 1), 2)

    more_mb = sum(one["idle_mb"] - one["base_mb"] for one in children) / max(count, 1)
    return {
        "cpu_ms_per_s": share("cpu_ms_per_s"), "rss_mb": share("rss_mb"), "pss_mb": share("pss_mb"),
        "more_mb": round(more_mb, 2), "threads": share("threads"), "descriptors": share("descriptors"),
    }  # fmt: skip


def _storm(devices: Sequence[Mapping[str, Any]], down_s: float, back_s: float) -> dict[str, Any]:
    lost = [one for one in devices if one["link_lost_s"] is not None]
    back = [one["link_back_s"] - back_s for one in lost if one["link_back_s"] is not None]
    return {
        "down_s": round(back_s - down_s, 1),
        "links_lost": len(lost),
        "links_back": len(back),
        "back_after_s": percentiles(back),
    }


def _unix_s(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
