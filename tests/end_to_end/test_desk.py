"""The desk's verbs as processes, at real brokers: side by side, and through a broker that goes and comes."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import encode
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from simulators.broker import Kind, LocalBroker
from tests.end_to_end.rig import BROKERS

ROOT = Path(__file__).resolve().parents[2]
UP = "ringpost/v1/d"

pytestmark = pytest.mark.end_to_end


class Verb:
    """A running verb, and the lines that it has printed."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.complained: list[str] = []
        for stream, lines in ((self.process.stdout, self.said), (self.process.stderr, self.complained)):
            assert stream is not None
            threading.Thread(target=lines.extend, args=(stream,), daemon=True).start()

    def until(self, true: Callable[[], bool], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while not true():
            assert self.process.poll() is None, self.complained
            assert time.monotonic() < deadline, (self.said, self.complained)
            time.sleep(0.05)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def verb(*arguments: str) -> Iterator[Verb]:
    one = Verb(*arguments)
    try:
        yield one
    finally:
        one.end()


def say(broker: LocalBroker, topic: str, body: dict[str, Any]) -> None:
    """A device says something, retained."""
    import asyncio

    async def scene() -> None:
        connection = Connection(Broker(url=broker.url), "d", None, session_expiry_s=0)
        await connection.open()
        number = connection.publish(f"{UP}/{topic}", encode(body), 1, True)
        async with asyncio.timeout(60):
            while (event := await connection.event(1.0)) is None or event[:2] != ("published", number):
                pass
        connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize("kind", BROKERS)
def test_a_watch_outlives_other_verbs_and_the_broker(kind: Kind) -> None:
    reported = {"state": "applied", "revision": 3, "highest_revision": 3, "active": {"revision": 3}}
    with (
        LocalBroker(kind) as broker,
        verb("watch", "--broker", broker.url) as first,
        verb("watch", "--broker", broker.url, "--json") as second,
    ):
        say(broker, "status", {"state": "online", "reasons": [], "session": 1})
        say(broker, "config/reported", reported)
        first.until(lambda: "d: online\n" in first.said)
        second.until(lambda: bool(second.said))
        got = subprocess.run(
            [sys.executable, "-m", "agent", "config", "get", "d", "--broker", broker.url, "--json"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        assert json.loads(got.stdout) == reported
        broker.stop()
        first.until(lambda: any("retrying" in line for line in first.complained))
        broker.start()
        first.until(lambda: "watch: reconnected\n" in first.complained)
        say(broker, "status", {"state": "degraded", "reasons": ["a test"], "session": 2})
        first.until(lambda: "d: degraded a test\n" in first.said)
        second.until(lambda: any('"degraded"' in line for line in second.said))
        assert (first.process.poll(), second.process.poll()) == (None, None)
