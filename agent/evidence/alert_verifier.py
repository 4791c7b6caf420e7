"""Holds back new critical alerts of cameras for their second look, and amends them with its verdict.

    alert ─▶ marked: not_in_time ─▶ written at once ─▶ held by the outbox, in memory only
                                                         ├─ verdict ─▶ amended in one commit ─▶ sent
                                                         ├─ a later phase of the alert ─▶ sent, with it
                                                         └─ the limit ─▶ sent as it lies there

So a second look delays an alert by its limit at most, and swallows none: after a power cut nothing is held.
Outputs, pictures and the list of active alerts wait for nothing.
"""

import json
from dataclasses import replace

from agent.alerts.alert import Alert
from agent.alerts.latency import LatencyLedger
from agent.alerts.rule_engine import RuleEngine
from agent.alerts.verification import NOT_IN_TIME, SecondLook, Verified
from agent.domain.message import Message, encode
from agent.evidence.second_look import SecondLooks
from agent.host.clock import monotonic_s
from agent.outbox.outbox import Outbox
from agent.outbox.write_buffer import WriteBuffer

AMENDED = ("score", "verified", "second_look")
"""The fields of an alert that the verdict changes."""


class AlertVerifier:
    """Between the rule engine and the write buffer."""

    def __init__(
        self,
        looks: SecondLooks,
        rules: RuleEngine,
        outbox: Outbox,
        buffer: WriteBuffer,
        latency: LatencyLedger,
    ) -> None:
        self.looks = looks
        self._rules = rules
        self._outbox = outbox
        self._buffer = buffer
        self._latency = latency

    def marked(self, alert: Alert) -> Alert:
        """``alert``, unverified yet, where its rule asks for a second look."""
        if alert.phase != "new" or self._rules.verification(alert.policy.rule) is None:
            return alert
        marked = replace(alert, verified=NOT_IN_TIME)
        self._rules.book.note_verdict(marked)
        return marked

    def hold(self, alert: Alert, message: Message, now_s: float) -> None:
        """Holds ``message`` for the second look at its alert, where one can be had; before it is written. A
        later phase ends the look: somebody has answered, or it is over."""
        if alert.phase != "new":
            self.looks.end(alert.alert_id)
            return
        wanted = None if alert.verified is None else self._rules.verification(alert.policy.rule)
        if wanted is None:
            return

        def on_verdict(verified: Verified, look: SecondLook | None) -> None:
            self._conclude(replace(alert, verified=verified, second_look=look), message)

        def on_release() -> None:
            self._latency.on_released(message.id, monotonic_s())

        if self.looks.begin(alert, wanted, now_s, on_verdict):
            self._outbox.holds.hold(message.group, wanted.within_s, on_release)

    def _conclude(self, alert: Alert, message: Message) -> None:
        if alert.verified == NOT_IN_TIME:  # as it lies there
            self._outbox.holds.release(message.group)
            return
        self._rules.book.note_verdict(alert)
        self._buffer.amend(amended(message, alert))


def amended(message: Message, alert: Alert) -> Message:
    """``message`` with the verdict on its ``alert``."""
    body, fields = json.loads(message.body), alert.fields()
    body["alert"] |= {key: fields[key] for key in AMENDED if key in fields}
    return replace(message, body=encode(body))
