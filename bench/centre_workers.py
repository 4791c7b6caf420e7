"""Workers of a centre killed with SIGKILL under load: mosquitto, PostgreSQL, real worker processes.

Thin devices publish alerts as an agent does: again without a receipt after ``resend_after``, and once a
generation of the centre. ``python -m bench.centre_workers [ALERTS]`` prints one JSON line for each scene, and
one for all; exit code 1 where a receipt came for what is not committed, or an alert has none at the end.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.domain.message import encode, new_id, stamp
from agent.host.clock import utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from simulators.broker import LocalBroker
from simulators.postgres import NEEDED, postgres_server, server_programs

ROOT = "ringpost-sim/v1"
DEVICES, RATE = 50, 150.0
RESEND_S, JITTER = 20.0, 0.25
"""A third of the agent's default, so that a run is short; longer than a worker's session."""
AFTER_DEATH_S = 10.0
"""Alerts of so many seconds from each death on have their delay reported apart."""
PATIENCE_S = 120.0


@dataclass(slots=True)
class Sent:
    device: str
    body: bytes
    at_s: float
    due_s: float
    times: int = 1
    receipt_s: float | None = None


@dataclass
class Devices:
    """All thin devices on a few connections; `receipts` are checked against the database as they come."""

    url: str
    database: Any
    owed: dict[str, Sent] = field(default_factory=dict)
    done: dict[str, Sent] = field(default_factory=dict)
    receipts: int = 0
    uncommitted: int = 0
    generations: set[str] = field(default_factory=set)
    offline: int = 0

    async def __aenter__(self) -> "Devices":
        self.connection = Connection(
            Broker(url=self.url), f"devices-{new_id()[-8:]}", None, session_expiry_s=0
        )
        await self.connection.open()
        self.connection.subscribe([f"{ROOT}/+/receipt", f"{ROOT}/host/status"])
        self._tasks = [asyncio.ensure_future(job) for job in (self._hear(), self._resend())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        self.connection.close()

    def raise_alert(self, number: int) -> None:
        device, identity = f"d{number % DEVICES}", new_id()
        alert = {"alert_id": identity, "phase": "new", "severity": "critical", "text": "x" * 120}
        body = {
            "schema": "alert/1", "id": identity, "device": device, "session": 1, "epoch": "e",
            "seq": number // DEVICES + 1, "at": stamp(utc_now()), "simulated": True, "alert": alert,
        }  # fmt: skip
        now_s = time.monotonic()
        self.owed[identity] = Sent(device, encode(body), now_s, now_s + wait_s())
        self._publish(self.owed[identity])

    def _publish(self, sent: Sent) -> None:
        self.connection.publish(f"{ROOT}/{sent.device}/alert", sent.body, 1, False)

    async def _hear(self) -> None:
        while True:
            match await self.connection.event(1.0):
                case ("lost", reason):
                    raise OSError(reason)
                case ("message", message):
                    self.connection.acknowledge(message)
                    body = json.loads(message.payload)
                    if message.topic.endswith("/receipt"):
                        await self._receipt(body["ids"])
                    else:
                        self._host(body, message.retain)

    async def _receipt(self, ids: list[str]) -> None:
        now_s = time.monotonic()
        self.receipts += len(ids)
        query = "SELECT count(DISTINCT id) FROM message WHERE id = ANY(%s)"
        rows = await asyncio.to_thread(lambda: self.database.execute(query, (ids,)).fetchone())
        self.uncommitted += len(set(ids)) - rows[0]
        for identity in ids:
            if (sent := self.owed.pop(identity, None)) is not None:
                sent.receipt_s = now_s
                self.done[identity] = sent

    def _host(self, body: dict[str, Any], retained: bool) -> None:
        self.offline += body["state"] == "offline" and not retained
        generation = body.get("generation")
        if generation is not None and generation not in self.generations:
            self.generations.add(generation)
            if not retained:
                now_s = time.monotonic()
                for sent in self.owed.values():
                    sent.due_s = min(sent.due_s, now_s + random.uniform(0, RESEND_S))

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            now_s = time.monotonic()
            for sent in [one for one in self.owed.values() if one.due_s <= now_s]:
                sent.times, sent.due_s = sent.times + 1, now_s + wait_s()
                self._publish(sent)


def wait_s() -> float:
    return RESEND_S * random.uniform(1.0, 1.0 + JITTER)


class Workers:
    """Worker processes by name."""

    def __init__(self, db: str, broker: str, folder: Path) -> None:
        self._command = [
            sys.executable, "-m", "agent", "centre", "--db", db, "--broker", broker, "--root", ROOT,
            "--worker",
        ]  # fmt: skip
        self._log = (folder / "workers.log").open("ab")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(
            [*self._command, name], stdout=subprocess.DEVNULL, stderr=self._log
        )

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        self.processes[name].send_signal(how)
        self.processes[name].wait()

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        self._log.close()


async def scene(
    name: str, alerts: int, count: int, deaths: int, back_s: float | None, whom: str
) -> dict[str, Any]:
    """``deaths`` workers are killed, evenly over the run; each is back after ``back_s``, or never. ``whom``:
    the registrar, or one of the others."""
    import psycopg

    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server(durable=True) as url,
        LocalBroker("mosquitto") as broker,
    ):
        workers = Workers(url, broker.url, Path(folder))
        try:
            for number in range(1, count + 1):
                workers.start(f"w{number}")
            database = await asyncio.to_thread(lambda: ready(psycopg, url))
            await asyncio.sleep(3.0)
            died_s: list[float] = []
            began_s = time.monotonic()
            async with Devices(broker.url, database) as devices:
                killing = asyncio.ensure_future(
                    kill(workers, database, deaths, alerts / RATE, back_s, whom, died_s)
                )
                for number in range(alerts):
                    await asyncio.sleep(max(0.0, began_s + number / RATE - time.monotonic()))
                    devices.raise_alert(number)
                await killing
                until_s = time.monotonic() + PATIENCE_S
                while devices.owed and time.monotonic() < until_s:
                    await asyncio.sleep(0.1)
                return result(name, alerts, devices, database, died_s)
        finally:
            workers.close()


def ready(psycopg: Any, url: str) -> Any:
    """A connection, once a worker has the lease."""
    for _ in range(300):
        with suppress(psycopg.Error):
            database = psycopg.connect(url, autocommit=True)
            if database.execute("SELECT holder FROM lease").fetchone():
                return database
        time.sleep(0.1)
    raise TimeoutError("no worker takes the lease")


async def kill(
    workers: Workers,
    database: Any,
    deaths: int,
    over_s: float,
    back_s: float | None,
    whom: str,
    died_s: list[float],
) -> None:
    for _ in range(deaths):
        await asyncio.sleep(over_s / (deaths + 1))
        row = await asyncio.to_thread(lambda: database.execute("SELECT holder FROM lease").fetchone())
        leader = str(row[0]).partition(" ")[0]
        others = [
            one for one, process in workers.processes.items() if one != leader and process.poll() is None
        ]
        victim = leader if whom == "registrar" else random.choice(others)
        died_s.append(time.monotonic())
        workers.kill(victim)
        if back_s is not None:
            await asyncio.sleep(back_s)
            workers.start(victim)


def result(name: str, alerts: int, devices: Devices, database: Any, died_s: list[float]) -> dict[str, Any]:
    stored = {row[0] for row in database.execute("SELECT id FROM message WHERE topic = 'alert'").fetchall()}
    rows = database.execute("SELECT count(*) FROM message WHERE topic = 'alert'").fetchone()[0]
    delays = {
        one: sent.receipt_s - sent.at_s for one, sent in devices.done.items() if sent.receipt_s is not None
    }
    after = [
        delay for one, delay in delays.items()
        if any(0 <= devices.done[one].at_s - at_s <= AFTER_DEATH_S for at_s in died_s)
    ]  # fmt: skip
    return {
        "scene": name,
        "alerts": alerts,
        "receipts_without_commit": devices.uncommitted + len(devices.done.keys() - stored),
        "without_receipt": len(devices.owed),
        "sent_again": sum(one.times - 1 for one in [*devices.done.values(), *devices.owed.values()]),
        "rows_twice": rows - len(stored),
        "receipts_repeated": devices.receipts - len(devices.done),
        "delay_s": quantiles(list(delays.values())),
        "delay_after_a_death_s": quantiles(after),
        "generations": len(devices.generations),
        "said_offline": devices.offline,
    }


BAD = ("receipts_without_commit", "without_receipt", "rows_twice")


def wrong(rows: Sequence[dict[str, Any]]) -> int:
    """How many alerts of all scenes were lost, told twice, or have a receipt without a commit."""
    return sum(row[name] for row in rows for name in BAD)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line of ``python -m bench``."""
    found: dict[str, Any] = {name: sum(row[name] for row in rows) for name in ("alerts", *BAD)}
    for row in rows:
        delay = row["delay_after_a_death_s"] or row["delay_s"]
        found[f"{row['scene']}: sent_again"] = row["sent_again"]
        found[f"{row['scene']}: delay_s"] = {name: delay.get(name) for name in ("p50", "p99")}
    return found


def quantiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


SCENES = (
    ("nobody dies", 3, 0, None, "another"),
    ("three deaths, each back after 1 s", 3, 3, 1.0, "another"),
    ("the registrar dies twice, back after 1 s", 3, 2, 1.0, "registrar"),
    ("one of three dies for good", 3, 1, None, "another"),
)


def main() -> int:
    alerts = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    if server_programs() is None:
        print(json.dumps({"skipped": NEEDED}))
        return 0
    rows = []
    for name, count, deaths, back_s, whom in SCENES:
        rows.append(asyncio.run(scene(name, alerts, count, deaths, back_s, whom)))
        print(json.dumps(rows[-1] | {"load": os.getloadavg()[0]}), flush=True)
    print(json.dumps(summary(rows)))
    return 1 if wrong(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
