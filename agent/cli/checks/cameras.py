"""Cameras: each is opened in a child process, as the agent opens it, and gives frames."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.cli.checks.child import run_child
from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, shown
from agent.vision.camera import Camera
from agent.vision.camera_memory import AGENT_BYTES, RING_BYTES, camera_bytes, evidence_bytes
from agent.vision.camera_url import device_path, source_kind
from agent.vision.view_match import MAX_STRETCH
from firmware_bridge.serial.holders import held_by

SCRIPT = "agent.cli.checks.camera_child"
EVIDENCE = "evidence_url"
MEMORY_SHARE = 0.7
"""Of the machine's memory: the rest is for its system and the disk cache."""
MOST_S = 20.0
"""The agent may wait longer for a slow camera; a check does not."""


async def check_cameras(target: Target) -> AsyncIterator[Finding]:
    """All cameras concurrently."""
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    cameras = target.config.cameras()
    if not cameras:
        yield skipped("the configuration has no camera")
    sizes: dict[str, tuple[int, int]] = {}
    jobs = [_check_camera(target, f"sources.{name}", camera, sizes) for name, camera in cameras.items()]
    jobs += [
        _check_camera(target, f"sources.{name}.{EVIDENCE}", evidence, sizes)
        for name, camera in cameras.items()
        if (evidence := camera.evidence_camera()) is not None
    ]
    for finding in await asyncio.gather(*jobs):
        yield finding
    for finding in (*stretched(sizes), *memory(sizes, target.machine.proc)):
        yield finding


def stretched(sizes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    """Evidence streams whose pictures have another aspect ratio than those of their camera."""
    for place, size in sizes.items():
        camera = sizes.get(place.removesuffix(f".{EVIDENCE}"), size)
        if abs(size[0] / size[1] / (camera[0] / camera[1]) - 1) > MAX_STRETCH:
            text = (
                f"{size[0]}x{size[1]} has another aspect ratio than url ({camera[0]}x{camera[1]}): not used"
            )
            yield failed(text, "set both streams of the camera to the same aspect ratio", place)


def memory(sizes: Mapping[str, tuple[int, int]], proc: Path) -> Iterator[Finding]:
    """What all cameras take at most, against the memory of the machine."""
    pixels = {place: width * height for place, (width, height) in sizes.items()}
    evidence = [count for place, count in pixels.items() if place.endswith(f".{EVIDENCE}")]
    cores = len(os.sched_getaffinity(0))
    most = AGENT_BYTES + sum(camera_bytes(count, cores) for count in pixels.values())
    most -= sum(camera_bytes(count, cores) for count in evidence)
    most += len(evidence) * RING_BYTES + max(map(evidence_bytes, evidence), default=0)
    try:
        found = re.search(r"MemTotal:\s+(\d+) kB", (proc / "meminfo").read_text())
    except OSError:
        return
    if not pixels or found is None:
        return
    total = int(found[1]) * 1024
    text = f"agent and cameras take at most {most / 1e6:.0f} MB of {total / 1e6:.0f} MB"
    if most < MEMORY_SHARE * total:
        yield ok(text, "sources")
    else:
        yield warning(text, "watch a smaller stream, with the large one as evidence_url", "sources")


async def _check_camera(
    target: Target, place: str, camera: Camera, sizes: dict[str, tuple[int, int]]
) -> Finding:
    """``sizes`` gets the size of its pictures, by place."""
    part = target.part(place.removeprefix("sources."))
    if target.agent is not None and source_kind(camera.url) == "device":
        return _of_running_agent(target, part, place)
    if source_kind(camera.url) == "device":
        device = device_path(camera.url)
        holders = held_by(device, target.machine.proc)
        if holders:
            pid = holders[0].rpartition("(")[2].rstrip(")")
            return failed(f"{device} is in use by {', '.join(holders)}", f"stop it: sudo kill {pid}", place)
    limit_s = camera.open_timeout.total_seconds() + camera.read_timeout.total_seconds() + 5
    answer, error = await run_child(SCRIPT, {"camera": camera.model_dump(mode="json")}, min(MOST_S, limit_s))
    if answer is None or "error" in answer:
        if target.agent is not None and part.get("running") == "running" and part.get("speaking"):
            return warning(f"the agent gets frames, a second connection failed: {error}", place=place)
        text = str(answer["error"]) if answer else error
        return failed(text, _remedy(text), place)
    size, codec, rate = (shown(answer.get(key, "?")) for key in ("size", "codec", "rate"))
    width, _, height = size.partition("x")
    if width.isdigit() and height.isdigit():
        sizes[place] = int(width), int(height)
    text = f"delivers frames of {size}, the first after {float(answer['first_s']):.1f} s"
    return ok(f"{text}, {rate} per second, {codec}", place)


def _of_running_agent(target: Target, part: dict[str, Any], place: str) -> Finding:
    """A device that the agent holds can't be opened a second time: what the agent says of it."""
    if not part:
        text = f"held by the running agent, {target.agent}, so it is not opened"
        return skipped(text, "stop the agent to check it: sudo systemctl stop ringpost", place)
    if part.get("running") != "running" or part.get("speaking") is False:
        return failed(f"the running agent says: {shown(part.get('error') or 'no frames')}", place=place)
    return ok(f"the running agent gets {shown(part.get('fps'))} frames per second", place)


REMEDIES = (
    ("not found", "plug it in; `ringpost devices` lists the cameras"),
    ("permission", "sudo usermod -aG video ringpost"),
    ("another program uses it", "`ringpost devices` names the program: stop it"),
    ("vision", "pip install 'ringpost[vision]'"),
    ("refused", "is the camera on, and is this its address and port? ping it"),
    ("password", "correct username and password of the camera"),
    ("401", "correct username and password of the camera"),
)


def _remedy(text: str) -> str:
    known = (remedy for words, remedy in REMEDIES if words in text)
    return next(known, "power the camera off and on; check its cable and its url")
