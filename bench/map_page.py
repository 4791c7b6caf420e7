"""The map of the centre with 2,000 devices at one position a second and 20 alerts a minute.

Frames a second while it is dragged, from commit to screen, memory of browser and server.

A headless Chromium draws without a graphics card: a desk with one has more room. Commit to screen: from the
time stamp of the newest commit in a message to the frame after it is drawn, on one machine's clock.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parents[1]
DEVICES, ALERTS_A_MINUTE = 2000, 20
WARM_S, STILL_S, DRAG_S = 30, 60, 30
PORT = 8790
ARGS = ["--no-sandbox", "--enable-precise-memory-info"]
FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const step = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(step); };
  requestAnimationFrame(step);
}"""
STATS = """() => {
  const stats = document.querySelector(".rp-mapview").ringpost.objects.stats;
  const frames = [...(window.frames_ms ?? [])];
  const taken = {draw: [...stats.drawMs], screen: [...stats.toScreenMs], frames};
  stats.drawMs.length = stats.toScreenMs.length = 0;
  if (window.frames_ms) window.frames_ms.length = 0;
  return taken;
}"""
OBJECTS = "() => document.querySelector('.rp-mapview').ringpost.objects.byId.size"


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *command], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as made:
        try:
            yield made
        finally:
            made.terminate()


def figures(devices: int = DEVICES) -> dict[str, Any]:
    """All figures; blocks for some two minutes."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        db = Path(name) / "centre.db"
        city = ("-m", "simulators.city_map", "--db", str(db), "--devices", str(devices), "--as-real")
        page_of = ("-c", "from centre.map.cli import map_group; map_group()", "--db", str(db), "--no-open")
        with process(*city, "--alerts-per-minute", str(ALERTS_A_MINUTE)):
            _wait_for(db)
            settings = ("--settings", "configs/city/map.yaml", "--port", str(PORT))
            with process(*page_of, *settings) as server, sync_playwright() as playwright:
                assert server.stdout is not None
                url = next(line for line in server.stdout if "http" in line).split()[-1]
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(120_000)
                found = _measure(page, url, psutil.Process(server.pid))
                browser.close()
    return {"devices": devices, "alerts_a_minute": ALERTS_A_MINUTE, **found}


def _wait_for(db: Path) -> None:
    while not db.exists() or db.stat().st_size < 100_000:
        time.sleep(0.5)


def _measure(page: Any, url: str, server: psutil.Process) -> dict[str, Any]:
    page.goto(url)
    page.wait_for_selector(".rm-alert")
    page.wait_for_timeout(WARM_S * 1000)
    found: dict[str, Any] = {"drawn": page.evaluate(OBJECTS)}
    page.evaluate(FRAMES)
    page.evaluate(STATS)
    began_s, cpu_s = time.monotonic(), sum(server.cpu_times()[:2])
    page.wait_for_timeout(STILL_S * 1000)
    still = page.evaluate(STATS)
    used_s = sum(server.cpu_times()[:2]) - cpu_s
    found["server_cpu_percent"] = round(100 * used_s / (time.monotonic() - began_s), 1)
    found["still_frames_a_second"] = _rate(still["frames"])
    found["commit_to_screen_ms"] = _spread(still["screen"])
    found["draw_ms"] = _spread(still["draw"])
    _drag(page)
    dragged = page.evaluate(STATS)
    found["drag_frames_a_second"] = _rate(dragged["frames"])
    found["drag_frame_ms"] = _spread(dragged["frames"])
    for zoom in range(2):
        page.keyboard.press("Equal")
        page.wait_for_timeout(1500 + zoom)
    page.evaluate(STATS)
    _drag(page)
    found["drag_near_frames_a_second"] = _rate(page.evaluate(STATS)["frames"])
    found["server_mb"] = round(server.memory_info().rss / 2**20)
    found["browser_heap_mb"] = round(page.evaluate("() => performance.memory.usedJSHeapSize") / 2**20, 1)
    found["browser_mb"] = round(sum(_unique_bytes(one) for one in _renderers()) / 2**20)
    return found


def _drag(page: Any) -> None:
    """Drags the map to and fro with the mouse."""
    box = page.locator(".rp-map-pane").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < DRAG_S:
        page.mouse.move(x + 250 * math.sin(at_s * 1.3), y + 180 * math.sin(at_s * 0.9))
        time.sleep(0.008)
    page.mouse.up()


def _renderers() -> list[psutil.Process]:
    """The processes of our browser."""
    return [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]


def _unique_bytes(one: psutil.Process) -> int:
    try:
        return int(one.memory_full_info().uss)
    except psutil.Error:
        return 0


def _rate(frames_ms: Sequence[float]) -> float:
    return round(1000 * len(frames_ms) / sum(frames_ms), 1) if frames_ms else 0.0


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[int(len(ordered) * 0.95)], 1),
        "max": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES)))
