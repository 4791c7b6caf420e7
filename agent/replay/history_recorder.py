"""Records what the rules see, for ``what_if``: a listener of the pipeline, and a job that writes.

Left out: pictures, statistics of lines, most ticks (one each second is added again when it is read), readings
of a quantity within `READING_EVERY_S`, and views of a camera that say the same as before.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from agent.alerts.alert import Alert
from agent.domain.message import new_id
from agent.domain.observations import Observation, Sighting, Tick, View
from agent.replay.history_block import Block, RaisedAlert, encode_block
from agent.replay.history_store import HistoryStore
from firmware_bridge.readings import BoardState, LineState, Reading

log = structlog.get_logger()

WRITE_EVERY_S = 30.0
MAX_ROWS = 5_000
"""Rows of a block; more in `WRITE_EVERY_S` make another block."""
MAX_WAITING = 4
"""Blocks that wait for the disk; one more drops the oldest."""
READING_EVERY_S = 0.5
VIEW_EVERY_S = 4.0
TICK_EVERY_S = 10.0
"""Ticks that are kept show that the agent ran, however silent its sources were."""
CLOCK_STEP_S = 0.5
"""A step of the system clock by more than this begins another block."""
MAX_QUANTITIES = 2_000


class HistoryRecorder:
    """The history of one device below ``folder``. Nothing is recorded before `configure`."""

    def __init__(self, folder: Path) -> None:
        self.store = HistoryStore(folder)
        self.trouble: str | None = None
        """Why nothing is recorded, or None."""
        self._run = new_id()
        self._block: Block | None = None
        self._waiting: deque[Block] = deque(maxlen=MAX_WAITING)
        self._readings: dict[tuple[str, str], float] = {}
        self._views: dict[str, tuple[float, Any]] = {}
        self._tick_s = float("-inf")
        self._latest_tick: tuple[str, float, Tick] | None = None
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()

    def configure(self, hours: float, max_bytes: int) -> None:
        """New limits; 0 hours: the history is deleted, and nothing is recorded."""
        self.store.max_age_s, self.store.max_bytes = hours * 3600.0, max_bytes

    @property
    def enabled(self) -> bool:
        """Whether a history is kept."""
        return self.store.max_age_s > 0

    def on_observation(self, observation: Observation) -> None:
        """Takes an observation that the rules see."""
        value, source, now_s = observation.value, observation.source, observation.mono_s
        if not self.enabled or self._is_left_out(source, value, now_s):
            return
        block = self._block_at(observation.at, now_s)
        if isinstance(value, Sighting):
            row = (value.frame, value.delay_s, value.camera_moves, value.objects)
            block.rows.append((source, now_s, row))
        else:
            block.rows.append((source, now_s, value))
        if len(block.rows) >= MAX_ROWS:
            self._seal()
            self._full.set()

    def on_alerts(self, alerts: Iterable[Alert], now_s: float) -> None:
        """Takes phases of alerts: the answer of a person tells a true alert from a false one."""
        for alert in alerts if self.enabled else ():
            answer = alert.acknowledged.action if alert.acknowledged else None
            key, rule = alert.finding.key, alert.policy.rule
            raised = RaisedAlert(alert.at, alert.alert_id, rule, key, alert.phase, answer)
            self._block_at(alert.at, now_s).alerts.append(raised)

    def _is_left_out(self, source: str, value: object, now_s: float) -> bool:
        if isinstance(value, LineState | BoardState):
            return True
        if isinstance(value, Tick):
            self._latest_tick = source, now_s, value
            if 0 <= now_s - self._tick_s < TICK_EVERY_S:
                return True
            self._tick_s = now_s
        if isinstance(value, Reading):
            key = source, value.quantity
            if 0 <= now_s - self._readings.get(key, float("-inf")) < READING_EVERY_S:
                return True
            if len(self._readings) < MAX_QUANTITIES or key in self._readings:
                self._readings[key] = now_s
        elif isinstance(value, View):
            said = value.zones, [(zone.zone, zone.why) for zone in value.blind]
            before_s, before = self._views.get(source, (float("-inf"), None))
            if said == before and 0 <= now_s - before_s < VIEW_EVERY_S:
                return True
            self._views[source] = now_s, said
        return False

    def _block_at(self, at: datetime, now_s: float) -> Block:
        """The block for an instant on both clocks."""
        block = self._block
        if block is not None:
            passed_s = (at - block.at).total_seconds()
            if abs(passed_s - (now_s - block.mono_s)) > CLOCK_STEP_S:
                self._seal()
                block = None
        if block is None:
            block = self._block = Block(self._run, at, now_s)
        return block

    def _seal(self) -> None:
        if self._block is not None:
            if self._latest_tick is not None:  # until when the agent ran
                self._block.rows.append(self._latest_tick)
            self._waiting.append(self._block)
            self._block = None

    async def run(self) -> None:
        """Writes until it is cancelled."""
        while True:
            self._full.clear()
            try:
                async with asyncio.timeout(WRITE_EVERY_S):
                    await self._full.wait()
            except TimeoutError:
                self._seal()
            await self.write()

    async def flush(self) -> None:
        """Writes all that was recorded so far."""
        self._seal()
        await self.write()

    async def write(self) -> None:
        """Writes the blocks that wait. A failure is reported, and costs these blocks."""
        try:
            async with self._writing:
                blocks = list(self._waiting)
                self._waiting.clear()
                await asyncio.to_thread(self._append if self.enabled else self._delete, blocks)
        except OSError as error:
            if self.trouble is None:
                log.warning("history_not_recorded", error=str(error))
            self.trouble = f"no history is recorded: {error}"
            return
        self.trouble = None

    def _append(self, blocks: list[Block]) -> None:
        for block in blocks:
            self.store.append(encode_block(block))

    def _delete(self, _: list[Block]) -> None:
        self.store.delete()
