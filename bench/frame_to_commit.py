"""From a camera's frame to the centre's commit, alert by alert, and where the time goes: real processes.

One camera sends MJPEG over HTTP at 10 frames per second, 1280x720; a man stands in it for 0.8 of every 2 s.
`ringpost run` looks at every frame with the default detector, a critical ``zone_enter`` rule finds him after
0.2 s, mosquitto is the broker, `ringpost centre` the centre. All on one machine, so one clock. Milliseconds:

    capture       from the frame's last byte in the camera to the agent's time of it: transport, decoding
    detection     from there to the finding: queue, motion, inference, tracking, rule
    disk          until the alert is on disk
    second_look   until its second look is over (``--second-look``)
    way           over sender, broker and receiver to the begin of the centre's commit
    commit        until the centre's receipt is back at the broker: an upper limit of its commit
    total         from the agent's time of the frame to that receipt

``python -m bench.frame_to_commit [--alerts N] [--second-look] [--tree FOLDER]``: of the sources in FOLDER.
"""

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as mqtt

from simulators.broker import LocalBroker
from simulators.scene import Scene

HERE = Path(__file__).parent.parent
FPS, CYCLE, PRESENT = 10, 20, 8
SETTLING_S = 20.0
STEPS = ("capture", "detection", "disk", "second_look", "way", "commit", "total")


def config(broker: str, camera: str, *, second_look: bool) -> dict[str, Any]:
    """The device; without the key where the tree may not know it."""
    rule: dict[str, Any] = {
        "kind": "zone_enter", "camera": "cam1", "zone": "all", "severity": "critical", "frames": 1,
        "grace": "0.3s", "cool_down": "0s",
    }  # fmt: skip
    return {
        "schema_version": 1, "device": "bench-1", "kind": "checkpoint_camera",
        "place": {"ring": "perimeter", "domain": "ground", "site": "b", "post": "n", "lat": 32, "lon": 118},
        "broker": {"url": broker},
        "evidence": {"record": False},
        "sources": {"cam1": {
            "kind": "camera", "url": camera, "purpose": "bench", "fps": FPS,
            "detector": {"labels": ["person"]}, "zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]},
        }},
        "rules": {"entered": rule if second_look else {**rule, "verify_within": "0s"}},
    }  # fmt: skip


class Camera:
    """The stream, and when each frame was sent (wall clock)."""

    def __init__(self) -> None:
        man, empty = Scene(0, 10**6).picture(30.0), Scene(10**6, 10**7).picture(30.0)
        self._jpegs = [
            bytes(cv2.imencode(".jpg", cv2.resize(frame, (1280, 720)))[1]) for frame in (empty, man)
        ]
        self.sent_at: list[float] = []

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n--f\r\n")
        due_s, number = time.monotonic(), 0
        try:
            while True:
                jpeg = self._jpegs[number % CYCLE >= CYCLE - PRESENT]
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                writer.write(head.encode() + jpeg + b"\r\n--f\r\n")
                await writer.drain()
                self.sent_at.append(time.time())
                number, due_s = number + 1, due_s + 1 / FPS
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        except OSError:
            writer.close()


class Ears:
    """Alerts and receipts as the broker delivers them, with their times."""

    def __init__(self, broker: LocalBroker) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self.receipt_at: dict[str, float] = {}
        self.detect_ms: list[float] = []
        port = int(broker.url.rpartition(":")[2])
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("ringpost/v1/bench-1/#", 0)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        at, topic = time.time(), message.topic.rpartition("/")[2]
        if topic not in ("alert", "receipt"):
            return
        body = json.loads(message.payload)
        if topic == "receipt":
            for one in body["ids"]:
                self.receipt_at.setdefault(one, at)
        elif body["alert"]["phase"] == "new":
            self.alerts[body["id"]] = body

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()


def steps(
    body: dict[str, Any], received_at: float, receipt_at: float, sent_at: list[float]
) -> dict[str, float]:
    """Where the time of one alert went, in ms."""
    ledger, found_at = body["latency_ms"], datetime.fromisoformat(body["at"]).timestamp()
    captured_at = found_at - ledger["frame_to_detection"] / 1000
    before = bisect_right(sent_at, captured_at)
    ready_ms = ledger["finding_to_outbox"] + ledger.get("second_look", 0.0)
    return {
        "capture": (captured_at - sent_at[before - 1]) * 1000 if before else 0.0,
        "detection": ledger["frame_to_detection"],
        "disk": ledger["finding_to_outbox"],
        "second_look": ledger.get("second_look", 0.0),
        "way": (received_at - found_at) * 1000 - ready_ms,
        "commit": (receipt_at - received_at) * 1000,
        "total": (receipt_at - captured_at) * 1000,
    }


async def measure(alerts: int, *, second_look: bool, tree: Path) -> dict[str, Any]:
    """p50 and p99 of each step over ``alerts`` alerts."""
    camera = Camera()
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/camera.mjpg"
    with tempfile.TemporaryDirectory() as name, LocalBroker("mosquitto") as broker:
        folder, ears = Path(name), Ears(broker)
        path = folder / "agent.json"
        path.write_text(json.dumps(config(broker.url, url, second_look=second_look)))
        words = [
            ["centre", "--broker", broker.url, "--db", f"{folder}/centre.db"],
            ["run", str(path), "--data", f"{folder}/data", "--log-level", "warning"],
        ]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        log = (folder / "log").open("wb")
        running = [
            subprocess.Popen(  # noqa: ASYNC220  it takes no time
                [sys.executable, "-m", "agent", *one], cwd=tree, env=environment, stdout=log, stderr=log
            )
            for one in words
        ]
        try:
            await asyncio.sleep(SETTLING_S)
            first = set(ears.alerts)
            until_s = time.monotonic() + alerts * CYCLE / FPS * 2 + 30
            while len(ears.receipt_at.keys() & ears.alerts.keys() - first) < alerts:
                if time.monotonic() > until_s:
                    print((folder / "log").read_text()[-2000:], file=sys.stderr)
                    raise SystemExit(f"only {len(ears.alerts)} alerts came")
                await asyncio.sleep(0.5)
        finally:
            for process in reversed(running):
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 30)
            ears.close()
            server.close()
        with sqlite3.connect(folder / "centre.db") as db:
            rows = db.execute("SELECT id, received_at FROM message WHERE topic = 'alert'").fetchall()
    committed = {one: datetime.fromisoformat(at).timestamp() for one, at in rows}
    measured = [
        steps(ears.alerts[one], committed[one], at, camera.sent_at)
        for one, at in ears.receipt_at.items()
        if one in ears.alerts and one in committed and one not in first
    ]
    verdicts = [body["alert"].get("verified") for body in ears.alerts.values()]
    return {
        "alerts": len(measured),
        "verified": {str(one): verdicts.count(one) for one in dict.fromkeys(verdicts)},
        **{step: summary([one[step] for one in measured]) for step in STEPS},
    }


def summary(values: list[float]) -> dict[str, float]:
    """The least, p50, p99 and the greatest."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = {"min": min(values), "p50": cuts[49], "p99": cuts[98], "max": max(values)}
    return {name: round(ms, 1) for name, ms in found.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--alerts", type=int, default=100)
    options.add_argument("--second-look", action="store_true")
    options.add_argument("--tree", type=Path, default=HERE)
    given = options.parse_args()
    print(json.dumps(asyncio.run(measure(given.alerts, second_look=given.second_look, tree=given.tree))))


if __name__ == "__main__":
    main()
