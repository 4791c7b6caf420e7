"""Puts the parts together: the one place that knows them all.

    sources ─▶ observe ─▶ judges ─▶ AlertBook ─▶ inbox ═▶ Outbox ═▶ Link ─▶ broker
                  └─▶ Reporter, Health ────────────┘

Everything here runs on one asyncio loop. Sources emit on it; the outbox has a thread of its own for the
disk, cameras have theirs for frames.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import BaseModel

from agent.alerts.active_alerts import active_fields
from agent.alerts.alert import Alert
from agent.alerts.latency import Latency
from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.commands.actuators import Actuators
from agent.commands.commands import KEY as COMMANDS
from agent.commands.commands import Command, Commands, Fetch, OutputCommand, Resend, State
from agent.config.deployment import Deployment, NotWellError, folder_of
from agent.config.model import Config
from agent.config.push_policy import broker_changed
from agent.domain.contracts import Emit
from agent.domain.durations import spoken
from agent.domain.message import RANKS, ROOT, Envelope, Message, new_id
from agent.domain.observations import Observation, Tick, Value, observed
from agent.evidence.recorder import EvidenceRecorder
from agent.mqtt.connection import Broker, answers
from agent.mqtt.fallback_notifier import FallbackNotifier
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.outbox.sqlite_store import boot_id
from agent.outbox.write_buffer import WriteBuffer
from agent.positioning.locator import Locator
from agent.privacy.rescue_grant import Grant, Rescue
from agent.reporting.birth import birth_fields
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.host_monitor import HostMonitor, look
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health, Running
from agent.runtime.malloc import few_arenas, give_back
from agent.runtime.native_calls import MOST_LEFT, START_ME_AGAIN, abandoned_threads
from agent.runtime.process import make_private
from agent.runtime.supervisor import LONGEST_WAIT_S, supervise
from agent.runtime.systemd import Liveness, notify, watchdog_s
from agent.vision.camera import Camera
from agent.vision.inference_pool import SHARED
from firmware_bridge.mavlink.signing import HEARD
from firmware_bridge.source import SourcePart

log = structlog.get_logger()

TICK_S = 1.0
THREADS = 32
"""An adapter that hangs holds a thread for many seconds. What else is done aside does not wait for it."""
NAMES = 32
"""So many names are looked up at once. One that hangs holds its thread for long after nobody waits for it."""
OWED_EVERY_S = 10.0
PROBE_EVERY_S = 0.2
NEW_WITHIN_S = 15.0
"""A source that is new has so long for its first word; without it a push is applied with a warning."""
MOST_PUSHES = 8
"""So many pushes wait for the one that is on trial; then the oldest goes unanswered, for a newer one."""
LOOK_BACK_EVERY_S = 10.0
GO_BACK_AFTER_S = 900.0
"""After another broker was pushed, the one before is tried where this one does not work for so long."""
ACTIVE = "alerts/active"
RESCUE = "rescue"
SIGNED = "signed"


def now() -> tuple[datetime, float]:
    """This instant, on the wall and on the monotonic clock."""
    return datetime.now(UTC), time.monotonic()


class Agent:
    """One device: the parts that its configuration names, and what they have in common."""

    def __init__(self, deployment: Deployment, outbox: Outbox, folder: Path, root: str = ROOT) -> None:
        config = deployment.config
        self.deployment = deployment
        self.outbox = outbox
        self.health = Health()
        self.clock = ClockWatch()
        self.speaker = Envelope(device=config.device, root=root)
        self.locator = Locator(config.locator_settings())
        self.reporter = Reporter(
            config, self.speaker, self.health, self.clock, self.locator.whereabouts, birth_fields(config)
        )
        self.judges = RuleEngine(new_id, boot_id(), self.locator.placed, self.take_picture)
        self.book = self.judges.book
        self.latency = Latency()
        self.link = Link(self.speaker, outbox, self.greet, self.heard, self.latency)
        self.elsewhere = FallbackNotifier(
            self.speaker, self.heard, self.book.wanted_elsewhere, lambda: self.link.taken, self.link.past
        )
        self.outputs = Actuators()
        self.rescue = Rescue(config.device)
        self.album = EvidenceRecorder(config.device, folder, self.rescue_flag, self.send_picture)
        self.commands = Commands(
            self.command_done,
            rebirth=self.rebirth,
            output=self.order,
            more={
                "fetch": (Fetch, self.fetch),
                "rescue": (Grant, self.take_grant),
                "resend": (Resend, self.resend),
            },
        )
        self.config: Config | None = None
        self.tasks: dict[str, tuple[BaseModel, asyncio.Task[None]]] = {}
        self.inbox = WriteBuffer(outbox)
        self.pushes: asyncio.Queue[bytes] = asyncio.Queue(MOST_PUSHES)
        self.machine_troubles: list[str] = []
        self.progress = Liveness(time.monotonic())

    async def run(self) -> None:
        """Runs until it is cancelled; then it says ``stopped`` and leaves nothing unwritten."""
        self.reporter.session = self.outbox.session
        self.outbox.tell_gaps_by(self.gap)
        self.reporter.config_fields = self.deployment.in_force()
        self.restore()
        self.rescue.restore(self.outbox.recall(RESCUE), time.monotonic())
        with suppress(ValueError):
            HEARD.restore(self.outbox.recall(SIGNED))
        try:
            self.commands.restore(self.outbox.recall(COMMANDS))
        except ValueError as error:
            log.warning("commands_damaged", error=str(error))
        async with asyncio.TaskGroup() as group:
            self.group = group
            await self.apply(self.deployment.config)
            jobs: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
                ("keeper", self.keep),
                ("ticker", self.tick),
                ("deployment", self.deploy),
                ("evidence", self.album.run),
                ("machine", self.look),
                ("watchdog", self.feed),
            )
            for name, job in jobs:
                group.create_task(supervise(name, job, self.told(name, speaks=False)))
            try:
                await asyncio.Event().wait()
            finally:
                await self.stop()

    async def stop(self) -> None:
        """Ends the sources first, so that nothing is said after ``stopped``; then the link."""
        notify("STOPPING=1")
        for name in list(self.tasks):
            if name != "link":
                await self.end_part(name)
        with suppress(OSError):
            await self.write_inbox()
        if "link" in self.tasks:
            self.link.last_word = self.reporter.status(*now(), state="stopped")
            await self.end_part("link")
        log.info("agent_stopped")

    # What runs: one path for start and for change.

    async def apply(self, config: Config) -> None:
        """Runs ``config``: ends what it no longer names, starts what is new or changed, leaves the rest."""
        wanted: dict[str, SourcePart | Broker] = {**config.sources, "link": config.broker}
        if any(rule.escalate and rule.escalate.fallbacks for rule in config.rules.values()):
            wanted["elsewhere"] = config.broker
        for name, (part, _) in list(self.tasks.items()):
            if wanted.get(name) != part:
                await self.end_part(name)
        at, now_s = now()
        self.tell(self.judges.apply(config.rules, at, now_s), now_s)
        self.config = config
        self.locator.configure(config.locator_settings())
        self.reporter.configure(config, birth_fields(config))
        self.latency.keep_rules(frozenset(config.rules))
        SHARED.prefer(config.urgent())
        cameras = {name: part for name, part in config.sources.items() if isinstance(part, Camera)}
        blackout = {name: camera.blackout for name, camera in cameras.items()}
        detectors = {name: camera.detector.finder for name, camera in cameras.items()}
        to = {"to": [one.url for one in config.broker.in_order]}
        self.album.configure(config.evidence, blackout, to, detectors)
        for name, part in wanted.items():
            if name not in self.tasks:
                self.start_part(name, part)
        for note in config.notes():
            log.warning("config_note", note=note)
        log.info(
            "config_running", device=config.device, sources=list(config.sources), rules=list(config.rules)
        )

    def start_part(self, name: str, part: SourcePart | Broker) -> None:
        if isinstance(part, SourcePart):
            run = partial(part.run, self.emitter(name), partial(self.wanted, name))
        else:
            run = partial(self.link.run if name == "link" else self.elsewhere.run, part)
        longest_wait_s = part.longest_wait_s or LONGEST_WAIT_S
        told = self.told(name, speaks=name not in ("link", "elsewhere"))
        task = self.group.create_task(supervise(name, run, told, longest_wait_s=longest_wait_s))
        self.tasks[name] = (part, task)

    async def end_part(self, name: str) -> None:
        _, task = self.tasks.pop(name)
        task.cancel()
        try:
            await asyncio.wait([task])  # a cancellation of ours is not taken for the part's
        finally:
            self.health.forget(name)

    def told(self, name: str, *, speaks: bool) -> Callable[[Running], None]:
        return lambda running: self.health.tell(name, running, time.monotonic(), speaks=speaks)

    # What is switched.

    def wanted(self, source: str) -> dict[str, float]:
        """The outputs of ``source`` that an unanswered alert or the centre wants on, and how long yet."""
        now_s = time.monotonic()
        asked, raised = self.outputs.wanted(source, now_s), self.book.wanted(source, now_s)
        return {name: max(asked.get(name, 0.0), raised.get(name, 0.0)) for name in asked | raised}

    def order(self, order: OutputCommand, result: Mapping[str, Any]) -> None:
        """The centre's command for an output. ValueError where the configuration names none such."""
        config = self.config or self.deployment.config
        self.outputs.take(order, config.outputs(), result, time.monotonic())

    # What is heard.

    def emitter(self, name: str) -> Emit:
        """What ``name`` calls for each value: it is stamped here, with the time at which it was so."""

        def emit(value: Value) -> asyncio.Future[None] | None:
            self.observe(observed(name, value, *now()))
            return self.inbox.kept()

        return emit

    def observe(self, observation: Observation) -> None:
        """One observation through everything that listens. A failing one keeps no rule from hearing it."""
        observation = self.locator.judged(observation)
        listeners = (self.health, self.clock, self.reporter, self.album)
        for hear in [one.hear for one in listeners]:
            try:
                hear(observation)
            except Exception:
                log.exception("listener_failed", listener=hear.__qualname__, source=observation.source)
        at, now_s = now()
        self.tell(self.judges.hear(observation, at, now_s), now_s)
        done = self.outputs.hear(observation)
        if isinstance(observation.value, Tick):
            done = self.outputs.tick(at, now_s)
        if done:
            self.inbox.add(*map(self.result, done))

    def tell(self, alerts: Iterable[Alert], now_s: float) -> None:
        """Alerts, and with them the full list of what is active, into the inbox."""
        told = list(alerts)
        for alert in told:
            log.info("alert", phase=alert.phase, rule=alert.terms.rule, text=alert.text)
            fields = self.locator.fields(alert, now_s)
            steps = steps_before(alert, now_s)
            message = self.reporter.say(
                "alert/1", {"alert": fields, "latency_ms": steps}, "alert", "alert", alert.at, now_s,
                rank=RANKS[alert.severity], group=alert.alert_id,
            )  # fmt: skip
            self.latency.found(message.id, alert.terms.rule, steps, now_s)
            self.inbox.add(message)
            if alert.concerns_others:
                self.elsewhere.tell(message)
        if told:
            self.inbox.add(self.active(*now()))

    def take_picture(self, alert: Alert, now_s: float) -> list[str]:
        """Who can't be shown is told all the same."""
        try:
            return self.album.alerted(alert.alert_id, alert.terms.rule, alert.finding, now_s)
        except Exception:
            log.exception("no_picture", rule=alert.terms.rule)
            return []

    def active(self, at: datetime, now_s: float) -> Message:
        """``alerts/active``: what is active, the most severe first."""
        fields = active_fields(self.book.active())
        return self.reporter.say("alerts_active/1", fields, "status", ACTIVE, at, now_s, retain=True)

    def restore(self) -> None:
        """Takes up the alerts that were active before a restart."""
        data = self.outbox.recall(ACTIVE)
        if data is None:
            return
        rules = {name: policy_of(name, rule) for name, rule in self.deployment.config.rules.items()}
        try:
            self.tell(self.book.restore(data, rules, *now()), time.monotonic())
        except ValueError as error:
            log.warning("active_alerts_damaged", error=str(error).splitlines()[0])

    # The jobs.

    async def keep(self) -> None:
        """Writes down what is in the inbox, alerts at once."""
        while True:
            await self.inbox.filled()
            await self.write_inbox()

    async def write_inbox(self) -> None:
        """With it, always, what is active and what was heard signed: it is one commit."""
        if not self.inbox and not self.book.unsaved:
            return
        try:
            signed = {SIGNED: heard} if (heard := HEARD.dump()) else {}
            batch = await self.inbox.write({ACTIVE: self.book.dump(), **signed})
        except BaseException as error:
            self.book.unsaved = True
            if isinstance(error, OSError):
                self.progress.wrote()  # nothing hangs: the disk refused it in words
            raise
        self.progress.wrote()
        for message in batch:
            self.latency.kept(message.id, time.monotonic())

    async def tick(self) -> None:
        """Lets time pass, about once a second, and reports what is due."""
        while True:
            at, now_s = now()
            self.observe(Observation("clock", at, now_s, Tick()))
            self.reporter.troubles = self.troubles()
            self.reporter.latency_fields = self.latency.fields()
            self.reporter.thin = self.link.saving
            self.reporter.alerted = {one.finding.key for one in self.book.active() if one.terms.crowd}
            self.inbox.add(*self.reporter.due(at, now_s))
            if self.inbox or self.book.unsaved:
                self.progress.waits(now_s)
                self.inbox.ring()
            self.progress.ticked(now_s)
            await asyncio.sleep(TICK_S)

    def troubles(self) -> list[str]:
        """What is wrong that no part tells: the disk, what the broker takes, the configuration."""
        troubles = [f"outbox: {text}" for text in self.outbox.troubles.values()]
        troubles += [f"link: {text}" for text in self.link.troubles.values()]
        troubles += self.machine_troubles
        config = self.deployment.config
        troubles += [f"evidence: {text}" for text in self.album.troubles.values()]
        troubles += self.locator.troubles
        troubles += self.rescue.reasons(*now())
        troubles += self.latency.troubles(config.reporting.alert_budget.total_seconds())
        return troubles + ([f"config: {self.deployment.trouble}"] if self.deployment.trouble else [])

    async def look(self) -> None:
        """Looks at the machine, about once a second: a trouble is told within two."""
        watch, owed, owed_s = HostMonitor(), {}, float("-inf")
        numbers: list[dict[str, Any]] = []
        while True:
            config = self.config or self.deployment.config
            machine = await asyncio.to_thread(
                look, self.outbox.folder, config.broker.certificates(), datetime.now(UTC)
            )
            self.machine_troubles = watch.troubles(machine, *now())
            self.outbox.look()
            if time.monotonic() - owed_s >= OWED_EVERY_S:
                owed, owed_s = await self.outbox.depth(), time.monotonic()
                numbers = await self.outbox.numbers()
                await asyncio.to_thread(give_back)
            waiting = {lane: count for lane, count in owed.items() if count}
            self.reporter.more_fields = {
                "machine": machine.fields() | {"process_tasks": len(asyncio.all_tasks())},
                "link": self.link.fields(),
                "owed": waiting,
                "numbers": numbers,
            }
            await asyncio.sleep(TICK_S)

    async def feed(self) -> None:
        """Tells systemd that we are ready, and that we are alive while we get on."""
        notify("READY=1")
        limit_s = watchdog_s()
        if limit_s is None:  # not under systemd, or without WatchdogSec
            await asyncio.Event().wait()
            return
        while True:
            stuck = self.progress.stuck(time.monotonic())
            if stuck is None:
                notify("WATCHDOG=1")
            else:
                log.error("watchdog_not_fed", reason=stuck)
            await asyncio.sleep(limit_s / 4)

    async def deploy(self) -> None:
        """Carries out pushes, one after the other; between them it looks after the way back."""
        well_s = looked_s = time.monotonic()
        worked: dict[str, BaseModel] = {}
        while True:
            try:
                async with asyncio.timeout(LOOK_BACK_EVERY_S):
                    payload = await self.pushes.get()
            except TimeoutError:
                now_s = time.monotonic()
                await self.deployment.passed(now_s - looked_s)
                looked_s = now_s
                if self.link.well or self.deployment.ledger.fallback is None:
                    well_s = now_s
                elif now_s - well_s > GO_BACK_AFTER_S:
                    await self.look_back()
                    well_s = time.monotonic()
                continue
            before = self.deployment.config
            now_working = set(self.health.working(time.monotonic()))
            worked = {
                name: part
                for name, part in before.sources.items()
                if name in now_working or worked.get(name) == part  # also just after a way back
            }
            probe = partial(self.probe, before, frozenset(worked))
            await self.deployment.handle(payload, self.apply, self.proved, self.report_config, probe)

    async def proved(self) -> None:
        """Returns once the centre is reached under what is tried: where another broker is, by its receipt.

        Any broker acknowledges, also one where no centre is.
        """
        before, broker = self.deployment.config.broker, (self.config or self.deployment.config).broker
        await self.link.reached()
        if broker.delivery == "receipt" and broker_changed(before, broker):
            self.deployment.lacking = "no receipt of the centre came"
            trial = self.deployment.ledger.trial or self.deployment.ledger.active
            message = self.result({"command_id": f"config-{trial.revision or 0}", "state": "trial"})
            receipted = asyncio.ensure_future(self.link.receipted(message.id))
            try:
                await self.outbox.put(message)
                await receipted
            finally:
                receipted.cancel()

    async def probe(self, before: Config, working: frozenset[str], within_s: float) -> list[str]:
        """What is new and gives nothing yet. NotWellError where what was ``working`` and was changed does."""
        config = self.config or self.deployment.config
        changed = {name for name, part in config.sources.items() if before.sources.get(name) != part}
        needed = changed & working
        began_s = time.monotonic()
        while missing := changed - set(self.health.working(time.monotonic())):
            waited_s = time.monotonic() - began_s
            if waited_s > within_s or (waited_s > NEW_WITHIN_S and not missing & needed):
                break
            await asyncio.sleep(PROBE_EVERY_S)
        errors = {
            part["part"]: part.get("error", "gives nothing") for part in self.health.parts(time.monotonic())
        }
        told = [f"{name}: {errors.get(name, 'gives nothing')}" for name in sorted(missing)]
        if lost := sorted(missing & needed):
            raise NotWellError(
                f"{lost[0]}: {errors.get(lost[0], 'gives nothing')}; it worked before, and did not under it"
                f" within {within_s:.0f} s"
            )
        return told

    async def look_back(self) -> None:
        """Tries the broker before, where somebody answers there."""
        config = await asyncio.to_thread(self.deployment.fallback)
        if config is None or not any([await answers(one, self.link.past) for one in config.broker.in_order]):
            return
        reason = f"its broker was not reached, or gave no receipts, for {spoken(GO_BACK_AFTER_S)}"
        await self.deployment.go_back(reason, self.apply, self.proved, self.report_config)

    def gap(self, fields: Mapping[str, Any]) -> Message:
        """The message that tells of a loss; called from the outbox's thread."""
        return self.reporter.say("gap/1", fields, "result", "gap", *now())

    async def report_config(self) -> None:
        self.reporter.config_fields = self.deployment.in_force()
        await self.outbox.put(self.config_reported(*now()), self.reporter.status(*now()))

    def config_reported(self, at: datetime, now_s: float) -> Message:
        return self.reporter.say(
            "config_reported/1",
            self.deployment.reported(),
            "status",
            "config/reported",
            at,
            now_s,
            retain=True,
        )

    # What the link asks and hears.

    def greet(self, session: int) -> list[Message]:
        """What every connection begins with."""
        at, now_s = now()
        return [
            *self.reporter.greet(session, at, now_s),
            self.active(at, now_s),
            self.config_reported(at, now_s),
        ]

    async def rebirth(self) -> None:
        await self.outbox.put(*self.greet(self.reporter.session))

    async def fetch(self, command: Command, result: Mapping[str, Any]) -> State:
        """Begins to send a clip; its end is told by a second result."""
        wanted = Fetch.model_validate(command.model_dump())

        async def done(fields: Mapping[str, Any]) -> None:
            state = "succeeded" if fields["sent"] else "failed"
            await self.command_done({**result, "state": state, **fields})

        await self.album.fetch(wanted.alert_id, wanted.pictures, done)
        return "accepted"

    async def resend(self, command: Command, result: Mapping[str, Any]) -> State:
        """Numbers that the centre has lost: what is kept of them goes again, the rest is told as gaps."""
        asked = Resend.model_validate(command.model_dump())

        async def carry_out() -> None:
            try:
                found = await self.outbox.resend(asked.lane, asked.epoch, asked.ranges)
            except OSError as error:
                await self.command_done({**result, "state": "failed", "reason": str(error)})
                return
            missing = sum(count for _, _, count in found.missing)
            counts = {"again": found.again, "owed": found.owed, "missing": missing}
            await self.command_done({**result, "state": "succeeded", **counts})

        self.group.create_task(carry_out())
        return "accepted"

    async def take_grant(self, command: Command, _: Mapping[str, Any]) -> State:
        """People are shown for a while; safely kept before it is answered."""
        grant = Grant.model_validate(command.model_dump())
        self.rescue.take(grant, self.deployment.config.privacy.rescue_key, *now())
        try:
            await self.outbox.put(remember={RESCUE: self.rescue.dump()})
        except BaseException:
            self.rescue.withdraw(grant, time.monotonic())  # what is answered as failed shows nobody
            raise
        log.warning("people_shown", role=grant.role, reason=grant.reason, camera=grant.camera, id=grant.id)
        return "succeeded"

    def rescue_flag(self, camera: str) -> Grant | None:
        return self.rescue.flag(camera, *now())

    async def send_picture(self, picture: Message, entry: Mapping[str, Any]) -> None:
        """A picture into its lane, and its entry in the egress log into telemetry."""
        values = {"source": "egress", "values": [{"kind": "picture_left", **entry}]}
        at, now_s = now()
        await self.outbox.put(
            picture, self.reporter.say("telemetry/1", values, "telemetry", "telemetry/egress", at, now_s)
        )

    async def heard(self, topic: str, payload: bytes, answer_to: str | None, retained: bool) -> None:
        """What came down; it is acknowledged to the broker once this has returned."""
        if topic == "config/desired":
            if payload:
                self.deployment.newer(payload)
                if self.pushes.full():
                    self.pushes.get_nowait()
                    log.warning("push_dropped", reason=f"{MOST_PUSHES} newer ones wait")
                self.pushes.put_nowait(payload)
        elif topic == "alert/ack":
            at, now_s = now()
            alert = self.commands.acknowledged(self.book, payload, at)
            if alert is None:
                log.warning("answer_to_no_active_alert", payload=payload[:200].decode(errors="replace"))
            else:
                self.tell([alert], now_s)
                if kept := self.inbox.kept():
                    await asyncio.wait([kept])  # what was acknowledged is not sent again
        elif topic.startswith("command/"):
            await self.commands.carry_out(
                topic.removeprefix("command/"), payload, answer_to, retained=retained
            )

    async def command_done(
        self, result: dict[str, Any], remember: Mapping[str, bytes] = MappingProxyType({})
    ) -> None:
        await self.outbox.put(self.result(result), remember=remember)

    def result(self, fields: Mapping[str, Any]) -> Message:
        return self.reporter.say("command_result/1", fields, "result", "command/result", *now())


def steps_before(alert: Alert, now_s: float) -> dict[str, float]:
    """How long each step took so far, in ms; the steps after this one are added where they happen.

    What the rule took is known of a new alert only: in a later phase the time since its beginning is how long
    the fact has lasted. An end, and an answer, rest on no frame.
    """
    steps, finding = {}, alert.finding
    if finding.latency_s is not None and alert.phase != "end":
        steps["frame_to_detection"] = round(finding.latency_s * 1000, 1)
    if finding.since_s is not None and alert.phase == "new":
        steps["detection_to_finding"] = round((now_s - finding.since_s) * 1000, 1)
    return steps


async def run(config: Path, data: Path | None, root: str = ROOT) -> int:
    """Runs the agent of the configuration file ``config`` until SIGTERM or SIGINT; gives the exit code.

    BadConfig or OSError before anything runs; after that it keeps going whatever happens, unless so many
    native calls hang that only a new process helps (`START_ME_AGAIN`).
    """
    few_arenas()
    folder = data or folder_of(config)
    deployment = Deployment.boot(config, folder / "config")
    outbox = Outbox.open(folder, deployment.config.data.max_mb * 1_000_000)
    make_private(folder)
    try:
        task = asyncio.ensure_future(Agent(deployment, outbox, folder, root).run())
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "aside"))
        look_names_up_apart(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        watch = asyncio.ensure_future(end_when_unsound(task))
        with suppress(asyncio.CancelledError):
            await task
        return START_ME_AGAIN if watch.done() else 0
    finally:
        outbox.close()


def look_names_up_apart(loop: asyncio.AbstractEventLoop) -> None:
    """Names that hang hold up other names only: no port that is closed, no file, and not the end."""
    pool = ThreadPoolExecutor(NAMES, "name")

    async def look_up(host: Any, port: Any, **more: int) -> Any:
        return await loop.run_in_executor(pool, partial(socket.getaddrinfo, host, port, **more))

    loop.getaddrinfo = look_up  # type: ignore[method-assign]  # asyncio's own takes threads of all others


async def end_when_unsound(task: asyncio.Task[None], every_s: float = 5.0) -> None:
    """Ends ``task`` cleanly once too many native calls hang, and returns; else it never does."""
    while abandoned_threads() < MOST_LEFT:  # noqa: ASYNC110  threads that hang set no event
        await asyncio.sleep(every_s)
    log.error("restart_on_purpose", hanging_calls=abandoned_threads(), exit_code=START_ME_AGAIN)
    task.cancel()
