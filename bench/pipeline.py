"""The camera's way, from the file to the outbox, beside bare onnxruntime with the same model.

Clip: 1920 x 1080, 30 frames a second, H.264, 2 Mbit/s (`clip_1080p.mp4`, made by `bench.make_clip` of the
demo's photographs). Gate off; tracker, zone rule, alert book and outbox on. Runs of both take turns, since
what else runs on a machine changes; the CPU limit is what the machine had left for us, over our CPU a frame.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import models
from agent.app import Agent
from agent.deployment import Deployment
from agent.observations import Observation, Sighting
from agent.outbox import Outbox
from models.session import open_session

CLIP = Path(__file__).parent / "clip_1080p.mp4"
CORES = len(os.sched_getaffinity(0))
ROUNDS, RUN_S, BARE_S, WARM_S = 3, 8.0, 4.0, 2.0

CONFIG = """\
schema_version: 1
device: bench
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bench, post: p}}
broker: {{url: "mqtt://127.0.0.1:9"}}
sources:
  cam1: {{kind: camera, url: "{clip}", loop: true, purpose: a measurement, {options},
    detector: {{labels: [person]}}, zones: {{middle: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]}}}}
rules:
  dwell: {{kind: zone_dwell, camera: cam1, zone: middle, dwell: 2s}}
"""


@dataclass(frozen=True)
class Run:
    """What one run took: frames a second, CPU ms a frame, and the most frames that this CPU time allows."""

    fps: float
    cpu_ms: float
    limit_fps: float
    cpu_share: float
    """Of one core."""
    memory_mb: float
    delays_ms: tuple[float, ...] = ()


class Meter:
    """CPU time of this process, and what the machine had left for it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._began = self._read()

    def run(self, frames: int, delays_ms: tuple[float, ...] = ()) -> Run:
        wall_s, ours_s, idle_s = (now - before for now, before in zip(self._read(), self._began, strict=True))
        cpu_s = ours_s / max(1, frames)
        return Run(
            frames / wall_s,
            cpu_s * 1000,
            (ours_s + idle_s) / wall_s / cpu_s,
            ours_s / wall_s,
            self._process.memory_full_info().uss / 1e6,
            delays_ms,
        )

    def _read(self) -> tuple[float, float, float]:
        ours, whole = self._process.cpu_times(), psutil.cpu_times()
        return time.monotonic(), ours.user + ours.system, whole.idle + whole.iowait


def figures() -> dict[str, Any]:
    """Frames a second of each, their ratios, and the time from a frame in hand to its sighting."""
    bare: list[Run] = []
    whole: list[Run] = []
    with tempfile.TemporaryDirectory() as name:
        live = asyncio.run(run_agent(Path(name) / "live", "fps: 30", RUN_S))  # first: memory is the agent's
        for number in range(ROUNDS):
            bare.append(_bare(CORES))
            whole.append(asyncio.run(run_agent(Path(name) / str(number), "every_frame: true", RUN_S)))
        bare.append(_bare(CORES))
        one = _bare(1)
    bare_fps, fps = (statistics.median(run.fps for run in runs) for runs in (bare, whole))
    delays_ms = sorted(live.delays_ms)
    return {
        "cores": CORES,
        "bare_session_all_cores_fps": round(bare_fps, 1),
        "bare_session_one_thread_fps": round(one.fps, 1),
        "pipeline_fps": round(fps, 1),
        "pipeline_over_bare": round(fps / bare_fps, 3),
        "pipeline_over_cpu_limit": round(statistics.median(run.fps / run.limit_fps for run in whole), 3),
        "pipeline_cpu_ms_a_frame": round(statistics.median(run.cpu_ms for run in whole), 1),
        "inference_cpu_ms_a_frame": round(one.cpu_ms, 1),
        "live_1080p30_fps": round(live.fps, 1),
        "live_frame_to_sighting_p50_ms": round(statistics.median(delays_ms), 1),
        "live_frame_to_sighting_p95_ms": round(delays_ms[int(0.95 * len(delays_ms))], 1),
        "inference_alone_ms": round(1000 / one.fps, 1),
        "agent_memory_mb": round(live.memory_mb),
    }


def _bare(threads: int) -> Run:
    """Inferences of one session and nothing else."""
    import numpy as np

    card = models.find("default")
    session = open_session(card.weights, card.sha256, threads=threads, spin=True)
    picture = np.random.default_rng(0).integers(0, 255, (1, card.input.height, card.input.width, 3), np.uint8)
    feeds = {"image": picture, "score_threshold": np.array([0.1], np.float32)}
    for _ in range(5):
        session.run(feeds)
    meter, began_s, count = Meter(), time.monotonic(), 0
    while time.monotonic() - began_s < BARE_S:
        session.run(feeds)
        count += 1
    return meter.run(count)


async def run_agent(folder: Path, options: str, run_s: float, clip: Path = CLIP) -> Run:
    """The whole agent with one camera, once warm (after its first sighting)."""
    folder.mkdir()
    local = folder / "bench.yaml"
    local.write_text(CONFIG.format(clip=clip, options=options))
    outbox = Outbox.open(folder / "data")
    agent = Agent(Deployment.boot(local, folder / "config"), outbox, folder)
    observe, delays_ms = agent.observe, list[float]()

    def note(observation: Observation) -> None:
        began_s = time.monotonic()
        observe(observation)
        if isinstance(observation.value, Sighting):  # until all rules have judged it
            delays_ms.append((observation.value.delay_s + time.monotonic() - began_s) * 1000)

    agent.observe = note  # type: ignore[method-assign]
    task = asyncio.ensure_future(agent.run())
    while not delays_ms:
        await asyncio.sleep(0.05)
    await asyncio.sleep(WARM_S)
    delays_ms.clear()
    meter = Meter()
    await asyncio.sleep(run_s)
    run = meter.run(len(delays_ms), tuple(delays_ms))
    task.cancel()
    await asyncio.wait([task])
    outbox.close()
    return run


if __name__ == "__main__":
    from agent.log import set_up_log

    set_up_log("error")
    print(json.dumps(figures()))
