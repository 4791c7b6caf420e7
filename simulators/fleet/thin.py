"""A child process of `ringpost fleet`: thin clients, each a real connection that sends what a device sends.

``python -m simulators.fleet.thin --broker URL --template FILE --first N --count N``. The template has the
messages that a real agent of the fleet sent: topic, body, qos, retain. ``stop`` on standard input, or its
end, ends the process.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from agent.domain.message import SIMULATED_ROOT, encode, new_id, stamp
from agent.host.clock import utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.logging_setup import set_up_log
from agent.runtime.malloc import limit_arenas
from simulators.fleet.agents import THREADS, read_orders, tell
from simulators.fleet.usage import usage

EVERY_S = {"position": 5.0, "telemetry": 10.0, "health": 60.0, "status": 60.0}
"""How often a message goes out, by the first level of its topic; others once for each connection."""
CONNECTING = 16
"""Connections that are opened at once."""
LONGEST_WAIT_S = 5.0


class ThinClient:
    """One connection, opened again for ever."""

    def __init__(
        self,
        name: str,
        url: str,
        template: list[dict[str, Any]],
        places: asyncio.Semaphore,
        chance: random.Random,
    ) -> None:
        self.name = name
        self.sent = self.connections = 0
        self.connected = False
        self._url, self._template, self._places, self._chance = url, template, places, chance
        self._epoch, self._numbers = new_id(), dict.fromkeys((one["topic"] for one in template), 0)

    async def run(self) -> None:
        will = (
            self._topic("status"),
            encode({"schema": "status/1", "device": self.name, "state": "offline"}),
        )
        while True:
            connection = Connection(Broker(url=self._url), self.name, will)
            try:
                async with self._places:
                    await connection.open()
                self.connected, self.connections = True, self.connections + 1
                await self._send(connection)
            except OSError:
                pass
            finally:
                self.connected = False
                connection.close()
            await asyncio.sleep(self._chance.uniform(0.1, LONGEST_WAIT_S))

    async def _send(self, connection: Connection) -> None:
        """Until the connection is lost (OSError)."""
        due_s = {}
        for number, one in enumerate(self._template):
            self._publish(connection, one)
            if every_s := EVERY_S.get(one["topic"].partition("/")[0]):
                due_s[number] = time.monotonic() + self._chance.uniform(0, every_s)
        while True:
            number = min(due_s, key=lambda one: due_s[one])
            match await connection.event(max(0.0, due_s[number] - time.monotonic())):
                case ("lost", reason):
                    raise OSError(reason)
            if time.monotonic() >= due_s[number]:
                self._publish(connection, self._template[number])
                due_s[number] += EVERY_S[self._template[number]["topic"].partition("/")[0]]

    def _publish(self, connection: Connection, one: dict[str, Any]) -> None:
        """The recorded message under this name, with the number and the instant of now."""
        self._numbers[one["topic"]] += 1
        own = {
            "id": new_id(), "device": self.name, "at": stamp(utc_now()), "session": self.connections,
            "epoch": f"{self._epoch[:30]}{len(one['topic']) % 10}", "seq": self._numbers[one["topic"]],
        }  # fmt: skip
        body = {**one["body"], **{key: value for key, value in own.items() if key in one["body"]}}
        connection.publish(self._topic(one["topic"]), encode(body), one["qos"], one["retain"])
        self.sent += 1

    def _topic(self, below: str) -> str:
        return f"{SIMULATED_ROOT}/{self.name}/{below}"


async def run(given: argparse.Namespace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "aside"))
    template = json.loads(given.template.read_text())
    places, orders = asyncio.Semaphore(CONNECTING), asyncio.Queue[str]()
    loop.add_reader(sys.stdin.fileno(), read_orders, orders)
    clients = [
        ThinClient(f"thin-{number:05}", given.broker, template, places, random.Random(number))
        for number in range(given.first, given.first + given.count)
    ]
    tasks = [loop.create_task(one.run()) for one in clients]
    stop = loop.create_task(orders.get())
    while not all(one.connected for one in clients) and not stop.done():
        await asyncio.sleep(0.1)
        tell(connected=sum(one.connected for one in clients))
    tell(connected=len(clients), ready=True)
    before, began_s, sent = usage(os.getpid()), time.monotonic(), sum(one.sent for one in clients)
    while await stop != "stop":
        before, began_s, sent = usage(os.getpid()), time.monotonic(), sum(one.sent for one in clients)
        stop = loop.create_task(orders.get())
    took_s = time.monotonic() - began_s
    tell(
        connected=sum(one.connected for one in clients),
        messages_per_s=round((sum(one.sent for one in clients) - sent) / took_s, 1),
        **usage(os.getpid()).since(before, took_s),
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", required=True)
    options.add_argument("--template", type=Path, required=True)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--count", type=int, default=100)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends this process
    limit_arenas()
    set_up_log("error")
    try:
        asyncio.run(run(options.parse_args()))
    except OSError as error:
        tell(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
