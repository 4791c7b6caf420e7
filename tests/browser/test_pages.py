"""The pages of the device in a real browser, with a real agent, broker and centre."""

import asyncio
import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser.device import browser, console, until
from tests.browser.rig import DESK, PHONE, needs_chromium
from tests.end_to_end.rig import BROKER, Rig, rig
from tests.thorough import only_long

pytestmark = [pytest.mark.end_to_end, needs_chromium]

CONFIG = """\
schema_version: 1
device: rig-1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: rig, post: gate}}
broker: {{url: "{broker}", resend_after: 5s}}
reporting: {{telemetry_every: 1s, readings_every: 0s, health_every: 2s}}
sources:
  gnss: {{kind: nmea, port: "{folder}/gnss"}}
  board: {{kind: sensor_board, port: "{folder}/board", outputs: [siren, light]}}
rules:
  panic:
    kind: switch
    source: board
    name: panic_button
    need_ack: true
    ack_within: 2s
    escalate: {{repeat: 2s, times: 100, output: {{source: board, name: siren, ttl: 20s}}}}
"""
HOSTILE = "<img src=x onerror=alert(1)>{at}"
PAGES = {
    "": ("Now", "现况"),
    "sources": ("Sources", "数据源"),
    "alerts": ("Alerts", "警报"),
    "log": ("Log and audit", "日志与审计"),
}
PICTURES = os.environ.get("RINGPOST_SCREENSHOTS")
"""A folder for pictures of all pages, for people to look at."""


def repeats(device: Rig) -> int:
    return sum(topic == "alert" and body["alert"].get("escalation", 0) > 0 for topic, body in device.heard)


def named(page: Any, name: str) -> Any:
    return page.locator(f'[data-testid="{name}"]')


async def begin(device: Rig) -> None:
    device.write_config(CONFIG.format(folder=device.folder, broker=device.broker.url))
    device.start_agent()
    states = ("online", "degraded")  # a busy machine is degraded by that
    await device.until(lambda: device.last("status").get("state") in states, what="the agent")


async def picture(page: Any, name: str) -> None:
    if PICTURES is not None:
        await page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def test_an_alert_is_acknowledged_in_the_page_and_its_escalation_stops(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device, browser() as page:
            await begin(device)
            served = stack.enter_context(console(tmp_path, "--signing-key", str(device.key_file)))
            base = (address := await served.address()).partition("/login")[0]
            await page.goto(address)
            await page.wait_for_url(f"{base}/")  # else this way is in the way of the next
            await page.goto(f"{base}/alerts")
            device.board.press("panic_button")
            await named(page, "alert").first.click()
            await named(page, "escalation").wait_for()
            await device.until(lambda: device.board.on == {"siren"}, what="the siren")
            await named(page, "ack-reason").fill(HOSTILE)
            await picture(page, "alert-open")
            await named(page, "order-ack").click()
            await page.locator('[data-state="succeeded"]').wait_for()
            answer = named(page, "answer")
            await until(lambda: _says(answer, f"acknowledged by operator at .*{HOSTILE}"), what="the answer")
            assert device.last("alert")["alert"]["acknowledged"]["reason"] == HOSTILE
            await device.until(lambda: not device.board.on, what="silence")
            told, reports = repeats(device), _count(device, "health")
            await device.until(lambda: _count(device, "health") >= reports + 3, what="three intervals")
            assert repeats(device) == told
            await picture(page, "alert-answered")
            assert await named(page, "order-ack").is_disabled()
            await named(page, "order-close").click()
            await device.until(lambda: device.last("alert")["alert"]["phase"] == "end", what="the end")
            await until(lambda: _says(named(page, "alert").first, "ended: closed by operator"), what="ended")

    with ExitStack() as stack:
        asyncio.run(asyncio.wait_for(scene(), 400))


@only_long  # else: views in test_console_pages, texts, end_to_end/test_local_api
def test_pages_in_both_languages_a_killed_agent_and_its_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path, BROKER) as device, browser() as page:
            await begin(device)
            served = stack.enter_context(console(tmp_path))
            device.board.press("panic_button")
            base = (address := await served.address()).partition("/login")[0]
            await page.goto(address)
            await page.wait_for_url(f"{base}/")
            for language in (0, 1):
                for size in (DESK, PHONE) if PICTURES is not None else (DESK,):
                    await page.set_viewport_size(size)
                    for path, names in PAGES.items():
                        await page.goto(f"{base}/{path}")
                        title = named(page, "page-title")
                        await until(lambda title=title, name=names[language]: _says(title, name), what=path)
                        if language == 0 or PICTURES is not None:
                            await _content(page, path)
                        await picture(page, f"{path or 'now'}-{language}-{size['width']}")
                if language == 0:
                    await _say_it_in_chinese(page)
            await page.set_viewport_size(DESK)
            await page.goto(base)
            outbox = named(page, "outbox")
            await until(lambda: _says(outbox, "丢失 0"), what="the account")

            await _nothing_is_sent_to_a_hidden_tab(page)
            device.end_agent(signal.SIGKILL)
            away = named(page, "agent-away")
            await away.wait_for()
            assert "代理程序自" in await away.inner_text()
            await picture(page, "killed")
            device.start_agent()
            await away.wait_for(state="hidden")
            await until(lambda: _says(named(page, "part").first, "运行中"), what="parts of the new agent")
            served.process.send_signal(signal.SIGSTOP)  # its sockets stay open
            await named(page, "no-server").wait_for()
            served.process.send_signal(signal.SIGCONT)
            await named(page, "no-server").wait_for(state="hidden")
            await until(lambda: _says(outbox, "丢失 0"), what="the account")

    with ExitStack() as stack:
        asyncio.run(asyncio.wait_for(scene(), 400))


async def _content(page: Any, path: str) -> None:
    """Waits until the page shows what the agent says."""
    if path == "":
        await until(lambda: _says(named(page, "outbox"), "0"), what="the outbox")
        await named(page, "part").nth(1).wait_for()
        await named(page, "finding").first.wait_for()
    elif path == "sources":
        await until(lambda: _says(named(page, "sources"), "gnss"), what="values")
        await until(lambda: _says(named(page, "sources"), "panic button"), what="the button")
        await named(page, "map").wait_for()
        await named(page, "sky-gnss").click()
        await page.locator(".rp-satellite").first.wait_for()
        await named(page, "raw-toggle").click()
        await page.locator('[data-testid="raw"] div').first.wait_for()
        await named(page, "raw-toggle").click()
    elif path == "alerts":
        await named(page, "alert").first.wait_for()
    else:
        await page.locator('[data-testid="log"] div').first.wait_for()
        await named(page, "audit-entry").first.wait_for()
        await until(lambda: _says(named(page, "audit-verdict"), "intact|完整"), what="the verdict")
        assert "NOT" not in await named(page, "audit-verdict").inner_text()
        assert "不完整" not in await named(page, "audit-verdict").inner_text()


async def _says(place: Any, words: str) -> bool:
    """Whether the text of ``place`` has the words: a pattern, or literally."""
    text = " ".join(await place.all_inner_texts()) if await place.count() else ""
    return words in text or re.search(words.replace(HOSTILE, re.escape(HOSTILE)), text) is not None


async def _nothing_is_sent_to_a_hidden_tab(page: Any) -> None:
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', {configurable: true, get: () => window.isHidden});"
        "window.hide = (on) => { window.isHidden = on; document.dispatchEvent(new Event('visibilitychange')); };"
        "window.changes = 0;"
        "new MutationObserver(() => window.changes++).observe("
        "document.querySelector('.rp-page'), {subtree: true, childList: true, characterData: true});"
    )
    await until(lambda: page.evaluate("window.changes > 3"), what="a page that goes on")
    await page.evaluate("window.hide(true)")
    await page.wait_for_timeout(1500)
    await page.evaluate("window.changes = 0")
    await page.wait_for_timeout(3000)
    assert await page.evaluate("window.changes") == 0
    await page.evaluate("window.hide(false)")
    await until(lambda: page.evaluate("window.changes > 3"), what="a page that is seen again")


async def _say_it_in_chinese(page: Any) -> None:
    await named(page, "settings").click()
    await named(page, "setting-language").select_option("zh")
    await named(page, "apply-settings").click()


def _count(device: Rig, topic: str) -> int:
    return sum(heard == topic for heard, _ in device.heard)
