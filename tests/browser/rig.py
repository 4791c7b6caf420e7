"""A real browser for the pages: Debian's Chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextmanager
def browser_page(size: dict[str, int] = DESK, **context: Any) -> Iterator[Any]:
    """A page of a fresh browser profile. Requests to anywhere but the loopback fail the test."""
    from playwright.sync_api import sync_playwright

    elsewhere: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport=size, ignore_https_errors=True, **context).new_page()
        page.on("request", lambda request: note_foreign(request.url, elsewhere))
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield page
        finally:
            browser.close()
    assert elsewhere == []
    assert errors == []


def note_foreign(url: str, elsewhere: list[str]) -> None:
    local = ("http://127.0.0.1", "https://127.0.0.1", "http://localhost", "https://localhost", "ws://127.0.0.1",
             "wss://127.0.0.1", "ws://localhost", "wss://localhost", "data:", "blob:", "about:")  # fmt: skip
    if not url.startswith(local):
        elsewhere.append(url)


def screenshot(page: Any, path: Path) -> None:
    """A picture of the whole page, for people to look at."""
    page.screenshot(path=str(path), full_page=True)
