"""From an observation to the write buffer: listeners, rules, alerts, and the messages they lead to.

    sources ─▶ observe ─▶ locator ─▶ rule engine ─▶ alert book ─▶ write buffer ═▶ outbox
                             └─▶ health, clock, reporter, evidence recorder, actuators

Owns: the rule engine and its alert book, the actuators, the latency record, the write buffer.
Entry points: `Pipeline.emitter` for each source, `Pipeline.observe`, and `Pipeline.write_loop` as a job.
Guarantees: a listener or a rule that fails keeps no other from the observation; an alert and the list of
active alerts are written in one commit; after a failed write the same content is written again.
Threads: the event loop only, except `Pipeline.gap`, which the outbox calls on its disk thread.
Errors: where the disk refuses a write the outbox holds the messages in memory and reports it; an OSError of
`write_loop` makes the supervisor call it again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import structlog

from agent.alerts.active_list import active_fields
from agent.alerts.alert import Alert
from agent.alerts.latency import LatencyLedger
from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.alerts.tally import KEY as TALLY
from agent.alerts.tally import AlertTally
from agent.commands.actuators import Actuators
from agent.config.deployment import Deployment
from agent.domain.contracts import Emit
from agent.domain.message import Message, new_id
from agent.domain.observations import Observation, Tick, Value, observed
from agent.evidence.alert_verifier import AlertVerifier
from agent.evidence.recorder import EvidenceRecorder
from agent.evidence.second_look import SecondLooks
from agent.host.clock import boot_id, monotonic_s, read_clocks, utc_now
from agent.mqtt.fallback_notifier import FallbackNotifier
from agent.outbox.outbox import Outbox
from agent.outbox.write_buffer import WriteBuffer
from agent.positioning.locator import Locator
from agent.replay.history_recorder import HistoryRecorder
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.messages import MessageFactory
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health
from agent.runtime.systemd import Liveness
from firmware_bridge.mavlink.signing import ReplayWindow
from firmware_bridge.source import OutputRequests

log = structlog.get_logger()

ACTIVE = "alerts/active"
"""Where the outbox remembers the active alerts."""
SIGNED = "signed"
"""Where the outbox remembers the newest timestamps of signed MAVLink, against replayed packets."""


class Listener(Protocol):
    """Takes every observation."""

    def on_observation(self, observation: Observation) -> None: ...


class Pipeline:
    """Takes every observation of the device, and gives what has to be sent to the write buffer."""

    def __init__(
        self,
        *,
        deployment: Deployment,
        outbox: Outbox,
        messages: MessageFactory,
        health: Health,
        clock: ClockWatch,
        locator: Locator,
        reporter: Reporter,
        recorder: EvidenceRecorder,
        history: HistoryRecorder,
    ) -> None:
        self.deployment = deployment
        self.outbox = outbox
        self.messages = messages
        self.health = health
        self.clock = clock
        self.locator = locator
        self.reporter = reporter
        self.recorder = recorder
        self.history = history
        self.rules = RuleEngine(new_id, boot_id(), locator.with_point, self.take_picture)
        self.book = self.rules.book
        self.latency = LatencyLedger()
        self.actuators = Actuators()
        self.replay_window = ReplayWindow()
        self.buffer = WriteBuffer(outbox)
        self.verifier = AlertVerifier(SecondLooks(), self.rules, outbox, self.buffer, self.latency)
        self.liveness = Liveness(monotonic_s())
        self.order_counters: Callable[[], Mapping[str, bytes]] = dict
        """What to remember of orders, in one commit with the alerts that they change."""
        self.tally = AlertTally.restored(None, utc_now(), 0)
        self._output_requests: dict[str, OutputRequests] = {}
        self.watchers: tuple[Listener, ...] = ()
        """Further listeners, while somebody looks."""
        self.on_result: Callable[[Mapping[str, Any]], None] = lambda _: None
        """Called with each result of an output's command before it is written."""
        self.fallback_notifier: FallbackNotifier | None = None
        """Sends an unanswered alert to the fallback brokers; set once the link exists."""

    def restore(self) -> None:
        """Takes up the alerts that were active before a restart, and the timestamps of signed MAVLink."""
        try:
            self.replay_window.restore(self.outbox.recall(SIGNED))
        except ValueError as error:
            log.warning("signing_timestamps_damaged", error=str(error))
        stored = self.outbox.storage.alerts.store.count("alert")
        self.tally = AlertTally.restored(self.outbox.recall(TALLY), utc_now(), stored)
        data = self.outbox.recall(ACTIVE)
        if data is None:
            return
        rules = {name: policy_of(name, rule) for name, rule in self.deployment.config.rules.items()}
        try:
            self.raise_alerts(self.book.restore(data, rules, *read_clocks()), monotonic_s())
        except ValueError as error:
            log.warning("active_alerts_damaged", error=str(error).splitlines()[0])

    def emitter(self, source: str) -> Emit:
        """The function that ``source`` calls for each value; it stamps the value with the present time."""

        def emit(value: Value) -> asyncio.Future[None] | None:
            at, now_s = read_clocks()
            self.observe(observed(source, value, at, now_s), at, now_s)
            return self.buffer.written()

        return emit

    def observe(self, observation: Observation, at: datetime | None = None, now_s: float = 0.0) -> None:
        """Passes one observation to every listener and to the rules; ``at`` and ``now_s``: the present time,
        where the caller has it."""
        observation = self.locator.with_doubt(observation)
        listeners: tuple[Listener, ...] = (
            self.health,
            self.clock,
            self.reporter,
            self.recorder,
            self.verifier.looks,
            self.history,
        )
        for listener in (*listeners, *self.watchers):
            try:
                listener.on_observation(observation)
            except Exception:
                name = type(listener).__name__
                log.exception("listener_failed", listener=name, source=observation.source)
        if at is None:
            at, now_s = read_clocks()
        self.raise_alerts(self.rules.on_observation(observation, at, now_s), now_s)
        results = self.actuators.on_observation(observation)
        if isinstance(observation.value, Tick):
            results = self.actuators.tick(at, now_s)
        for result in results:
            self.on_result(result)
            self.buffer.add(self.messages.command_result(result, *read_clocks()))

    def raise_alerts(self, alerts: Iterable[Alert], now_s: float) -> None:
        """Writes alerts, and with them the full list of active alerts, into the buffer."""
        raised = [self.verifier.marked(alert) for alert in alerts]
        if not raised:
            return
        self.tally = self.tally.with_raised([alert.phase for alert in raised])
        for alert in raised:
            log.info("alert_raised", phase=alert.phase, rule=alert.policy.rule, text=alert.text)
            steps_ms = latency_steps(alert, now_s)
            message = self.messages.alert(self.locator.fields(alert, now_s), steps_ms, alert.at, now_s)
            self.latency.on_alert(message.id, alert.policy.rule, steps_ms, now_s)
            self.verifier.hold(alert, message, now_s)
            self.buffer.add(message)
            if alert.notifies_fallbacks and self.fallback_notifier is not None:
                self.fallback_notifier.notify(message)
        self.buffer.add(self.active_alerts(*read_clocks()))
        self.history.on_alerts(raised, now_s)
        self.outputs_changed()

    def take_picture(self, alert: Alert, now_s: float) -> list[str]:
        """Requests pictures of a new alert; an alert without a picture is raised all the same."""
        try:
            return self.recorder.on_alert(alert.alert_id, alert.policy.rule, alert.finding, now_s)
        except Exception:
            log.exception("picture_request_failed", rule=alert.policy.rule)
            return []

    def wanted_outputs(self, source: str) -> dict[str, float]:
        """The outputs of ``source`` that an alert or the centre wants on, with the seconds remaining."""
        now_s = monotonic_s()
        commanded, alarms = self.actuators.wanted(source, now_s), self.book.wanted_outputs(source, now_s)
        return {name: max(commanded.get(name, 0.0), alarms.get(name, 0.0)) for name in commanded | alarms}

    def output_requests(self, source: str) -> OutputRequests:
        """The same, and the source learns of changes."""
        requests = self._output_requests[source] = OutputRequests(partial(self.wanted_outputs, source))
        return requests

    def outputs_changed(self) -> None:
        """Tells the sources that other outputs may be wanted."""
        for requests in self._output_requests.values():
            requests.on_change()

    def active_alerts(self, at: datetime, now_s: float) -> Message:
        """``alerts/active``: the active alerts, the most severe first."""
        return self.messages.active_alerts(active_fields(self.book.active()), at, now_s)

    def birth_messages(self, session: int) -> list[Message]:
        """The messages that begin every connection."""
        at, now_s = read_clocks()
        return [
            *self.reporter.birth_messages(session, at, now_s),
            self.active_alerts(at, now_s),
            self.messages.config_reported(self.deployment.reported(), at, now_s),
        ]

    def gap(self, fields: Mapping[str, Any]) -> Message:
        """The message that reports lost messages; called on the outbox's thread."""
        return self.messages.gap(fields, *read_clocks())

    def report_due(self, at: datetime, now_s: float) -> None:
        """Adds the reports that are due to the buffer, and wakes the writer where anything waits."""
        self.reporter.latency_fields = self.latency.fields()
        self.reporter.telemetry.alerted = {
            alert.finding.key for alert in self.book.active() if alert.policy.flood_label
        }
        self.buffer.add(*self.reporter.due(at, now_s))
        if self.buffer or self.book.unsaved:
            self.liveness.on_pending(now_s)
            self.buffer.wake()
        self.liveness.on_tick(now_s)

    async def write_loop(self) -> None:
        """Writes the buffer to the outbox whenever something is in it, alerts at once."""
        while True:
            await self.buffer.wait()
            await self.write_buffered()

    async def write_buffered(self) -> None:
        """Writes the buffer with the active alerts and the signed timestamps, in one commit."""
        if not self.buffer and not self.book.unsaved:
            return
        try:
            signed = {SIGNED: timestamps} if (timestamps := self.replay_window.dump()) else {}
            kept = {ACTIVE: self.book.dump(), TALLY: self.tally.model_dump_json().encode(), **signed}
            batch = await self.buffer.write({**kept, **self.order_counters()})
        except BaseException as error:
            self.book.unsaved = True
            if isinstance(error, OSError):
                self.liveness.on_write()  # nothing hangs: the disk refused the write with an error
            raise
        self.liveness.on_write()
        for message in batch:
            self.latency.on_stored(message.id, monotonic_s())


async def send_picture(
    outbox: Outbox, messages: MessageFactory, picture: Message, entry: Mapping[str, Any]
) -> None:
    """Writes a picture into its lane, and its entry in the egress log into telemetry, in one commit."""
    await outbox.put(picture, messages.egress(entry, *read_clocks()))


def latency_steps(alert: Alert, now_s: float) -> dict[str, float]:
    """How long each step took so far, in ms; the steps after this one are added where they happen.

    The time that the rule took is known for a new alert only: in a later phase the time since its beginning
    is the duration of the condition. An end and an acknowledgement rest on no frame.
    """
    steps, finding = {}, alert.finding
    if finding.latency_s is not None and alert.phase != "end":
        steps["frame_to_detection"] = round(finding.latency_s * 1000, 1)
    if finding.since_s is not None and alert.phase == "new":
        steps["detection_to_finding"] = round((now_s - finding.since_s) * 1000, 1)
    return steps
