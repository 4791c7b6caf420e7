"""The health of the device as a whole: host, outbox, link, configuration."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.alerts.latency import LatencyLedger
from agent.config.deployment import Deployment
from agent.evidence.recorder import EvidenceRecorder
from agent.host.clock import monotonic_s, read_clocks, utc_now
from agent.host.machine import task_count
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.positioning.locator import Locator
from agent.privacy.rescue_grant import RescueGrants
from agent.reporting.health_file import write_health
from agent.reporting.host_monitor import HostMonitor, HostState, read_host
from agent.reporting.reporter import Reporter
from agent.runtime.malloc import trim_heap

EVERY_S = 5.0
BACKLOG_EVERY_S = 10.0
MOST_FAULTS = 5
"""Wrong parts of the configuration that the status names; ``config/reported`` has more of them."""


class DeviceHealth:
    """Collects for the reporter what no source and no camera reports itself."""

    def __init__(
        self,
        *,
        reporter: Reporter,
        outbox: Outbox,
        link: Link,
        recorder: EvidenceRecorder,
        locator: Locator,
        rescue: RescueGrants,
        latency: LatencyLedger,
        deployment: Deployment,
        certificates: Callable[[], Mapping[str, Path]],
        more_troubles: Callable[[], Sequence[str]] = tuple,
        more_fields: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """``certificates`` gives the files of those in use, by their keys in the configuration;
        ``more_troubles`` and ``more_fields`` those of parts above this layer."""
        self._reporter = reporter
        self._outbox = outbox
        self._link = link
        self._recorder = recorder
        self._locator = locator
        self._rescue = rescue
        self._latency = latency
        self._deployment = deployment
        self._certificates = certificates
        self._more_troubles = more_troubles
        self._more_fields = more_fields
        self._host_troubles: list[str] = []
        self._written = b""
        self._writing: asyncio.Task[None] | None = None

    def update(self) -> None:
        """Gives the reporter the present troubles, and whether bytes are short."""
        self._reporter.troubles = self.troubles()
        self._reporter.host_fields = {**self._reporter.host_fields, "link": self._link.fields()}
        self._reporter.telemetry.thin = self._link.saving

    def troubles(self) -> list[str]:
        """One line for each trouble: the reasons for ``degraded`` that no source or camera reports itself."""
        config = self._deployment.config
        return [
            *(f"outbox: {text}" for text in self._outbox.troubles.values()),
            *(f"link: {text}" for text in self._link.troubles.values()),
            *self._host_troubles,
            *(f"evidence: {text}" for text in self._recorder.troubles.values()),
            *self._locator.troubles,
            *self._rescue.status_texts(*read_clocks()),
            *self._latency.troubles(config.reporting.alert_budget.total_seconds(), monotonic_s()),
            *([f"config: {self._deployment.trouble}"] if self._deployment.trouble else []),
            *self._more_troubles(),
            *(f"config: {fault}" for fault in self._deployment.faults[:MOST_FAULTS]),
        ]

    async def monitor_host(self) -> None:
        """Reads the host every `EVERY_S`, the backlog every `BACKLOG_EVERY_S`, until cancelled."""
        monitor, backlog, read_s, tasks = HostMonitor(), {}, float("-inf"), 0
        numbers: list[dict[str, Any]] = []
        while True:
            certificates = self._certificates()
            is_due = monotonic_s() - read_s >= BACKLOG_EVERY_S
            host = await asyncio.to_thread(_read, self._outbox.folder, certificates, trim=is_due)
            self._host_troubles = monitor.troubles(host, *read_clocks())
            self._outbox.check_files()
            if is_due:
                backlog, read_s = await self._outbox.depth(), monotonic_s()
                numbers = await self._outbox.highest_numbers()
                tasks = task_count()
                self._write_health_soon()
            self._reporter.host_fields = {
                "machine": host.fields() | {"process_tasks": tasks},
                "link": self._link.fields(),
                "owed": {lane: count for lane, count in backlog.items() if count},
                "numbers": numbers,
                **self._more_fields(),
            }
            await asyncio.sleep(EVERY_S)

    def _write_health_soon(self) -> None:
        """Writes the last report for ``ringpost doctor``, without waiting for a disk that hangs."""
        body = self._reporter.last_health
        if body is not self._written and (self._writing is None or self._writing.done()):
            self._written = body
            self._writing = asyncio.create_task(self._write_health(body))

    async def _write_health(self, body: bytes) -> None:
        """A disk that fails is reported by the outbox."""
        with suppress(OSError):
            await asyncio.to_thread(write_health, self._outbox.folder, body)


def _read(folder: Path, certificates: Mapping[str, Path], *, trim: bool) -> HostState:
    """The state of the host; ``trim`` gives free memory back in the same wake of a thread. Blocking."""
    if trim:
        trim_heap()
    return read_host(folder, certificates, utc_now())
