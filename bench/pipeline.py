"""The camera's way, from the file to the outbox, beside bare onnxruntime with the same model and one thread.

Clip: 1280 x 720 at 30 frames a second, made of the demo's photographs; zone rule, alert book and outbox on.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

import models
from agent.app import Agent
from agent.deployment import Deployment
from agent.observations import Observation, Sighting
from agent.outbox import Outbox
from models.session import open_session
from simulators.scene import Scene

CLIP_S, CLIP_FPS, RUN_S, WARM_S = 10, 30, 15.0, 3.0

CONFIG = """\
schema_version: 1
device: bench
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bench, post: p}}
broker: {{url: "mqtt://127.0.0.1:9"}}
sources:
  cam1: {{kind: camera, url: "{clip}", loop: true, purpose: a measurement, fps: 60,
    detector: {{labels: [person]}}, zones: {{middle: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]}}}}
rules:
  dwell: {{kind: zone_dwell, camera: cam1, zone: middle, dwell: 2s}}
"""


def figures() -> dict[str, float]:
    """Frames a second of both, their ratio, and the time from a frame in hand to its sighting."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = _write_clip(folder)
        bare = [_bare()]
        sightings = asyncio.run(_pipeline(folder, clip))
        bare.append(_bare())
    span_s = sightings[-1][0] - sightings[0][0]
    rate = (len(sightings) - 1) / span_s
    delays_ms = sorted(delay_s * 1000 for _, delay_s in sightings)
    bare_rate = statistics.mean(bare)
    return {
        "bare_onnxruntime_fps": round(bare_rate, 1),
        "pipeline_fps": round(rate, 1),
        "pipeline_over_bare": round(rate / bare_rate, 3),
        "inference_ms": round(1000 / bare_rate, 1),
        "frame_to_sighting_p50_ms": round(statistics.median(delays_ms), 1),
        "frame_to_sighting_p95_ms": round(delays_ms[int(0.95 * len(delays_ms))], 1),
    }


def _write_clip(folder: Path) -> Path:
    import cv2

    path = folder / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), CLIP_FPS, (1280, 720))
    scene = Scene(comes_s=0, leaves_s=100)
    for number in range(CLIP_S * CLIP_FPS):
        writer.write(cv2.resize(scene.picture(number / CLIP_FPS), (1280, 720)))
    writer.release()
    return path


def _bare(run_s: float = 6.0) -> float:
    """Inferences a second, and nothing else."""
    import numpy as np

    card = models.find("default")
    session = open_session(card.weights, card.sha256)
    picture = np.random.default_rng(0).integers(0, 255, (1, card.input.height, card.input.width, 3), np.uint8)
    feeds = {"image": picture, "score_threshold": np.array([0.4], np.float32)}
    for _ in range(5):
        session.run(feeds)
    began_s, count = time.perf_counter(), 0
    while time.perf_counter() - began_s < run_s:
        session.run(feeds)
        count += 1
    return count / (time.perf_counter() - began_s)


async def _pipeline(folder: Path, clip: Path) -> list[tuple[float, float]]:
    """(monotonic time, seconds from frame to sighting) of each frame that was looked at, once warm."""
    local = folder / "bench.yaml"
    local.write_text(CONFIG.format(clip=clip))
    outbox = Outbox.open(folder / "data")
    agent = Agent(Deployment.boot(local, folder / "config"), outbox, folder)
    observe, seen = agent.observe, list[tuple[float, float]]()

    def note(observation: Observation) -> None:
        observe(observation)
        if isinstance(observation.value, Sighting):
            seen.append((time.monotonic(), observation.value.delay_s))

    agent.observe = note  # type: ignore[method-assign]
    task = asyncio.ensure_future(agent.run())
    await asyncio.sleep(RUN_S)
    task.cancel()
    await asyncio.wait([task])
    outbox.close()
    return [one for one in seen if one[0] - seen[0][0] > WARM_S]


if __name__ == "__main__":
    from agent.log import set_up_log

    set_up_log("error")
    print(json.dumps(figures()))
