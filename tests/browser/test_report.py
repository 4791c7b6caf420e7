"""The report of a run in a real browser, from a file: no request, no error, and the film moves."""

from pathlib import Path
from typing import Any

import pytest

from simulators.report import write
from tests.browser.rig import CHROMIUM, DESK, PHONE, needs_chromium
from tests.report_run import make_run

pytestmark = [pytest.mark.end_to_end, needs_chromium]
LIMIT_MS = 60_000
HOSTILE = "<img src=x onerror=alert(1)>"
SEEK = "t => { const s = document.getElementById('slider'); s.value = t * 10; s.dispatchEvent(new Event('input')); }"
PICTURE = "() => document.getElementById('map').toDataURL()"


def test_the_page_opens_from_a_file_and_its_film_moves(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    address = write(make_run(tmp_path, hostile=HOSTILE)).as_uri()
    requests: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport=DESK, offline=True).new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(address)
        assert page.locator("h1").inner_text().startswith("bridge_rescue passed")
        before = page.evaluate(PICTURE)
        page.locator("#play").click()
        page.wait_for_function("() => Number(document.getElementById('slider').value) > 10")
        page.locator("#play").click()
        assert page.evaluate(PICTURE) != before
        page.evaluate(SEEK, 100)
        assert cells(page, "boat-1")[0] == "▲ degraded"
        assert page.locator(".log .current").inner_text().split()[0] == "1:36"
        page.locator("body").press("End")
        assert page.locator("#now").inner_text() == "7:40"
        page.get_by_text("is aboard").first.click()
        assert page.locator("#now").inner_text() == "7:10"
        assert page.locator("img").count() == 0
        assert violations(page) == []
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="dark")
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide == PHONE["width"]
        assert violations(page) == []
        browser.close()
    assert requests == [address]
    assert said == []


def cells(page: Any, name: str) -> list[str]:
    found: list[str] = page.locator("#where tbody tr", has_text=name).locator("td").all_inner_texts()
    return found


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in axe.run(page).response["violations"]]
