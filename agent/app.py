"""Composes the agent from its parts, and starts, changes and stops them.

    sources ─▶ Pipeline ─▶ Outbox ─▶ Link ─▶ broker          (agent/pipeline.py: read this next)
    broker ─▶ Link ─▶ Inbound ─▶ Commands, PushTrials        (agent/inbound.py, agent/push_trial.py)

Entry point: `run`. Threads: one asyncio loop, on which sources emit; the outbox has a thread for the disk,
cameras have threads for frames.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.notes import config_notes
from agent.config.simulated_sources import allow_simulated_sources
from agent.config.startup import folder_of
from agent.control.audit_hooks import attach_audit, recipients
from agent.control.control import Control
from agent.domain.message import ROOT, SIMULATED_ROOT
from agent.domain.observations import Observation, Tick
from agent.evidence.recorder import EvidenceRecorder
from agent.host.clock import kernel_clock, read_clocks
from agent.inbound import Inbound
from agent.local_api.methods import methods_of
from agent.local_api.parts import AgentParts
from agent.local_api.server import LocalServer
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.fallback_notifier import FallbackNotifier
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline, send_picture
from agent.positioning.locator import Locator
from agent.privacy.rescue_grant import RescueGrants
from agent.push_trial import PushTrials
from agent.replay.history_recorder import HistoryRecorder
from agent.reporting.audit_sender import AuditSender
from agent.reporting.birth import birth_fields, software_version
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.device_health import DeviceHealth
from agent.reporting.messages import MessageFactory
from agent.reporting.reporter import Reporter
from agent.runtime.exit_codes import EX_TEMPFAIL
from agent.runtime.health import Health
from agent.runtime.malloc import limit_arenas
from agent.runtime.name_resolution import resolve_names_apart
from agent.runtime.native_calls import end_when_unsound
from agent.runtime.process import make_private
from agent.runtime.running_parts import RunningParts
from agent.runtime.simulated_data import claim_folder
from agent.runtime.supervisor import supervise
from agent.runtime.systemd import feed_watchdog, notify
from agent.trust.device_key import load_or_make
from agent.trust.roles import Roles
from agent.trust.trust import Trust
from agent.vision.camera import Camera
from agent.vision.inference_pool import SHARED_POOL
from firmware_bridge.mavlink.signing import use_replay_window
from firmware_bridge.source import SourcePart

log = structlog.get_logger()

TICK_S = 1.0
THREADS = 32
"""An adapter that hangs holds a thread for many seconds; with this many threads other work does not wait."""


class Agent:
    """One device: the parts that its configuration names, and the parts that every device has."""

    def __init__(self, deployment: Deployment, outbox: Outbox, folder: Path, root: str = ROOT) -> None:
        config = deployment.config
        self.config = config
        """The configuration that runs, also one on trial; ``deployment.config`` is the one in force."""
        self.deployment = deployment
        self.outbox = outbox
        self.trust = Trust(
            config.device,
            lambda: self.config.all_groups(),  # noqa: PLW0108  the configuration changes
            clock_trusted=lambda: kernel_clock()[0],
        )
        self.trust.load(config.roles, folder / "config")
        self.device_key = load_or_make(folder)
        envelope = Envelope(device=config.device, root=root)
        self.health = Health()
        self.parts = RunningParts(self.health)
        clock = ClockWatch()
        self.messages = MessageFactory(envelope, clock)
        self.audit = AuditSender(folder, self.device_key, outbox, self.messages)
        self.locator = Locator(config.locator_settings())
        self.reporter = Reporter(
            config, self.messages, self.health, self.locator.device_position, self.birth_fields(config)
        )
        rescue = RescueGrants(config.device)
        self.recorder = EvidenceRecorder(
            config.device, folder, lambda camera: rescue.active(camera, *read_clocks()),
            partial(send_picture, outbox, self.messages), self.audit.log,
        )  # fmt: skip
        self.pipeline = Pipeline(
            deployment=deployment, outbox=outbox, messages=self.messages, health=self.health, clock=clock,
            locator=self.locator, reporter=self.reporter, recorder=self.recorder,
            history=HistoryRecorder(folder / "history"),
        )  # fmt: skip
        self.inbound = Inbound(
            deployment, outbox, self.pipeline, rescue, lambda: self.config, self.spawn, self.trust
        )
        self.link = Link(
            envelope, outbox, self.pipeline.birth_messages, self.inbound.on_message, self.pipeline.latency
        )
        self.inbound.gate.on_roles = self.announce_roles
        self.link.receipts.open_payload = self.trust.open_receipt
        self.link.groups = lambda: self.config.all_groups()  # noqa: PLW0108  the configuration changes
        self.fallback_notifier = FallbackNotifier(
            envelope, self.inbound.on_message, self.pipeline.book.needs_fallbacks,
            lambda: self.link.connected_url, self.link.past,
            lambda broker: self.link.pairs(broker),  # noqa: PLW0108  they are set later
        )  # fmt: skip
        self.pipeline.fallback_notifier = self.fallback_notifier
        self.push_trials = PushTrials(
            deployment, outbox, self.link, self.health, self.reporter, self.inbound.pushes, self.apply,
            lambda: self.config,
        )  # fmt: skip
        self.control = Control(
            folder, self.parts, self.start_part, pipeline=self.pipeline, link=self.link, outbox=outbox,
            running=lambda: self.config, send_result=self.inbound.send_result, spawn=self.spawn,
            gate=self.inbound.gate,
        )  # fmt: skip
        self.inbound.commands.add(self.control.commands())
        attach_audit(self.audit, self.link, self.fallback_notifier, self.inbound.gate, self.control.drill)
        self.push_trials.audit = self.audit.log
        self.device_health = DeviceHealth(
            reporter=self.reporter, outbox=outbox, link=self.link, recorder=self.recorder,
            locator=self.locator, rescue=rescue, latency=self.pipeline.latency, deployment=deployment,
            more_troubles=self.more_troubles, more_fields=self.control.fields,
            certificates=self.control.certificates.in_use,
        )  # fmt: skip

        self.local = LocalServer(folder, methods_of(AgentParts(
            folder=folder, root=root, device_key=self.device_key.public.hex(), deployment=deployment,
            outbox=outbox, pipeline=self.pipeline, inbound=self.inbound, link=self.link, audit=self.audit.log,
            running=lambda: self.config, rescue_mode=self.control.rescue_mode.fields,
            refresh=self.device_health.update,
        )))  # fmt: skip

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task that ends with the agent."""
        return self.group.create_task(work)

    async def run(self) -> None:
        """Runs until cancelled; then sends ``stopped`` and leaves nothing unwritten."""
        use_replay_window(self.pipeline.replay_window)
        self.messages.session = self.outbox.session
        self.audit.start(software=software_version(), config=self.deployment.ledger.active.sha256)
        self.outbox.set_gap_factory(self.pipeline.gap)
        self.reporter.config_fields = self.deployment.ledger.active_fields()
        self.pipeline.restore()
        self.inbound.restore()
        self.control.restore()
        async with asyncio.TaskGroup() as group:
            self.group = group
            await self.apply(self.deployment.config)
            jobs: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
                ("keeper", self.pipeline.write_loop),
                ("ticker", self.tick),
                ("deployment", self.push_trials.run),
                ("evidence", self.recorder.run),
                ("second look", self.pipeline.verifier.looks.run),
                ("history", self.pipeline.history.run),
                ("machine", self.device_health.monitor_host),
                ("watchdog", partial(feed_watchdog, self.pipeline.liveness)),
                *self.control.jobs(),
                ("commands", self.inbound.report_cut_off),
            )  # these names stand in ``health``
            for name, job in jobs:
                group.create_task(supervise(name, job, self.parts.status_callback(name, speaks=False)))
            group.create_task(self.local.run())
            try:
                await asyncio.Event().wait()
            finally:
                await self.stop()

    async def tick(self) -> None:
        """Lets time pass, about once a second, and adds the reports that are due."""
        while True:
            at, now_s = read_clocks()
            self.pipeline.observe(Observation("clock", at, now_s, Tick()))
            self.audit.tick()
            self.device_health.update()
            self.pipeline.report_due(at, now_s)
            await asyncio.sleep(TICK_S)

    async def stop(self) -> None:
        """Ends the sources first, so that nothing is sent after ``stopped``; then the link."""
        notify("STOPPING=1")
        self.outbox.holds.release_all()
        for name in list(self.parts.tasks):
            if name != "link":
                await self.parts.end(name)
        with suppress(OSError):
            await self.pipeline.write_buffered()
        await self.audit.stop()
        if "link" in self.parts.tasks:
            self.link.final_status = self.reporter.status(*read_clocks(), state="stopped")
            await self.parts.end("link")
        log.info("agent_stopped")

    async def apply(self, config: Config) -> None:
        """Runs ``config``, at the start and at each change: ends parts that it does not name any more, starts
        new ones and those that need a restart under their changed settings, and leaves the others alone."""
        wanted: dict[str, SourcePart | Broker] = {**config.sources, "link": config.broker}
        if any(rule.escalate and rule.escalate.fallbacks for rule in config.rules.values()):
            wanted["elsewhere"] = config.broker
        regrouped = config.all_groups() != self.config.all_groups()
        await self.parts.end_others(wanted, restart={"link"} if regrouped else ())
        at, now_s = read_clocks()
        self.pipeline.raise_alerts(self.pipeline.rules.apply(config.rules, at, now_s), now_s)
        self.config = config
        self.locator.configure(config.locator_settings())
        self.reporter.configure(config, self.birth_fields(config))
        self.pipeline.latency.keep_rules(frozenset(config.rules))
        self.configure_cameras(config)
        for name in self.parts.adopt(wanted):
            self.start_part(name, wanted[name])
        for note in config_notes(config):
            log.warning("config_note", note=note)
        log.info(
            "config_running", device=config.device, sources=list(config.sources), rules=list(config.rules)
        )

    def more_troubles(self) -> list[str]:
        """The troubles of commands under way, of the roles document and of the audit log."""
        return [*self.control.troubles(), *filter(None, (self.trust.trouble, self.audit.log.trouble))]

    def birth_fields(self, config: Config) -> dict[str, Any]:
        """The fields of ``birth``: those of the configuration, the device's key, the version of the roles."""
        roles = self.trust.roles
        return {
            **birth_fields(config),
            "device_key": self.device_key.public.hex(),
            "roles_version": roles.version if roles else None,
        }

    def announce_roles(self, _: Roles) -> None:
        """A newer roles document is in force: ``birth`` says so."""
        self.reporter.configure(self.config, self.birth_fields(self.config))
        self.spawn(self.inbound.rebirth())

    def configure_cameras(self, config: Config) -> None:
        """Gives the inference pool its priorities, and the evidence recorder its cameras."""
        SHARED_POOL.prefer(config.longest_gaps_s())
        cameras = {name: part for name, part in config.sources.items() if isinstance(part, Camera)}
        blackout = {name: camera.blackout for name, camera in cameras.items()}
        detectors = {name: camera.detector.finder for name, camera in cameras.items()}
        self.recorder.configure(config.evidence, blackout, recipients(self.link, config.broker), detectors)
        self.pipeline.verifier.looks.configure(config.verifiers())
        self.pipeline.history.configure(config.history.hours, config.history_bytes())

    def start_part(self, name: str, part: SourcePart | Broker) -> None:
        """Starts a source, the link or the fallback notifier under supervision."""
        if isinstance(part, SourcePart):
            run = partial(self.run_source, name)
        else:
            run = partial(self.link.run if name == "link" else self.fallback_notifier.run, part)
        speaks = name not in ("link", "elsewhere")
        self.parts.start(
            name, part, run, self.spawn, speaks=speaks, longest_wait_s=part.longest_wait_s, shared=not speaks
        )

    async def run_source(self, name: str) -> None:
        """Runs a source with its present settings, until it fails."""
        latest = self.parts.latest(name)
        await latest().run(self.pipeline.emitter(name), self.pipeline.output_requests(name), latest)


async def run(config: Path, data: Path | None, root: str = ROOT) -> int:
    """Runs the agent of the configuration file ``config`` until SIGTERM or SIGINT; returns the exit code.

    BadConfig or OSError before anything runs. After that it keeps going whatever happens, unless so many
    native calls hang that only a new process helps (`EX_TEMPFAIL`).
    """
    limit_arenas()
    folder = data or folder_of(config)
    claim_folder(folder, root)
    if root == SIMULATED_ROOT:
        allow_simulated_sources()
    deployment = Deployment.boot(config, folder / "config")
    outbox = Outbox.open(folder, deployment.config.outbox_bytes())
    make_private(folder)
    try:
        task = asyncio.ensure_future(Agent(deployment, outbox, folder, root).run())
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "aside"))
        resolve_names_apart(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        watch = asyncio.ensure_future(end_when_unsound(task))
        with suppress(asyncio.CancelledError):
            await task
        return EX_TEMPFAIL if watch.done() else 0
    finally:
        outbox.close()
