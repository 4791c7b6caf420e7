"""What it costs the agent to be looked at: CPU, memory, and the way of an alert, while nobody looks, while
pages are open on the device and on one and two cameras, and while eight clients are hostile.

``python -m bench.console [--seconds 30] [--presses 30] [--before a49e24b]`` prints one line of JSON, on a
machine that does nothing else. ``--before`` also measures an agent of that commit, from before the socket.
"""

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from agent.domain.message import ROOT as TOPICS
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from console.agent_client import AgentClient
from simulators.broker import LocalBroker, mosquitto_path
from simulators.devices import Board, Receiver
from simulators.scene import Scene
from simulators.wire import Wire

ROOT = Path(__file__).resolve().parents[1]
SETTLE_S, CLIP_S, CLIP_FPS = 8.0, 20, 10
LIMIT_S = 60.0

CONFIG = """\
schema_version: 1
device: bench-1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bench, post: p}}
broker: {{url: "{broker}", delivery: puback}}
evidence: {{least_free_mb: 0}}
sources:
  gnss: {{kind: nmea, port: "{folder}/gnss"}}
  board: {{kind: sensor_board, port: "{folder}/board"}}
{cameras}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
{rules}
"""
CAMERA = """\
  {name}:
    kind: camera
    url: "{clip}"
    loop: true
    fps: 5
    purpose: a measurement
    zones: {{rail: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]}}
"""
RULE = "  {name}-rail: {{kind: zone_dwell, camera: {name}, zone: rail, dwell: 3s}}"


class Device:
    """One agent in a process of its own, with a broker and simulated hardware in this one."""

    def __init__(self, folder: Path, board: Board, process: "subprocess.Popen[bytes]") -> None:
        self.data, self.board, self._process = folder / "data", board, process

    def cpu_s(self) -> float:
        """Processor time of the agent so far, all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    async def load(self, seconds: float) -> dict[str, float]:
        """CPU in ms for each second, and the memory at the end."""
        await asyncio.sleep(SETTLE_S)
        began_s, before_s = time.monotonic(), self.cpu_s()
        await asyncio.sleep(seconds)
        cpu_s, took_s = self.cpu_s() - before_s, time.monotonic() - began_s
        return {"cpu_ms_per_s": round(cpu_s / took_s * 1000, 1), "rss_mb": round(self.rss_mb(), 1)}


@asynccontextmanager
async def device(folder: Path, cameras: Sequence[str], tree: Path) -> AsyncIterator[Device]:
    """An agent of the sources in ``tree``."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(LocalBroker("mosquitto" if mosquitto_path() else "rumqttd"))
        gnss = stack.enter_context(Wire(folder / "gnss"))
        board = Board(stack.enter_context(Wire(folder / "board")))
        receiver = Receiver(gnss, lat=32.1, lon=118.7, hz=5)
        jobs = (receiver.run(), board.run(), listen(broker.url))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        config = folder / "agent.yaml"
        clip = folder.parent / "clip.avi"
        config.write_text(
            CONFIG.format(
                broker=broker.url,
                folder=folder,
                cameras="".join(CAMERA.format(name=name, clip=clip) for name in cameras),
                rules="\n".join(RULE.format(name=name) for name in cameras),
            )
        )
        command = [sys.executable, "-m", "agent", "run", str(config), "--data", str(folder / "data")]
        log = stack.enter_context((folder / "agent.log").open("wb"))
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        process = subprocess.Popen(  # noqa: ASYNC220  fast enough
            command, cwd=tree, env=environment, stdout=log, stderr=log
        )
        try:
            await asyncio.sleep(SETTLE_S)
            yield Device(folder, board, process)
        finally:
            process.terminate()
            process.wait(30)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def listen(url: str) -> None:
    """Somebody at the broker who receives everything: else the agent holds its messages back."""
    connection = Connection(Broker(url=url), "bench-desk", None)
    await connection.open()
    connection.subscribe([f"{TOPICS}/#"])
    while True:
        event = await connection.event(1.0)
        if event is not None and event[0] == "message":
            connection.acknowledge(event[1])


async def reads(stream: AsyncIterator[Any], count: list[int]) -> None:
    """A page: takes each event, and counts those with a picture."""
    async for event in stream:
        count[0] += 1
        count[1] += bool(getattr(event, "jpeg", b""))


async def presses(it: Device, client: AgentClient, number: int) -> dict[str, float]:
    """Milliseconds from a press at the board to the alert at the client, and to the disk by the ledger."""
    took_ms: list[float] = []
    await client.hello()
    messages = client.results()
    first = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0.2)
    for n in range(number):
        await asyncio.sleep(0.2 + 0.037 * (n % 7))
        began_s = time.monotonic()
        it.board.press("panic_button", on=n % 2 == 0)
        async with asyncio.timeout(LIMIT_S):
            while True:
                message = await first
                first = asyncio.ensure_future(anext(messages))
                if message.topic == "alert" and message.body["alert"]["rule"] == "panic":
                    break
        took_ms.append((time.monotonic() - began_s) * 1000)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    quantiles = statistics.quantiles(took_ms, n=20, method="inclusive")
    now = client.now(0.5)
    figures = (await anext(now))["latency"].get("panic", {}).get("finding_to_outbox")
    stored = {} if figures is None else {"stored_ms_p50": figures["p50"], "stored_ms_p99": figures["p99"]}
    return {"seen_ms_p50": round(quantiles[9], 1), "seen_ms_p95": round(quantiles[18], 1), **stored}


async def looked_at(
    it: Device, client: AgentClient, cameras: Sequence[str], args: argparse.Namespace
) -> dict[str, float]:
    """The load with a page on the device and on these cameras at 5 fps, and the way of an alert."""
    streams = [client.now(1.0), client.sources()]
    counts = [[0, 0] for _ in (*streams, *cameras)]
    streams += [client.camera(name, fps=5, width=960) for name in cameras]
    tasks = [asyncio.ensure_future(reads(one, count)) for one, count in zip(streams, counts, strict=True)]
    try:
        load = await it.load(args.seconds)
        span_s = args.seconds + SETTLE_S
        load |= {
            f"{name}_{kind}_per_s": round(count[number] / span_s, 1)
            for name, count in zip(cameras, counts[2:], strict=True)
            for number, kind in enumerate(("events", "pictures"))
        }
        return load | await presses(it, client, args.presses)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(name: str, cameras: Sequence[str], tree: Path, args: argparse.Namespace, top: Path) -> Any:
    """All phases of one agent; of an old one, its load alone."""
    folder = top / name
    folder.mkdir()
    async with device(folder, cameras, tree) as it:
        found: dict[str, Any] = {"nobody_looks": await it.load(args.seconds)}
        if tree != ROOT:
            return found["nobody_looks"]
        async with AgentClient(it.data, LIMIT_S) as client:
            found["press_alone"] = await presses(it, client, args.presses)
            found["page_open"] = await looked_at(it, client, [], args)
            for count in range(1, len(cameras) + 1):
                found[f"{count}_cameras_open"] = await looked_at(it, client, cameras[:count], args)
            attack = [sys.executable, "-m", "bench.console_attack", str(it.data)]
            attacker = subprocess.Popen(attack, cwd=ROOT)  # noqa: ASYNC220  fast enough
            try:
                load = await it.load(args.seconds)
                found["attacked"] = load | await presses(it, client, args.presses)
            finally:
                attacker.kill()
                attacker.wait()
        found["nobody_looks_any_more"] = await it.load(args.seconds)
        return found


def write_clip(path: Path) -> None:
    """A man who comes and stands; looped by the cameras."""
    import cv2

    scene = Scene(comes_s=2, leaves_s=14)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), CLIP_FPS, (640, 360))
    for number in range(CLIP_S * CLIP_FPS):
        writer.write(scene.picture(number / CLIP_FPS))
    writer.release()


def old_tree(commit: str, folder: Path) -> Path:
    """The sources of a commit, unpacked."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder / "before", filter="data")
    return folder / "before"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase")
    parser.add_argument("--presses", type=int, default=30, help="of each phase")
    parser.add_argument("--before", help="a commit from before there was a socket, such as a49e24b")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        write_clip(top / "clip.avi")
        trees = {"now": ROOT} | ({"before": old_tree(args.before, top)} if args.before else {})
        found = {}
        for label, cameras in (("no_camera", ()), ("two_cameras", ("cam1", "cam2"))):
            for when, tree in trees.items():
                found[f"{label}_{when}"] = asyncio.run(measure(f"{label}-{when}", cameras, tree, args, top))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
