"""The audit log of a running agent: it sends the checkpoints to the centre, and keeps the countersignatures.

Checkpoints travel in the lane of results: they are kept until the receipt, and a broker that refuses their
topic delays no alert.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agent.audit.audit_log import FOLDER, AuditLog
from agent.audit.chain_files import ChainFiles
from agent.audit.clock_steps import ClockSteps
from agent.audit.countersigned import keep_countersigned
from agent.audit.entry import Entry
from agent.domain.message import encode
from agent.host.clock import read_clocks, since_boot_s
from agent.outbox.outbox import Outbox
from agent.reporting.messages import MessageFactory
from agent.runtime.error_text import describe_error
from agent.trust.signing_key import SigningKey

log = structlog.get_logger()

TOPIC = "audit"
MOST_SENT = 64
KEY = "audit"
"""Where the outbox remembers the newest checkpoint, so that a log that was deleted is missed."""


class AuditSender:
    """``log`` takes the entries. `start` once the loop runs; `stop` before the link ends."""

    def __init__(self, folder: Path, key: SigningKey, outbox: Outbox, messages: MessageFactory) -> None:
        self._folder = folder / FOLDER
        files = ChainFiles(self._folder, device_key=key.public.hex(), sign=key.sign)
        self.log = AuditLog(files, self._on_anchor, _remembered(outbox.recall(KEY)))
        self._outbox, self._messages = outbox, messages
        self._clock = ClockSteps()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent: dict[str, int] = {}
        """By hash: checkpoints of this run that wait for their countersignature."""

    def start(self, **fields: Any) -> None:
        """Begins the log of this run."""
        self._loop = asyncio.get_running_loop()
        self.log.append("start", **fields)

    async def stop(self) -> None:
        """Writes the end of this run; its checkpoint is in the outbox on return."""
        self.log.append("stop")
        await asyncio.to_thread(self.log.close)
        await asyncio.sleep(0)  # the log's thread has scheduled the last checkpoint before it ended
        if self._tasks:
            await asyncio.wait(self._tasks)

    def tick(self) -> None:
        """Looks at the clock, and lets the log write what is due; about once a second."""
        at, _ = read_clocks()
        if (step_s := self._clock.step_s(at, since_boot_s())) is not None:
            self.log.append("clock_step", by_s=step_s, to=at)
        self.log.tick()

    def on_countersigned(self, receipt: bytes, checkpoint: Mapping[str, Any]) -> None:
        """The centre's receipt for a checkpoint; kept once, and only for one of this run."""
        if self._sent.pop(str(checkpoint.get("hash")), None) != checkpoint.get("n"):
            return

        async def keep() -> None:
            try:
                await asyncio.to_thread(keep_countersigned, self._folder, receipt, checkpoint)
            except (OSError, ValueError) as error:
                log.warning("countersignature_not_kept", error=describe_error(error))

        self._spawn(keep())

    def _on_anchor(self, entry: Entry) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: the next start sends a checkpoint
                self._loop.call_soon_threadsafe(lambda: self._spawn(self._send(entry)))

    async def _send(self, entry: Entry) -> None:
        self._sent[entry.hash] = entry.n
        if len(self._sent) > MOST_SENT:
            self._sent.pop(next(iter(self._sent)))
        fields = {"entry": entry.line.decode()}
        message = self._messages.make("audit_checkpoint/1", fields, "result", TOPIC, *read_clocks())
        newest = encode({"log": entry.fields["log"], "n": entry.n})
        with suppress(OSError):
            await self._outbox.put(message, remember={KEY: newest})

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _remembered(data: bytes | None) -> tuple[str, int] | None:
    """Log and number of the newest checkpoint that this device has sent."""
    try:
        body = json.loads(data or b"null")
        return str(body["log"]), int(body["n"])
    except (ValueError, TypeError, KeyError):
        return None
