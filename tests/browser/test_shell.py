"""What is around the pages, in a real browser: login, both languages, sizes and themes, what CSP forbids."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.device import ConsoleProcess, browser, console
from tests.browser.rig import DESK, PHONE, needs_chromium
from tests.thorough import all_or, only_long

FITS = "width => document.scrollingElement.scrollWidth <= width"
"""Polled: a page is laid out in steps."""
pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, needs_chromium]

PATHS = ("/", "/sources", "/cameras", "/alerts", "/configuration", "/log")
PASSPHRASE = "four words in a row"  # noqa: S105  it opens nothing
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def make_certificate(folder: Path) -> tuple[str, str]:
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=bridge-07", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
               "-keyout", key, "-out", cert]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def axe(page: Any) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA, one line each."""
    import axe_playwright_python

    script = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text()
    await page.evaluate(script)  # through the debugger: the page's policy holds for the page
    found = await page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [
        f"{one['id']}: {node['target']}: {node.get('failureSummary', '')[:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


async def drawn(page: Any) -> None:
    await page.wait_for_selector("[data-testid=site-title]")
    await page.wait_for_function("window.did_handshake === true")


async def settle(page: Any, **settings: str) -> None:
    """Changes settings as a person does."""
    await page.click("[data-testid=settings]")
    for name, value in settings.items():
        await page.select_option(f"[data-testid=setting-{name}]", value)
    async with page.expect_navigation():
        await page.click("[data-testid=apply-settings]")
    await drawn(page)


def test_login_with_an_account_over_tls_on_a_phone(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    users = str(tmp_path / "users.json")
    added = subprocess.run(
        [sys.executable, "-m", "agent", "console", "user", "add", "desk-3", "--role", "operator", "--users", users],
        input=f"{PASSPHRASE}\n", text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert PASSPHRASE not in added.stdout + added.stderr

    async def scenario(process: ConsoleProcess) -> None:
        async with asyncio.timeout(90):
            while not (found := re.findall(r"https://\S+", process.output())):
                await asyncio.sleep(0.1)
        async with browser(PHONE, ignore_https_errors=True, locale="zh-CN") as page:
            await page.goto(found[0])
            assert page.url.endswith("/login")
            assert await page.evaluate("document.documentElement.lang") == "zh-CN"
            assert await page.locator("script").count() == 0
            assert await axe(page) == []
            await page.fill("#user", "desk-3")
            await page.fill("#passphrase", "wrong one")
            await page.click("button")
            assert "密码短语错误" in await page.inner_text("[role=alert]")
            await page.fill("#user", "desk-3")
            await page.fill("#passphrase", PASSPHRASE)
            await page.click("button")
            await drawn(page)
            (cookie,) = [one for one in await page.context.cookies() if "language" not in one["name"]]
            assert cookie["name"].startswith("__Host-")
            assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
            await page.wait_for_function(FITS, arg=PHONE["width"])
            await page.click("[data-testid=logout]")
            await page.wait_for_url("**/login")
            await page.goto(found[0])
            assert page.url.endswith("/login")

    with console(tmp_path, "--cert", cert, "--key", key, "--users", users) as process:
        asyncio.run(scenario(process))


@pytest.mark.parametrize(("language", "theme"), all_or([("zh", "dark")], [("en", "light"), ("zh", "dark")]))
def test_all_pages_are_accessible(language: str, theme: str, tmp_path: Path) -> None:
    async def scenario(process: ConsoleProcess) -> list[str]:
        found = []
        async with browser(DESK) as page:
            await page.goto(await process.address())
            await drawn(page)
            await settle(page, language=language, theme=theme)
            wanted = {"en": "en-US", "zh": "zh-CN"}[language]
            assert await page.evaluate("document.documentElement.lang") == wanted
            for path in PATHS:
                await page.goto(re.sub(r"(//[^/]+/).*", r"\1", page.url) + path[1:])
                await drawn(page)
                await page.wait_for_timeout(300)
                found += [f"{path} {line}" for line in await axe(page)]
                wide = await page.evaluate("document.scrollingElement.scrollWidth")
                found += [f"{path}: {wide} px wide"] if wide > DESK["width"] else []
        return found

    with console(tmp_path) as process:
        assert asyncio.run(scenario(process)) == []


@only_long  # else: test_console_access
def test_keys_go_from_page_to_page_and_a_session_ends_its_page(tmp_path: Path) -> None:
    async def scenario(process: ConsoleProcess) -> None:
        async with browser(PHONE) as page:
            await page.goto(await process.address())
            await drawn(page)
            await page.keyboard.press("4")
            await page.wait_for_url("**/alerts")
            await drawn(page)
            await page.keyboard.press("?")
            assert await page.locator("#rp-help").is_visible()
            await page.keyboard.press("Escape")
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement.getAttribute('href')") == "#main"
            await page.wait_for_function(FITS, arg=PHONE["width"])
            await page.click("[data-testid=key]")
            await page.set_input_files(
                "input[type=file]", {"name": "k.pem", "mimeType": "", "buffer": b"no key"}
            )
            await page.wait_for_selector("text=is not a private key")
            other = await page.context.new_page()
            await other.goto(re.sub(r"alerts.*", "", page.url))
            await drawn(other)
            await other.click("[data-testid=logout]")
            await page.wait_for_url("**/login")  # its web socket ended with the session

    with console(tmp_path) as process:
        asyncio.run(scenario(process))
    assert not (Path.cwd() / ".nicegui").exists()


def test_a_page_of_one_session_is_closed_to_another(tmp_path: Path) -> None:
    """A client id that another session has learned: neither its socket nor its events get through."""

    async def scenario(process: ConsoleProcess) -> None:
        async with browser() as mine, browser() as theirs:
            await mine.goto(await process.address())
            await drawn(mine)
            used = process.output().count("token=")
            async with asyncio.timeout(20):
                while (
                    process.output().count("token=") <= used - 1
                    or len(set(re.findall(r"token=\S+", process.output()))) < 2
                ):
                    await asyncio.sleep(0.1)
            await theirs.goto(await process.address())
            await drawn(theirs)
            victim = await mine.evaluate("window.clientId")
            answers = await theirs.evaluate(
                """async (victim) => {
                  const query = {...window.socket.io.opts.query, client_id: victim};
                  const path = window.socket.io.opts.path;
                  const stolen = io(location.origin.replace('http', 'ws'), {path, query, transports: ['websocket'], forceNew: true});
                  const refused = await new Promise((done) => {
                    stolen.on('connect_error', (error) => done(error.message)); stolen.on('connect', () => done('open'));
                  });
                  stolen.close();
                  const handshake = await new Promise((done) => {
                    setTimeout(() => done('silence'), 2000);
                    window.socket.emit('handshake', query, (ok) => done(ok));
                  });
                  const upload = await fetch(`/_nicegui/client/${victim}/upload/1`, {method: 'POST', body: 'x'});
                  return [refused, handshake, upload.status];
                }""",
                victim,
            )
            assert answers[0] != "open"
            assert answers[1] in (False, "silence")
            assert answers[2] == 404

    with console(tmp_path) as process:
        asyncio.run(scenario(process))


def test_what_the_content_policy_allows(tmp_path: Path) -> None:
    """No inline script runs, none from elsewhere; NiceGUI needs `eval`, and nothing else that is unsafe."""

    async def scenario(process: ConsoleProcess) -> None:
        async with browser() as page:
            answer = {"policy": ""}
            page.on(
                "response",
                lambda got: (
                    answer.update(policy=got.headers.get("content-security-policy", ""))
                    if got.request.is_navigation_request() and got.status == 200
                    else None
                ),
            )
            await page.goto(await process.address())
            await drawn(page)
            policy = dict(part.strip().partition(" ")[::2] for part in answer["policy"].split(";"))
            assert re.fullmatch(r"'self' 'nonce-[\w-]+' 'unsafe-eval'", policy["script-src"])
            assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
            ran = await page.evaluate(
                """async () => {
                  const blocked = []; addEventListener('securitypolicyviolation', (e) => blocked.push(e.effectiveDirective));
                  const script = document.createElement('script'); script.textContent = 'window.hurt = 1';
                  document.body.append(script);
                  const image = document.createElement('div'); image.innerHTML = '<img src="data:," onerror="window.hurt = 2">';
                  document.body.append(image);
                  const far = document.createElement('script'); far.src = 'data:text/javascript,window.hurt=3';
                  document.body.append(far);
                  await fetch('https://192.0.2.1/').catch(() => {});
                  await new Promise((done) => setTimeout(done, 300));
                  return [window.hurt ?? null, [...new Set(blocked)].sort()];
                }"""
            )
            assert ran[0] is None
            assert {"script-src-elem", "script-src-attr", "connect-src"} <= set(ran[1])

    with console(tmp_path) as process:
        asyncio.run(scenario(process))


def test_the_terminal_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "agent", "console", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, line = said("--data", str(tmp_path), "--port", port, "--no-open")
        assert (code, "is taken by another program" in line) == (69, True)
    assert said("--data", str(tmp_path / "missing"))[0] == 78
    assert said("--data", str(tmp_path), "--host", "0.0.0.0")[0] == 2  # noqa: S104
    (tmp_path / "users.json").write_text(json.dumps({"x": {"roles": ["king"], "scrypt": ""}}))
    (tmp_path / "users.json").chmod(0o600)
    assert said("--data", str(tmp_path), "--users", str(tmp_path / "users.json"))[0] == 78
