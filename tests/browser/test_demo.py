"""The first minute as a newcomer has it: `ringpost demo` and `ringpost try`, in a real browser."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from simulators.scene import Scene
from tests.browser.rig import browser_page, needs_chromium
from tests.thorough import only_long

pytestmark = [pytest.mark.end_to_end, needs_chromium]
SLOW_MS = 90_000


@contextmanager
def served(*command: str) -> Iterator[tuple[str, list[str]]]:
    """The address that a verb prints, and the lines that it prints after Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", *command, "--no-open"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = ""
    for line in process.stdout:
        if (found := re.search(r"http://\S+", line)) is not None:
            url = found[0]
            break
    after: list[str] = []
    try:
        yield url, after
    finally:
        process.send_signal(signal.SIGINT)
        after += process.communicate(timeout=60)[0].splitlines()


def text_of(page: Any, mark: str) -> str:
    return str(page.get_by_test_id(mark).inner_text())


def wait_for_text(page: Any, mark: str, pattern: str) -> None:
    script = "([mark, pattern]) => new RegExp(pattern).test(document.querySelector(`[data-testid='${mark}']`)?.innerText)"
    page.wait_for_function(script, arg=[mark, pattern], timeout=SLOW_MS)


@only_long  # else: end_to_end/test_first_minute
def test_a_press_in_the_demo_is_an_alert_and_a_kill_loses_none() -> None:
    with served("demo") as (url, after), browser_page() as page:
        page.goto(url)
        wait_for_text(page, "demo-state", "online|degraded")
        page.get_by_test_id("trick-0").click()
        wait_for_text(page, "demo-alerts", "panic button on")
        page.get_by_test_id("trick-4").click()
        wait_for_text(page, "count-raised", "[2-9]")
        page.wait_for_function(
            "document.querySelector('[data-testid=\"count-waiting\"]').innerText === '0'", timeout=SLOW_MS
        )
        assert text_of(page, "count-lost") == "0"
    (proof,) = [line for line in after if line.startswith("alert messages, counted on both disks")]
    assert proof.endswith("lost 0")


def test_a_clip_is_tried_in_one_line(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 360))
    scene = Scene(comes_s=0, leaves_s=9)
    for number in range(40):
        writer.write(scene.picture(number / 5))
    writer.release()
    with served("try", str(clip)) as (url, _), browser_page() as page:
        page.goto(url)
        picture = page.get_by_test_id("picture")
        picture.wait_for(timeout=SLOW_MS)
        wait_for_text(page, "picture-facts", "frame [0-9.]+ s old")
        page.get_by_test_id("alerts").wait_for(state="attached")
