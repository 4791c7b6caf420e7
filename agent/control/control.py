"""The commands of this package, and what they add to health, jobs and the start."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from agent.commands.commands import Run
from agent.commands.requests import (
    Command,
    DrillRequest,
    Probe,
    RescueModeRequest,
    RestartPart,
    RotateCertificate,
    SilenceAlert,
    Snapshot,
    WhatIf,
)
from agent.config.model import Config
from agent.control.certificate_store import CertificateStore
from agent.control.certificates import Certificates
from agent.control.diagnostics import Diagnostics
from agent.control.drill import Drill
from agent.control.order_gate import OrderGate
from agent.control.probe import Probes
from agent.control.rescue_mode import RescueMode
from agent.control.restart import PartRestarts
from agent.control.silence import AlertSilencer
from agent.control.snapshot import Snapshots
from agent.control.what_if import WhatIfs
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.runtime.running_parts import RunningParts

log = structlog.get_logger()


def guarded(spawn: Callable[[Any], object]) -> Callable[[Coroutine[Any, Any, None]], object]:
    """``spawn`` for work whose failure ends nothing but itself."""

    async def run(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("command_crashed")

    return lambda work: spawn(run(work))


class Control:
    """One part for each command, or group of commands."""

    def __init__(
        self,
        folder: Path,
        parts: RunningParts,
        start_part: Callable[[str, Any], None],
        *,
        pipeline: Pipeline,
        link: Link,
        outbox: Outbox,
        running: Callable[[], Config],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Any], object],
        gate: OrderGate,
    ) -> None:
        """``folder`` is the data folder; ``parts`` are the supervised parts, which ``start_part`` starts;
        ``running`` gives the configuration that runs, also one on trial; ``spawn`` starts a task."""
        deployment, spawn = pipeline.deployment, guarded(spawn)
        self.drill = Drill(pipeline, link, outbox, running, send_result, spawn)
        self._silencer = AlertSilencer(pipeline)
        self.rescue_mode = RescueMode(pipeline, link, outbox, running)
        self._history = pipeline.history
        self.snapshots = Snapshots(pipeline.recorder, running, send_result)
        self.probes = Probes(pipeline, link, running, send_result, spawn, gate)
        self.what_ifs = WhatIfs(
            pipeline.history,
            running,
            lambda: deployment.ledger.active.text,
            deployment.base,
            send_result,
            spawn,
        )
        pairs = CertificateStore(folder)
        self.certificates = Certificates(pairs, pipeline, link, outbox, running, send_result, spawn)
        link.pairs = pairs.pairs
        self._restarts = PartRestarts(parts, start_part, link, deployment, running, send_result, spawn)
        self._diagnostics = Diagnostics(deployment, outbox, pipeline.reporter, running, send_result, spawn)

    def commands(self) -> dict[str, tuple[type[Command], Run]]:
        """The model and the handler of each command, by its name."""
        return {
            "diagnostics": (Command, self._diagnostics.command),
            "drill": (DrillRequest, self.drill.command),
            "rescue_mode": (RescueModeRequest, self.rescue_mode.command),
            "restart_part": (RestartPart, self._restarts.command),
            "rotate_certificate": (RotateCertificate, self.certificates.command),
            "silence_alert": (SilenceAlert, self._silencer.command),
            "probe": (Probe, self.probes.carry_out),
            "snapshot": (Snapshot, self.snapshots.carry_out),
            "what_if": (WhatIf, self.what_ifs.carry_out),
        }

    def restore(self) -> None:
        """Takes up what was remembered before a restart."""
        self.drill.restore()
        self.certificates.restore()
        self.rescue_mode.restore()

    def jobs(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """Jobs by their names in ``health``; each runs until it is cancelled."""
        return (
            ("drill", self.drill.run_schedule),
            ("certificates", self.certificates.report_cut_off),
            ("rescue_mode", self.rescue_mode.run),
        )

    def troubles(self) -> list[str]:
        """Reasons for ``degraded``."""
        return [*self.drill.troubles(), *self.certificates.troubles()]

    def fields(self) -> dict[str, Any]:
        """Fields of ``health``."""
        trouble = self._history.trouble
        return self.drill.fields() | ({} if trouble is None else {"history": trouble})
