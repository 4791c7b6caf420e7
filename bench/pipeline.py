"""The pipeline of a camera, from the file to the outbox, against bare onnxruntime with the same model.

Clip: 1920 x 1080, 30 frames a second, H.264, 2 Mbit/s (`clip_1080p.mp4`, made by `bench.make_clip` of the
demo's photographs). Gate off; tracker, zone rule, alert book and outbox on. Runs of both alternate, since
the other load of a machine changes; a session whose threads wait for each other suffers most from it, so
the best runs of each are compared too. The CPU limit is the CPU time that we had, over our CPU a frame.
With a broker: the latency of an alert from the frame that satisfies its rule to the PUBACK of the broker,
without inference. The dwell of the rule ends with that frame, so no figure includes it.
"""

import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

import models
from agent.app import Agent
from agent.config.deployment import Deployment
from agent.domain.message import Message
from agent.domain.observations import Observation, Sighting
from agent.outbox.outbox import Outbox
from agent.vision.camera_slot import CameraSlot
from agent.vision.inference_pool import InferencePool
from agent.vision.inference_result import InferenceResult
from bench.keeping import subscribe
from models.session import Session, open_session
from simulators.broker import LocalBroker

CLIP = Path(__file__).parent / "clip_1080p.mp4"
CORES = len(os.sched_getaffinity(0))
ROUNDS, RUN_S, BARE_S, WARM_S = 3, 8.0, 4.0, 2.0
ALERTS, ALERT_FPS, STRIPS, GIVE_UP_S = 120, 10, 10, 300.0
"""The number of strips, each a zone with a rule, that the man of the clip crosses in each loop."""

CONFIG = """\
schema_version: 1
device: bench
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bench, post: p}}
broker: {{url: "{broker}", delivery: puback}}
sources:
  cam1: {{kind: camera, url: "{clip}", loop: true, purpose: a measurement, {options},
    detector: {{labels: [person]}}, zones: {{{zones}}}}}
rules:
{rules}
"""
NOWHERE = "mqtt://127.0.0.1:9"
MIDDLE = "middle: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]"
DWELL = "  dwell: {kind: zone_dwell, camera: cam1, zone: middle, dwell: 2s}"
STRIP = "strip{0}: [[{1}, 0.6], [{2}, 0.6], [{2}, 1.0], [{1}, 1.0]]"
ENTER = "  enter{0}: {{kind: zone_enter, camera: cam1, zone: strip{0}, frames: 1, grace: 0s, cool_down: 0s}}"


@dataclass(frozen=True)
class Run:
    """One run: frames a second, CPU ms a frame, and the most frames that this CPU time allows."""

    fps: float
    cpu_ms: float
    limit_fps: float
    cpu_share: float
    """As a share of one core."""
    memory_mb: float
    delays_ms: tuple[float, ...] = ()


class Meter:
    """CPU time of this process, and the CPU time that other processes left for it."""

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
        alerts_ms = sorted(asyncio.run(alerts(Path(name) / "alerts")))
    bare_fps, fps = (statistics.median(run.fps for run in runs) for runs in (bare, whole))
    best_bare_fps, best_fps = (max(run.fps for run in runs) for runs in (bare, whole))
    delays_ms = sorted(live.delays_ms)
    return {
        "cores": CORES,
        "bare_session_all_cores_fps": round(bare_fps, 1),
        "bare_session_one_thread_fps": round(one.fps, 1),
        "pipeline_fps": round(fps, 1),
        "pipeline_over_bare": round(fps / bare_fps, 3),
        "pipeline_over_bare_each_at_its_best": round(best_fps / best_bare_fps, 3),
        "pipeline_over_cpu_limit": round(statistics.median(run.fps / run.limit_fps for run in whole), 3),
        "pipeline_cpu_ms_a_frame": round(statistics.median(run.cpu_ms for run in whole), 1),
        "inference_cpu_ms_a_frame": round(one.cpu_ms, 1),
        "live_1080p30_fps": round(live.fps, 1),
        "live_frame_to_sighting_p50_ms": round(statistics.median(delays_ms), 1),
        "live_frame_to_sighting_p95_ms": round(delays_ms[int(0.95 * len(delays_ms))], 1),
        "inference_alone_ms": round(1000 / one.fps, 1),
        "alerts": len(alerts_ms),
        "frame_to_acknowledged_less_inference_p50_ms": round(statistics.median(alerts_ms), 1),
        "frame_to_acknowledged_less_inference_p99_ms": round(
            statistics.quantiles(alerts_ms, n=100, method="inclusive")[98], 1
        ),
        "agent_memory_mb": round(live.memory_mb),
    }


def _bare(threads: int) -> Run:
    """Inferences of one session alone."""
    import numpy as np

    card = models.find("default")
    session = open_session(card.weights_file(), card.sha256, threads=threads, spin=True)
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
    text = CONFIG.format(clip=clip, options=options, broker=NOWHERE, zones=MIDDLE, rules=DWELL)
    agent, outbox = _agent(folder, text)
    observe, delays_ms = agent.pipeline.observe, list[float]()

    def note(observation: Observation) -> None:
        began_s = time.monotonic()
        observe(observation)
        if isinstance(observation.value, Sighting):  # until all rules have judged it
            delays_ms.append((observation.value.delay_s + time.monotonic() - began_s) * 1000)

    agent.pipeline.observe = note  # type: ignore[method-assign]
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


def _agent(folder: Path, text: str) -> tuple[Agent, Outbox]:
    local = folder / "bench.yaml"
    local.write_text(text)
    outbox = Outbox.open(folder / "data")
    return Agent(Deployment.boot(local, folder / "config"), outbox, folder), outbox


async def alerts(folder: Path) -> list[float]:
    """For each new alert: ms from its frame to the PUBACK of the broker, less the inference of that frame."""
    folder.mkdir()
    edges = [(number, round(0.05 * number, 2), round(0.05 * number + 0.05, 2)) for number in range(STRIPS)]
    zones = ", ".join(STRIP.format(*one) for one in edges)
    rules = "\n".join(ENTER.format(number) for number, _, _ in edges)
    with LocalBroker() as broker, ExitStack() as stack:
        text = CONFIG.format(
            clip=CLIP, options=f"fps: {ALERT_FPS}", broker=broker.url, zones=zones, rules=rules
        )
        agent, outbox = _agent(folder, text)
        found_ms = _watch_alerts(agent, stack)
        began_s = time.monotonic()
        tasks = [asyncio.ensure_future(one) for one in (subscribe(broker.url), agent.run())]
        while len(found_ms) < ALERTS and time.monotonic() - began_s < GIVE_UP_S:
            await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        outbox.close()
    return found_ms


def _watch_alerts(agent: Agent, stack: ExitStack) -> list[float]:
    """A list that is filled as alerts are acknowledged, until ``stack`` ends."""
    found_ms, under_way = list[float](), dict[str, float]()
    here = threading.local()  # a frame is looked at by one thread
    runs_s = dict[int, float]()
    newest: InferenceResult | None = None
    run, look, following = Session.run, InferencePool._infer, CameraSlot.next
    latency = agent.pipeline.latency
    make, acknowledged = agent.messages.make, latency.acknowledged

    def timed_run(session: Session, feeds: Mapping[str, Any]) -> Any:
        began_s = time.monotonic()
        outputs = run(session, feeds)
        runs_s[getattr(here, "frame", 0)] = time.monotonic() - began_s
        return outputs

    def noted_look(pool: InferencePool, slot: CameraSlot, looked: InferenceResult) -> None:
        here.frame = looked.captured.number
        look(pool, slot, looked)

    async def noted_next(slot: CameraSlot, within_s: float) -> InferenceResult | None:
        nonlocal newest
        newest = await following(slot, within_s)
        return newest

    def noted_make(schema: str, fields: Mapping[str, Any], *rest: Any, **more: Any) -> Message:
        message = make(schema, fields, *rest, **more)
        if newest is not None and fields.get("alert", {}).get("phase") == "new":
            under_way[message.id] = newest.captured.at_s + runs_s[newest.captured.number]
        return message

    def noted_acknowledged(message_id: str, sent_s: float, now_s: float) -> None:
        acknowledged(message_id, sent_s, now_s)
        if message_id in under_way:
            found_ms.append((now_s - under_way.pop(message_id)) * 1000)

    stack.enter_context(patch.object(Session, "run", timed_run))
    stack.enter_context(patch.object(InferencePool, "_infer", noted_look))
    stack.enter_context(patch.object(CameraSlot, "next", noted_next))
    stack.enter_context(patch.object(agent.messages, "make", noted_make))
    stack.enter_context(patch.object(latency, "acknowledged", noted_acknowledged))
    return found_ms


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    print(json.dumps(figures()))
