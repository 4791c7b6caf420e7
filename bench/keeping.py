"""Storing and sending: durable alerts against a bare fsync, and messages drained against bare paho.

On the disk of this machine and loopback; the limits are measured in the same run.
"""

import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.domain.message import Lane, Message, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.inflight_window import COUNT
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from simulators.broker import LocalBroker

ALERTS, ROWS, DRAINED = 300, 20_000, 5_000
BODY = encode({"schema": "telemetry/1", "values": [{"kind": "reading", "value": 1.5}] * 8})


def figures() -> dict[str, float]:
    """Durable alert p50/p99, bare fsync p50/p99, rows a second, drained a second, and their ratios."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # the project's disk, not memory
        folder = Path(name)
        bare_ms = _fsyncs(folder / "bare")
        alert_ms, rows_per_s, bytes_per_row = asyncio.run(_put(folder / "put"))
        bare_ms += _fsyncs(folder / "bare")
        with LocalBroker() as broker:
            ours = asyncio.run(_drain(folder / "drain", broker.url))
            theirs = _bare_paho(broker)
    p50, p99 = _percentiles(alert_ms)
    bare50, bare99 = _percentiles(bare_ms)
    return {
        "durable_alert_p50_ms": p50,
        "durable_alert_p99_ms": p99,
        "bare_fsync_p50_ms": bare50,
        "bare_fsync_p99_ms": bare99,
        "durable_alert_over_fsync": round(p50 / bare50, 2),
        "telemetry_rows_kept_per_s": round(rows_per_s),
        "disk_bytes_per_row": round(bytes_per_row),
        "drained_per_s": round(ours),
        "bare_paho_per_s": round(theirs),
        "drained_over_bare_paho": round(ours / theirs, 3),
    }


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return round(statistics.median(ordered), 3), round(ordered[int(0.99 * len(ordered))], 3)


def _fsyncs(path: Path) -> list[float]:
    """Append of 4 KiB and fsync, in ms: the lower limit for a durable write on this machine."""
    took = []
    with path.open("ab", buffering=0) as file:
        for _ in range(ALERTS):
            began_s = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began_s) * 1000)
    return took


def _message(lane: Lane) -> Message:
    return Message(lane=lane, topic="telemetry/bench", id=new_id(), body=BODY)


async def _put(folder: Path) -> tuple[list[float], float, float]:
    """(ms of each alert, telemetry rows a second, bytes written a row)."""
    outbox = Outbox.open(folder)
    took = []
    for _ in range(ALERTS):
        began_s = time.perf_counter()
        await outbox.put(_message("alert"))
        took.append((time.perf_counter() - began_s) * 1000)
    written = _written_bytes()
    began_s = time.perf_counter()
    for _ in range(ROWS // 10):
        await outbox.put(*(_message("telemetry") for _ in range(10)))
    await outbox.depth()
    rate = ROWS / (time.perf_counter() - began_s)
    written = _written_bytes() - written
    outbox.close()
    return took, rate, written / ROWS


def _written_bytes() -> int:
    """The bytes that this process has written to the disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes:")))


async def _drain(folder: Path, url: str) -> float:
    """Messages a second from disk to PUBACK."""
    outbox = Outbox.open(folder)
    await outbox.put(*(_message("telemetry") for _ in range(DRAINED)))

    async def hear(topic: str, payload: bytes, answer_to: str | None, retained: bool) -> None:
        pass

    link = Link(Envelope(device="bench"), outbox, lambda _: [], hear)
    watcher = asyncio.ensure_future(subscribe(url))
    await asyncio.sleep(0.5)
    began_s = time.perf_counter()
    task = asyncio.ensure_future(link.run(Broker(url=url)))
    while (await outbox.depth())["telemetry"]:
        await asyncio.sleep(0.02)
    rate = DRAINED / (time.perf_counter() - began_s)
    for one in (task, watcher):
        one.cancel()
    await asyncio.gather(task, watcher, return_exceptions=True)
    outbox.close()
    return rate


async def subscribe(url: str) -> None:
    """A subscriber, so that the broker has a receiver for each message."""
    from agent.mqtt.connection import Connection

    connection = Connection(Broker(url=url), "bench-watcher", None)
    await connection.open()
    connection.subscribe(["#"])
    try:
        while True:
            event = await connection.event(1.0)
            if event is not None and event[0] == "message":
                connection.acknowledge(event[1])
    finally:
        connection.close()


def _bare_paho(broker: LocalBroker) -> float:
    """Messages a second of paho alone, QoS 1, with the same window, nothing on disk, the same listener."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    def listen() -> Callable[[], None]:
        loop = asyncio.new_event_loop()
        task = loop.create_task(subscribe(broker.url))
        thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])), daemon=True)
        thread.start()
        return lambda: (loop.call_soon_threadsafe(task.cancel), thread.join(5))[1]

    end = listen()
    time.sleep(0.5)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=mqtt.MQTTv5)
    room, done, left = threading.Semaphore(COUNT), threading.Event(), [DRAINED]

    def published(*_: object) -> None:
        room.release()
        left[0] -= 1
        if not left[0]:
            done.set()

    client.on_publish = published
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    began_s = time.perf_counter()
    for _ in range(DRAINED):
        room.acquire()
        client.publish("ringpost/v1/bench/telemetry/bench", BODY, qos=1)
    done.wait(60)
    rate = DRAINED / (time.perf_counter() - began_s)
    client.disconnect()
    client.loop_stop()
    end()
    return rate


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    print(json.dumps(figures()))
