"""The one map in a real browser: with the database of a centre, and with a real agent where an answer counts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.audit.access_log import access_log_folder
from agent.domain.message import stamp
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_store import MessageStore
from console.web.users import Users
from tests.browser.rig import CHROMIUM, DESK, PHONE, browser_page, needs_chromium
from tests.end_to_end.rig import NEEDS_MOSQUITTO, rig
from tests.thorough import only_long
from tests.waiting import play

pytestmark = [pytest.mark.end_to_end, needs_chromium]
HOSTILE = "<img src=x onerror=alert(1)>"
JPEG = Path(__file__).resolve().parents[2] / "simulators" / "pictures" / "field.jpg"
LIMIT_MS = 60_000
PANIC = """\
schema_version: 1
device: rig-1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: quay, post: gate, lat: 32.1, lon: 118.7}}
broker: {{url: "{broker}", resend_after: 5s}}
reporting: {{telemetry_every: 1s, position_every: 1s, health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board"}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical, need_ack: true}}
"""
_numbers = count(1)


@contextmanager
def city_map(db: Path, *options: str) -> Iterator[str]:
    """``ringpost map`` in a process of its own; the address that it prints."""
    script = "from centre.map.cli import map_group; map_group()"
    command = [sys.executable, "-c", script, "--db", str(db), "--no-open", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(line for line in process.stdout if "http" in line).split()[-1]
        finally:
            process.terminate()
            process.wait(30)


def messages(
    device: str, *bodies: tuple[str, dict[str, Any]], at: datetime | None = None
) -> list[ReceivedMessage]:
    made = at or datetime.now(UTC)
    found = []
    for topic, body in bodies:
        number = next(_numbers)
        full = {
            "schema": "x", "id": f"{device}-{number}", "device": device, "session": 1, "epoch": "e", "seq": number,
            "at": stamp(made), "clock": {"source": "gnss"}, "historical": False, "simulated": False, **body,
        }  # fmt: skip
        payload = json.dumps(full).encode()
        found.append(ReceivedMessage(topic, MessageHeader.model_validate_json(payload), payload))
    return found


def boat(name: str, lat: float, lon: float, age_s: float = 0.0) -> list[ReceivedMessage]:
    position = {
        "lat": lat,
        "lon": lon,
        "mode": "3d",
        "trust": "good",
        "age_s": 0.1,
        "error_m": 5,
        "course_deg": 45,
    }
    return messages(
        name,
        (
            "birth",
            {"kind": "patrol_boat", "domain": "water", "ring": "inner_city", "site": "quay", "post": name},
        ),
        ("status", {"state": "online", "reasons": []}),
        ("position", position),
        at=datetime.now(UTC) - timedelta(seconds=age_s),
    )


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Three boats, one of them with an old position, and a person in the water."""
    store = MessageStore(tmp_path / "centre.db")
    alert = {
        "alert_id": "a1", "phase": "new", "severity": "critical", "kind": "person_in_water", "rule": "water",
        "text": HOSTILE, "media": ["media/a1/1"], "since": stamp(datetime.now(UTC)), "need_ack": True, "zone": HOSTILE,
        "point": {"lat": 32.1, "lon": 118.7, "error_m": 40, "how": "ground_plane"},
    }  # fmt: skip
    store.keep([
        *boat("boat-far", 32.13, 118.73),
        *boat("boat-near", 32.104, 118.704),
        *boat("boat-old", 32.1001, 118.7001, age_s=100),
        *messages("post-1", ("birth", {"kind": "watch_point", "post": HOSTILE, "lat": 32.1, "lon": 118.7})),
        *messages("post-1", ("alert", {"alert": alert, "latency_ms": {"rule": 3}})),
    ])  # fmt: skip
    store.close()
    return tmp_path / "centre.db"


def drawn(page: Any, name: str) -> dict[str, Any]:
    """An object of the canvas."""
    script = "name => document.querySelector('.rp-mapview').ringpost.objects.byId.get(name) ?? null"
    page.wait_for_function(f"name => ({script})(name)?.lat !== undefined", arg=name, timeout=LIMIT_MS)
    found: dict[str, Any] = page.evaluate(script, name)
    return found


def mark(page: Any, name: str) -> Any:
    return page.locator(f"[data-testid='{name}']")


def test_the_nearest_boat_is_first_and_what_is_stale_looks_stale(db: Path) -> None:
    picture = db.parent / "pictures" / "post-1" / "a1-1.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(JPEG.read_bytes())
    options = ("--port", "8761", "--pictures", str(db.parent / "pictures"))
    with city_map(db, *options) as url, browser_page(DESK) as page:
        page.set_default_timeout(LIMIT_MS)
        page.goto(url)
        page.locator(".rm-alert").first.click()
        page.wait_for_selector(".rm-near")
        near = mark(page, "nearest").locator(".rm-alert-title").all_inner_texts()
        assert near == ["post-1", "boat-near", "boat-far"]  # the post that raised it is there
        page.get_by_text("Left out, and why").click()
        page.get_by_text("boat-old: position is").wait_for()
        assert drawn(page, "force/boat-old")["stale"] is True
        assert drawn(page, "force/boat-near")["stale"] is False
        assert drawn(page, "alert/post-1/a1")["error"] == 40
        # hostile names are text
        assert page.locator(".rm-alert-words").inner_text() == HOSTILE
        assert page.locator("img[src=x]").count() == 0
        # a picture is shown once the look is logged
        mark(page, "show-picture").click()
        mark(page, "picture").locator("img").wait_for()
        logged = b"".join(path.read_bytes() for path in access_log_folder(db).rglob("*") if path.is_file())
        assert b"picture_viewed" in logged
        assert b"post-1/a1-1.jpg" in logged
        assert mark(page, "no-broker").is_visible()
        assert mark(page, "order-ack").is_disabled()


@only_long  # else: test_map_history, test_map_scene
def test_the_past_does_not_look_like_the_present(db: Path) -> None:
    with city_map(db, "--port", "8762") as url, browser_page(PHONE) as page:
        page.set_default_timeout(LIMIT_MS)
        page.goto(url)
        page.wait_for_selector(".rm-alert")
        assert page.locator(".rp-map-past").count() == 0
        page.locator("[data-testid='time'] [tabindex='0']").first.focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector(".rp-map-past")
        assert "PAST" in page.locator(".rp-map-banner").inner_text()
        page.wait_for_function("() => document.querySelectorAll('.rm-alert').length === 0")
        mark(page, "live").click()
        page.wait_for_selector(".rm-alert")
        page.wait_for_function("() => !document.querySelector('.rp-map-past')")


@only_long  # else: test_map_scene
def test_keys_and_filters(db: Path) -> None:
    with city_map(db, "--port", "8763") as url, browser_page(DESK) as page:
        page.set_default_timeout(LIMIT_MS)
        page.goto(url)
        page.wait_for_selector(".rm-alert")
        page.keyboard.press("j")
        page.wait_for_selector(".rm-alert.rm-selected")
        page.keyboard.press("f")
        page.wait_for_selector(".rm-force")
        mark(page, "search").fill("near")
        page.wait_for_function("() => document.querySelectorAll('.rm-force').length === 1")
        page.locator(".rm-force").click()
        page.wait_for_function(
            "() => document.querySelector('.rp-mapview').ringpost.objects.selected === 'force/boat-near'"
        )
        found = (
            pytest.importorskip("axe_playwright_python.sync_playwright")
            .Axe()
            .run(page)
            .response["violations"]
        )
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        objects = "document.querySelector('.rp-mapview').ringpost.objects.byId"
        page.wait_for_function(f"() => !{objects}.has('force/boat-far')")


WATCH = """() => {
  const told = new MutationObserver(() => {
    const state = document.querySelector("[data-testid='alert-state']")?.textContent ?? "";
    if (state.startsWith("taken by") && !window.takenAt) window.takenAt = Date.now();
  });
  told.observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


async def log_in(browser: Any, url: str, user: str) -> Any:
    page = await (await browser.new_context(viewport=DESK)).new_page()
    page.set_default_timeout(LIMIT_MS)
    await page.goto(url)
    await page.fill("#user", user)
    await page.fill("#passphrase", f"{user} has a passphrase")
    await page.keyboard.press("Enter")
    await page.locator(".rm-alert").first.click()
    await page.wait_for_selector("[data-testid='alert-state']")
    await page.evaluate(WATCH)
    return page


@NEEDS_MOSQUITTO
def test_two_officers_see_each_others_answer(tmp_path: Path) -> None:
    """A real agent: an operator acknowledges, a viewer in another browser sees it, and may not answer."""
    users = Users()
    for name in ("operator", "viewer"):
        users.add(name, [name], f"{name} has a passphrase")
    users.save(tmp_path / "users.json")

    async def scene() -> None:
        async with rig(tmp_path, "mosquitto") as here:
            here.write_config(PANIC.format(broker=here.broker.url, folder=tmp_path))
            here.start_agent()
            await here.until(lambda: here.last("status").get("state") == "online", what="the agent")
            here.board.press("panic_button")
            await here.until(lambda: bool(here.alerts("panic")), what="the alert")
            options = ("--port", "8764", "--broker", here.broker.url, "--signing-key", str(here.key_file))
            with city_map(here.db, *options, "--users", str(tmp_path / "users.json")) as url:
                await two_officers(url)
            await here.until(lambda: "acknowledged" in here.last("alert").get("alert", {}), what="the answer")
            assert here.last("alert")["alert"]["acknowledged"]["role"] == "operator"

    play(scene, 300)


async def two_officers(url: str) -> None:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        officer, viewer = [await log_in(browser, url, user) for user in ("operator", "viewer")]
        await viewer.locator("[data-testid='order-ack']").click()
        await viewer.get_by_text("Your role does not allow this").first.wait_for()
        await officer.locator("[data-testid='order-ack']").click()
        for page in (officer, viewer):
            await page.wait_for_function("() => window.takenAt")
            assert await page.locator("[data-testid='alert-state']").inner_text() == "taken by operator"
        # a note and a hand-over of the officer, which the viewer sees too
        await officer.locator("input[data-testid='note'], [data-testid='note'] input").first.fill(HOSTILE)
        await officer.locator("[data-testid='add-note']").click()
        await viewer.get_by_text(f"operator: {HOSTILE}").wait_for()
        hand_over = "input[data-testid='hand-over-to'], [data-testid='hand-over-to'] input"
        await officer.locator(hand_over).first.fill("boat-desk")
        await officer.locator("[data-testid='hand-over']").click()
        for page in (officer, viewer):
            await page.get_by_text("handed over to boat-desk").first.wait_for()
        apart = [await page.evaluate("() => window.takenAt") for page in (officer, viewer)]
        print(f"the other officer saw it {apart[1] - apart[0]} ms after the one who answered")
        await browser.close()
