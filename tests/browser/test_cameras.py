"""A technician at the page *Cameras* of a real agent: a zone drawn with the mouse raises an alert of its own."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.privacy.redaction import FILL
from console.pages.site import device_site
from console.web.server import ServeOptions, serve
from models.detection import Frame
from simulators.scene import HEIGHT, WIDTH, Scene
from tests.browser.rig import CHROMIUM, DESK, needs_chromium
from tests.end_to_end.rig import BROKER, Rig, rig

pytestmark = [pytest.mark.end_to_end, needs_chromium]
SLOW_MS = 150_000
"""The machine may be busy: redaction runs after everything else."""
CORNERS = ((0.2, 0.5), (0.8, 0.5), (0.8, 0.995), (0.2, 0.995))


@asynccontextmanager
async def cameras_page(it: Rig) -> AsyncIterator[Any]:
    """The page in a browser, served beside the agent of the rig."""
    from playwright.async_api import async_playwright

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    options = ServeOptions(port=port, token="once")  # noqa: S106
    serving = asyncio.ensure_future(serve(device_site(it.folder / "data"), options))
    errors: list[str] = []
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await (await browser.new_context(viewport=DESK)).new_page()
            page.set_default_timeout(SLOW_MS)
            page.on("pageerror", lambda error: errors.append(str(error)))
            await _reachable(port)
            await page.goto(f"http://127.0.0.1:{port}/login?token=once")
            await page.wait_for_url(f"http://127.0.0.1:{port}/")  # else this way is in the way of the next
            await page.goto(f"http://127.0.0.1:{port}/cameras")
            yield page
            await browser.close()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert errors == []


async def _reachable(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def draw_zone(page: Any) -> None:
    """Clicks the corners into the picture, the first again to close."""
    await page.get_by_test_id("new-zone").click()
    overlay = page.locator(".rp-picture-overlay").first
    frame = await overlay.bounding_box()
    for number, (x, y) in enumerate((*CORNERS, CORNERS[0]), 1):
        await page.mouse.click(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        if number <= len(CORNERS):  # a drawn corner is in the picture before the next is clicked
            await page.locator(".rp-picture-corner").nth(number - 1).wait_for()
    await page.get_by_test_id("rule-kind").wait_for()


async def shown_picture(page: Any) -> Frame:
    """The pixels of the large picture as the browser shows them."""
    import cv2
    import numpy as np

    url = await page.locator(".rp-picture-frame").first.evaluate("one => one.toDataURL('image/png')")
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def man_in(scene: Scene) -> Any:
    """Where the man stands, as a mask of the scene's size: the truth that no detector has made."""
    import numpy as np

    _, _, alpha = scene._parts
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left, rows = round(0.35 * WIDTH), alpha.shape[0]
    mask[HEIGHT - rows :, left : left + alpha.shape[1]] = alpha[:, :, 0] > 0.5
    return mask


def test_a_zone_drawn_with_the_mouse_is_tried_kept_and_raises_an_alert(tmp_path: Path) -> None:
    import numpy as np

    async def scene() -> None:
        picture = Scene(comes_s=0.5, leaves_s=10_000)
        async with rig(tmp_path, BROKER, picture) as it:
            it.start_agent()
            async with cameras_page(it) as page:
                await draw_zone(page)
                assert await page.get_by_test_id("changes").inner_text() == (
                    "new zone zone-1, new rule at-zone-1"
                )
                # Without a key the order asks for one, and goes on with it.
                await page.get_by_test_id("order-push").first.click()
                await page.locator("input[type=file]").set_input_files(str(it.key_file))
                await page.locator('.rp-order[data-state="succeeded"]').first.wait_for()
                await it.until(lambda: bool(it.alerts("at-zone-1")), what="an alert of the own zone")
                await page.get_by_text("Nothing is changed.").wait_for()
                assert it.last("config/reported")["state"] == "applied"

                # Why the rule holds back, or not, is told for each object in view.
                await page.get_by_test_id("tab-why").click()
                await page.get_by_test_id("progress").filter(has_text="at-zone-1").wait_for()

                # The picture that the page shows: nothing of the man is left in it.
                await page.get_by_test_id("picture-facts").filter(has_text="redacted").wait_for()
                await page.locator(".rp-picture-frame[width='640']").first.wait_for()
                pixels = (await shown_picture(page)).astype(int)
                man = man_in(picture)
                assert pixels.shape[:2] == man.shape
                covered = (np.abs(pixels[man] - FILL) <= 12).all(axis=1)
                assert covered.mean() > 0.97

    asyncio.run(scene())
