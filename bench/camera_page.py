"""How a picture reaches the page *Cameras*: over HTTP, or as a data URL in NiceGUI's message.

    python -m bench.camera_page [--fps 5] [--seconds 20] [--kb 60]

Prints for both ways the time from an event of the camera stream to its pixels in headless Chromium (p50,
p95), the pictures shown, and the processor time of the server. Both use the same element and pictures.
"""

import argparse
import asyncio
import base64
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any

from console.agent_views import CameraView
from console.camera_feeds import CameraFeed, CameraFeeds, Wanted
from tests.browser.rig import CHROMIUM
from tests.test_console_cameras import meta


def picture(kilobytes: int) -> bytes:
    """A JPEG of about this size."""
    import cv2
    import numpy as np

    noise = np.random.default_rng(1).integers(0, 255, (135, 240, 3), np.uint8)
    frame = cv2.resize(noise, (960, 540), interpolation=cv2.INTER_CUBIC)
    for quality in range(95, 5, -5):
        _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= kilobytes * 1000:
            break
    return bytes(data)


class Camera:
    """A camera stream with a new picture ``fps`` times a second."""

    def __init__(self, jpeg: bytes) -> None:
        self._jpeg = jpeg

    async def camera(
        self, name: str, fps: float = 5, width: int = 960, *, picture: bool = True
    ) -> AsyncIterator[CameraView]:
        number = 0
        while True:
            number += 1
            yield CameraView(meta(frame=number, picture_frame=number), self._jpeg)
            await asyncio.sleep(1 / fps)


async def measure(way: str, arguments: argparse.Namespace) -> None:
    os.environ["NICEGUI_STORAGE_PATH"] = tempfile.mkdtemp()
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui
    from playwright.async_api import async_playwright

    from console.pages.cameras.frames import frame_route
    from console.web.widgets.picture import CameraPicture

    app, jpeg = FastAPI(), picture(arguments.kb)
    feeds = CameraFeeds(Camera(jpeg))
    app.add_api_route("/frame/{camera}", frame_route(feeds))
    shown: list[float] = []

    @ui.page("/")
    def page() -> None:
        element = CameraPicture({})

        def show(feed: CameraFeed) -> None:
            url = f"/frame/cam1?n={feed.number}"
            if way == "data URL":
                url = f"data:image/jpeg;n={feed.number};base64,{base64.b64encode(jpeg).decode()}"
            view = {"camera": "cam1", "width": 960, "height": 540, "url": url, "at_ms": time.time() * 1000}
            element.show({**view, "objects": [{"box": [0.1, 0.1, 0.3, 0.8], "text": "person", "sure": True}]})

        element.on("shown", lambda event: shown.append(float(event.args["ms"])))
        feeds.watch("cam1", Wanted(arguments.fps, 960), show)

    ui.run_with(app, tailwind=False, show_welcome_message=False)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = await browser.new_page()
        await tab.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        await asyncio.sleep(4)
        shown.clear()
        before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        await asyncio.sleep(arguments.seconds)
        after, took_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began_s
        await browser.close()
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ordered: list[Any] = sorted(shown)
    p50, p95 = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]
    rate, load = len(shown) / took_s, 100 * used_s / took_s
    print(
        f"{way:9} {len(jpeg) / 1000:.0f} kB: event to pixel p50 {p50:.0f} ms, p95 {p95:.0f} ms;"
        f" {rate:.1f} pictures/s shown; server {load:.1f} % of a core; load {os.getloadavg()[0]:.1f}"
    )
    server.should_exit = True
    await serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fps", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kb", type=int, default=60)
    parser.add_argument("--way", choices=["HTTP", "data URL"], help="Default: one after the other.")
    arguments = parser.parse_args()
    if arguments.way is not None:
        asyncio.run(measure(arguments.way, arguments))
        return
    import subprocess
    import sys

    for way in ("HTTP", "data URL"):  # NiceGUI has one application in a process
        rest = [f"--{key}={getattr(arguments, key)}" for key in ("fps", "seconds", "kb")]
        subprocess.run([sys.executable, "-m", "bench.camera_page", "--way", way, *rest], check=True)


if __name__ == "__main__":
    main()
