"""One alert on the map: what the device says of it, and what people did about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agent.runtime.sanitize import as_dict, as_list
from centre.map.field_values import coordinates, instant, name, number, text, texts, whole
from centre.map.stored_message import StoredMessage
from centre.picture_access import NAME as PICTURE_NAME

State = Literal["open", "acknowledged", "ended"]
"""``open``: nobody has acknowledged it. ``acknowledged``: it is being handled. ``ended``: it is over."""
RANKS = {"critical": 0, "warning": 1, "info": 2}
UNKNOWN_RANK = 0
"""A severity that nobody knows is shown first, not last."""
NOT_LISTED = "the device does not list it any more"


@dataclass(frozen=True, slots=True)
class AlertPlace:
    """Where it happens; ``how`` as in docs/centre.md. ``error_m``: None where it is unknown."""

    lat: float
    lon: float
    error_m: float | None
    how: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer, as the device confirmed it: by role, never by name."""

    role: str
    action: str
    at: datetime | None
    reason: str


@dataclass(slots=True, eq=False)
class QueuedAlert:
    """An alert of a device. `AlertQueue` makes and updates it; ``version`` grows with each change."""

    device: str
    alert_id: str
    received_at: datetime
    """When the centre committed its first message."""
    updated_at: datetime
    """When the device made its newest message."""
    phase: str = ""
    severity: str = ""
    kind: str = ""
    rule: str = ""
    text: str = ""
    camera: str = ""
    zone: str = ""
    label: str = ""
    count: int | None = None
    score: float | None = None
    since: datetime | None = None
    point: AlertPlace | None = None
    need_ack: bool = False
    answer: Answer | None = None
    escalation: int = 0
    over: bool = False
    """The condition has cleared, and only the acknowledgement is missing."""
    silenced_until: datetime | None = None
    verified: bool | str | None = None
    """The verdict of the device's second look; a text where it came too late, None where it made none."""
    reason: str = ""
    """Why it ended."""
    media: tuple[str, ...] = ()
    steps_ms: dict[str, float] = field(default_factory=dict)
    """The latency of each step at the device, and ``device_to_centre``, of the first message."""
    drill: bool = False
    simulated: bool = False
    historical: bool = True
    """Until the first message that the device sent as it happened."""
    listed: bool = True
    """Whether the newest list of the device has it."""
    number: tuple[str, int] | None = None
    """Epoch and sequence number of the newest message."""
    session: int = 0
    """That of the newest message."""
    announced: bool = False
    """Whether it was an alarm after the last batch of messages."""
    version: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.device, self.alert_id

    @property
    def state(self) -> State:
        if self.drill or self.phase == "end" or not self.listed:
            return "ended"
        return "open" if self.answer is None else "acknowledged"

    @property
    def end_reason(self) -> str:
        if self.state != "ended" or self.drill:
            return ""
        return self.reason if self.phase == "end" or self.reason else NOT_LISTED

    @property
    def shown_as(self) -> Literal["alert", "drill", "simulated", "historical"]:
        """Only ``alert`` is one; the others are shown as what they are."""
        if self.drill:
            return "drill"
        if self.simulated:
            return "simulated"
        return "historical" if self.historical else "alert"

    @property
    def alarm(self) -> bool:
        """Whether it asks for a person now, with sound."""
        return self.state == "open" and self.shown_as == "alert"

    @property
    def began_at(self) -> datetime:
        """When it began, by the device; never after the centre had it."""
        return self.received_at if self.since is None else min(self.since, self.received_at)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of its pictures as `centre.picture_access` takes them."""
        names = (f"{self.device}/{self.alert_id}-{topic.rpartition('/')[2]}.jpg" for topic in self.media)
        return tuple(name for name in names if PICTURE_NAME.fullmatch(name))

    def age_s(self, now: datetime) -> float:
        return max(0.0, (now - self.began_at).total_seconds())

    def order(self) -> tuple[Any, ...]:
        """Alarms first; by severity, the unanswered ones, then the oldest. Ended last, the newest first."""
        if self.state == "ended":
            return (2, 0, 0, -self.updated_at.timestamp())
        rank = RANKS.get(self.severity, UNKNOWN_RANK)
        return (self.shown_as != "alert", rank, self.state != "open", self.began_at.timestamp())

    def update(self, message: StoredMessage) -> None:
        """Takes a message of ``alert``: the newest one, by its phase and its time, counts."""
        fields = as_dict(message.body.get("alert"))
        first = not self.phase
        self.historical = self.historical and message.historical
        self.simulated = self.simulated or message.simulated
        self.drill = self.drill or message.body.get("drill") is True or fields.get("drill") is True
        phase = name(fields.get("phase"))
        self.drill = self.drill or phase == "drill"
        if phase == "new" or first:
            self._read_steps(message)
        if not first and (self.phase == "end" or self._is_late(message)):
            return
        epoch, seq = message.body.get("epoch"), message.body.get("seq")
        self.number = (epoch, seq) if isinstance(epoch, str) and isinstance(seq, int) else None
        self.session = whole(message.body.get("session")) or 0
        self.phase, self.updated_at, self.listed = phase, message.made_at, True
        self.read(fields)
        self.camera = name(fields.get("camera")) or name(fields.get("source"))
        self.label, self.count = name(fields.get("label")), whole(fields.get("count"))
        self.score = number(fields.get("score"), 0, 1)
        self.point = _place(as_dict(fields.get("point"))) or self.point
        self.need_ack = fields.get("need_ack") is True
        self.reason = text(fields.get("reason"))
        self.media = texts(fields.get("media")) or self.media

    def _is_late(self, message: StoredMessage) -> bool:
        """Whether a newer phase is known: the phases come in order, but not those that are sent again."""
        epoch, seq = message.body.get("epoch"), message.body.get("seq")
        if self.number is not None and epoch == self.number[0] and isinstance(seq, int):
            return self.is_newer(message.body)
        session = whole(message.body.get("session"))
        of_older_session = session is not None and session <= self.session
        return (message.historical or of_older_session) and message.made_at < self.updated_at

    def is_newer(self, body: Mapping[str, Any]) -> bool:
        """Whether the device made its newest message of the alert after ``body``, by its own count."""
        epoch, seq = body.get("epoch"), body.get("seq")
        return (
            self.number is not None
            and epoch == self.number[0]
            and isinstance(seq, int)
            and seq < self.number[1]
        )

    def read(self, fields: Mapping[str, Any]) -> None:
        """The fields that ``alert`` and ``alerts/active`` have in common."""
        self.severity = name(fields.get("severity")) or self.severity
        self.kind, self.rule = name(fields.get("kind")) or self.kind, name(fields.get("rule")) or self.rule
        self.text, self.zone = text(fields.get("text")) or self.text, name(fields.get("zone")) or self.zone
        self.since = instant(fields.get("since")) or self.since
        self.escalation = whole(fields.get("escalation"), 0, 10**6) or 0
        self.over = fields.get("over") is True
        self.silenced_until = instant(as_dict(fields.get("silenced")).get("until"))
        verified = fields.get("verified")
        self.verified = verified if isinstance(verified, bool) else name(verified) or self.verified
        answer = as_dict(fields.get("acknowledged"))
        if answer:
            self.answer = Answer(
                name(answer.get("role")),
                name(answer.get("action")),
                instant(answer.get("at")),
                text(answer.get("reason")),
            )

    def _read_steps(self, message: StoredMessage) -> None:
        steps = list(as_dict(message.body.get("latency_ms")).items())[:20]
        found = {name(step): number(value, 0, 10**10) for step, value in steps}
        self.steps_ms = {step: ms for step, ms in found.items() if ms is not None}
        if not message.historical:
            self.steps_ms["device_to_centre"] = round(message.under_way.total_seconds() * 1000, 1)


def _place(point: Mapping[str, Any]) -> AlertPlace | None:
    place = coordinates(point.get("lat"), point.get("lon"))
    if place is None:
        return None
    return AlertPlace(*place, number(point.get("error_m"), 0, 10**7), name(point.get("how")))


def alert_id_of(body: Mapping[str, Any]) -> str:
    """The id in a message of ``alert``; empty where it has none."""
    found = as_dict(body.get("alert")).get("alert_id")
    return found if isinstance(found, str) else ""


def listed_ids(body: Mapping[str, Any]) -> frozenset[str]:
    """The alerts that ``alerts/active`` lists."""
    return frozenset(str(as_dict(one).get("alert_id")) for one in as_list(body.get("alerts")))
