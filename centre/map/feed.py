"""Follows the database of the centre: a fast start from what is stored, then each commit as it comes."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from agent.host.clock import utc_now
from agent.runtime.error_text import describe_error
from centre.map.queued_alert import alert_id_of, listed_ids
from centre.map.situation import Change, Listener, Situation
from centre.map.store_reader import LATEST_TOPICS, StoreReader
from centre.map.stored_message import StoredMessage

log = structlog.get_logger()

EVERY_S = 0.2
AT_ONCE = 2_000
"""Messages that one look takes; more follow without a wait."""
RETRY_S = 2.0
ALERTS_OF = timedelta(hours=1)
"""Alerts that ended before are in reports, not in the queue."""
EARLIER = 2_000
"""Messages of a device that are searched for an older alert that it still lists."""


def load_situation(
    reader: StoreReader,
    row: int | None = None,
    alerts_of: timedelta = ALERTS_OF,
    known: MutableMapping[int, StoredMessage] | None = None,
) -> Situation:
    """The situation as of ``row``, by default now. Blocking; OSError. ``known``: see `StoreReader.latest`."""
    row = reader.last_row() if row is None else row
    situation = Situation()
    newest = reader.since(row - 1, 1) if row else []
    if newest:
        first = reader.row_at(newest[0].received_at - alerts_of)
        latest = reader.latest(row, LATEST_TOPICS, known)
        alerts = list(reader.of_topic("alert", first, row))
        found = [*latest, *alerts, *_older_alerts(reader, latest, alerts, first)]
        situation.apply(sorted(found, key=lambda message: message.row))
        situation.at = newest[0].received_at
    situation.row = row
    return situation


def _older_alerts(
    reader: StoreReader, latest: Iterable[StoredMessage], alerts: Iterable[StoredMessage], first: int
) -> Iterator[StoredMessage]:
    """The messages up to ``first`` of alerts that devices list as active, and that ``alerts`` lacks."""
    known = {(message.device, alert_id_of(message.body)) for message in alerts}
    for message in latest:
        if message.topic != "alerts/active":
            continue
        listed = listed_ids(message.body)
        if any((message.device, alert_id) not in known for alert_id in listed):
            earlier = reader.newest("alert", message.device, first, EARLIER)
            yield from (one for one in earlier if alert_id_of(one.body) in listed)


class Feed:
    """One for each process of the map: all its pages look at one `Situation`."""

    def __init__(self, db: Path, now: Callable[[], datetime] = utc_now) -> None:
        """OSError: ``db`` is not the database of a centre."""
        self.reader = StoreReader(db)
        self.situation = Situation()
        self.problem = ""
        """Why nothing is read at the moment; empty while all is well."""
        self.behind_s = 0.0
        """Age of the newest message at its application: from commit to the pages."""
        self._now = now
        self._listeners: list[Listener] = []
        self._last: tuple[int, object] = (0, None)
        """The last row that was applied, and what is in it: another content is another database."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` in the event loop at each change; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def start(self) -> None:
        """Loads what is stored. OSError."""
        await self._load()

    async def _load(self) -> None:
        situation = await asyncio.to_thread(load_situation, self.reader)
        self._last = situation.row, await asyncio.to_thread(self.reader.identity_of, situation.row)
        self.situation = situation

    async def run(self) -> None:
        """Follows the database for ever; an error is retried, and shown as `problem` meanwhile."""
        while True:
            try:
                if await asyncio.to_thread(self.reader.identity_of, self._last[0]) != self._last[1]:
                    await self._reload()
                messages = await asyncio.to_thread(self.reader.since, self.situation.row, AT_ONCE)
                if messages:
                    row = messages[-1].row
                    self._last = row, await asyncio.to_thread(self.reader.identity_of, row)
                self.problem = ""
            except OSError as error:
                if not self.problem:
                    log.error("map_reads_nothing", error=describe_error(error))
                self.problem = describe_error(error)
                await asyncio.sleep(RETRY_S)
                continue
            if messages:
                self._apply(messages)
            await asyncio.sleep(0 if len(messages) == AT_ONCE else EVERY_S)

    async def _reload(self) -> None:
        """Takes another database at the same path, such as a backup that was put back: all of it."""
        log.warning("map_database_replaced", db=str(self.reader.path))
        await self._load()
        alerts = self.situation.alerts.all()
        self.tell(Change(True, tuple(alerts), tuple(alert for alert in alerts if alert.alarm)))

    def _apply(self, messages: list[StoredMessage]) -> None:
        change = self.situation.apply(messages)
        self.behind_s = max(0.0, (self._now() - messages[-1].received_at).total_seconds())
        self.tell(change)

    def tell(self, change: Change) -> None:
        """Passes a change on to all listeners; one that fails disturbs no other."""
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception as error:  # a page may have gone
                log.warning("map_listener_failed", error=repr(error))

    def close(self) -> None:
        self.reader.close()
