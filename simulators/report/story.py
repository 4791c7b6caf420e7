"""What a run tells, for people: states, alerts and their way to the centre, tracks, and a log."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Span:
    """A state from ``begin`` to ``end``, seconds since the start of the run; ``why`` for people."""

    state: str
    begin: float
    end: float
    why: str = ""


@dataclass(slots=True)
class AlertPhase:
    """One alert message: the instants of its way, in seconds since the start; None: not there yet."""

    id: str
    phase: str
    sent: float | None = None
    """The broker took it, the first time."""
    found: float | None = None
    """A rule raised it."""
    stored: float | None = None
    """It is on the device's disk."""
    committed: float | None = None
    """It is in the centre's database."""
    repeats: int = 0

    def steps(self) -> tuple[float | None, float | None, float | None]:
        """Milliseconds from finding to disk, to the broker, to the commit."""
        return (
            _between(self.found, self.stored),
            _between(self.stored, self.sent),
            _between(self.sent, self.committed),
        )

    def total(self) -> float | None:
        """Milliseconds from finding to commit."""
        return _between(self.found, self.committed)


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, (end - begin) * 1000)


@dataclass(slots=True)
class AlertStory:
    """One alert of a device with its phases."""

    device: str
    alert_id: str
    rule: str
    severity: str
    text: str
    phases: list[AlertPhase] = field(default_factory=list)
    ended: bool = False

    def until(self) -> float | None:
        """When its end was sent."""
        return max((phase.sent or 0.0 for phase in self.phases), default=0.0) if self.ended else None


@dataclass(slots=True)
class DeviceStory:
    """One device: its states by its own words, and those of each source."""

    name: str
    kind: str = ""
    states: list[Span] = field(default_factory=list)
    sources: dict[str, list[Span]] = field(default_factory=dict)
    messages: int = 0

    def trouble_s(self) -> float:
        """How long it was not online."""
        return sum(span.end - span.begin for span in self.states if span.state != "online")


@dataclass(slots=True)
class LogLine:
    """One event: ``kind`` is alert, status, fault, world, action or part."""

    t: float
    kind: str
    device: str
    text: str
    level: str = "info"
    """``critical``, ``warning``, ``info`` or ``good``."""


@dataclass(slots=True)
class TrackPoint:
    """A position at a second; ``error_m`` and ``trust`` where a device reports it."""

    t: float
    lat: float
    lon: float
    error_m: float | None = None
    trust: str = ""


@dataclass(slots=True)
class Story:
    """All of a run."""

    duration_s: float = 0.0
    devices: dict[str, DeviceStory] = field(default_factory=dict)
    alerts: dict[tuple[str, str], AlertStory] = field(default_factory=dict)
    """By device and alert id."""
    log: list[LogLine] = field(default_factory=list)
    truth: dict[str, list[TrackPoint]] = field(default_factory=dict)
    """Where each device and object is; posts that stay have one point."""
    kinds: dict[str, str] = field(default_factory=dict)
    """By name in ``truth``: person, vessel, drone, or the device's kind."""
    reported: dict[str, list[TrackPoint]] = field(default_factory=dict)
    """Where each device says that it is."""
    alert_points: list[tuple[AlertStory, TrackPoint]] = field(default_factory=list)
    """Where each alert says that it happened."""
    topics: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    receipts: int = 0
    facts: list[tuple[float, str, str]] = field(default_factory=list)
    """Events of the world: second, event, and the object or device."""
    phases: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By object: from when on it is in which phase, such as ``drifting``."""
    left_out: list[str] = field(default_factory=list)
    """What the page does not show, one line each."""
