"""Makes the messages of this device: its envelope, the session, and the quality of its clock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.domain.message import RANKS, Lane, Message
from agent.mqtt.envelope import Envelope
from agent.reporting.clock_quality import ClockWatch


class MessageFactory:
    """One method for each kind of message that more than one part sends; `make` for all others."""

    def __init__(self, envelope: Envelope, clock: ClockWatch) -> None:
        self._envelope = envelope
        self._clock = clock
        self.session = 0
        """The number of the present connection."""

    @property
    def prefix(self) -> str:
        """The topic of this device, above all its topics."""
        return self._envelope.prefix

    def make(
        self,
        schema: str,
        fields: Mapping[str, Any],
        lane: Lane,
        topic: str,
        at: datetime,
        now_s: float,
        **options: Any,
    ) -> Message:
        """One message with this device's envelope; ``options`` as `Envelope.message` takes them."""
        return self._envelope.message(
            schema, fields, lane=lane, topic=topic, session=self.session, at=at,
            clock=self._clock.state(now_s), **options,
        )  # fmt: skip

    def alert(
        self, fields: Mapping[str, Any], steps_ms: Mapping[str, float], at: datetime, now_s: float
    ) -> Message:
        """``alert``: one phase of an alert, with the latency of each step so far."""
        body = {"alert": fields, "latency_ms": steps_ms}
        rank, group = RANKS[fields["severity"]], fields["alert_id"]
        return self.make("alert/1", body, "alert", "alert", at, now_s, rank=rank, group=group)

    def active_alerts(self, fields: Mapping[str, Any], at: datetime, now_s: float) -> Message:
        """``alerts/active``: the active alerts, the most severe first."""
        return self.make("alerts_active/1", fields, "status", "alerts/active", at, now_s, retain=True)

    def command_result(self, fields: Mapping[str, Any], at: datetime, now_s: float) -> Message:
        """``command/result``: the outcome of a command."""
        return self.make("command_result/1", fields, "result", "command/result", at, now_s)

    def config_reported(self, fields: Mapping[str, Any], at: datetime, now_s: float) -> Message:
        """``config/reported``: the outcome of the last push, and the configuration in force."""
        topic = "config/reported"
        return self.make("config_reported/1", fields, "status", topic, at, now_s, retain=True)

    def gap(self, fields: Mapping[str, Any], at: datetime, now_s: float) -> Message:
        """``gap``: sequence numbers of messages that were lost."""
        return self.make("gap/1", fields, "result", "gap", at, now_s)

    def egress(self, entry: Mapping[str, Any], at: datetime, now_s: float) -> Message:
        """``telemetry/egress``: an entry of the egress log, for a picture that leaves the device."""
        fields = {"source": "egress", "values": [{"kind": "picture_left", **entry}]}
        return self.make("telemetry/1", fields, "telemetry", "telemetry/egress", at, now_s)
