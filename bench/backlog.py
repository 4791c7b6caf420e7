"""A long outage: the backlog is a million telemetry rows, the link returns, and then an alert is raised.

python -m bench.backlog [ROWS]
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from agent.alerts.latency import LatencyLedger
from agent.domain.message import Lane, Message, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from simulators.broker import LocalBroker

PACE_PER_S, DRAIN_S, ALERTS = 500, 30, 20


def figures(rows: int = 1_000_000) -> dict[str, float]:
    """Seconds from an alert to its acknowledgement, rows drained a second, memory before and after."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, LocalBroker() as broker:
        return asyncio.run(_measure(Path(name), broker.url, rows))


def _message(lane: Lane) -> Message:
    identity = new_id()
    body = encode({"schema": f"{lane}/1", "id": identity, "values": [{"kind": "reading", "value": 1.5}] * 4})
    return Message(lane=lane, topic=f"{lane}/bench", id=identity, body=body)


async def _measure(folder: Path, url: str, rows: int) -> dict[str, float]:
    outbox = Outbox.open(folder, max_bytes=4_000_000_000)
    began_s = time.perf_counter()
    for _ in range(rows // 1000):
        await outbox.put(*(_message("telemetry") for _ in range(1000)))
    kept_s = time.perf_counter() - began_s
    latency, taken = LatencyLedger(), dict[str, float]()
    acknowledged = latency.acknowledged

    def note(message_id: str, sent_s: float, now_s: float) -> None:
        taken[message_id] = now_s
        acknowledged(message_id, sent_s, now_s)

    latency.acknowledged = note  # type: ignore[method-assign]

    async def hear(topic: str, payload: bytes, answer_to: str | None, retained: bool) -> None:
        pass

    process = psutil.Process()
    before_mb = process.memory_info().rss / 1e6
    link = Link(Envelope(device="bench"), outbox, lambda _: [], hear, latency)
    listener = asyncio.ensure_future(_listen(url))
    await asyncio.sleep(0.3)
    broker = Broker(url=url, backlog_per_s=PACE_PER_S, delivery="puback")
    first = _message("alert")
    await outbox.put(first)
    up_s = time.monotonic()
    task = asyncio.ensure_future(link.run(broker))
    while first.id not in taken:
        await asyncio.sleep(0.005)
    first_s = taken[first.id] - up_s
    drained = (await outbox.depth())["telemetry"]
    drain_s = time.monotonic()
    later_s = []
    for _ in range(ALERTS):
        await asyncio.sleep(DRAIN_S / ALERTS)
        alert, put_s = _message("alert"), time.monotonic()
        await outbox.put(alert)
        while alert.id not in taken:
            await asyncio.sleep(0.002)
        later_s.append(taken[alert.id] - put_s)
    drained -= (await outbox.depth())["telemetry"]
    pace = drained / (time.monotonic() - drain_s)
    after_mb = process.memory_info().rss / 1e6
    for one in (task, listener):
        one.cancel()
    await asyncio.gather(task, listener, return_exceptions=True)
    outbox.close()
    return {
        "rows_owed": rows,
        "kept_per_s": round(rows / kept_s),
        "alert_after_link_up_s": round(first_s, 3),
        "alert_in_mid_drain_max_s": round(max(later_s), 3),
        "pace_set_per_s": PACE_PER_S,
        "pace_found_per_s": round(pace),
        "memory_before_mb": round(before_mb, 1),
        "memory_after_mb": round(after_mb, 1),
    }


async def _listen(url: str) -> None:
    from agent.mqtt.connection import Connection

    connection = Connection(Broker(url=url), "bench-listener", None)
    await connection.open()
    connection.subscribe(["#"])
    try:
        while True:
            event = await connection.event(1.0)
            if event is not None and event[0] == "message":
                connection.acknowledge(event[1])
    finally:
        connection.close()


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    print(json.dumps(figures(*map(int, sys.argv[1:2]))))
