# ruff: noqa: S104, S105, S106  the words of this test open nothing
"""The login of the pages, attacked: what holds, on the ASGI application without a browser."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from fastapi.responses import PlainTextResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from agent.audit.chain_files import ChainFiles
from console.web import users as users_module
from console.web.access import MAX_BODY, SESSION, AccessGate, _bounded
from console.web.access_app import Access
from console.web.listening import MAX_ACCEPTED, MAX_ACCEPTED_EACH, BoundedListener
from console.web.options import ServeOptions
from console.web.session import Sessions
from console.web.site import Page, Site
from console.web.users import Users

BASE = "http://127.0.0.1:8700"
ORIGIN = {"origin": BASE}
PASSPHRASE = "four words in a row"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Door:
    """A site behind its gate, without NiceGUI, with a clock of its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock, self.tokens = Clock(), list[str]()
        self.sessions = Sessions(self.clock, idle_s=600, absolute_s=3600)
        site = Site(
            "bridge-07", [Page("/", "Now", "x", lambda _: None), Page("/alerts", "Alerts", "x", print)]
        )
        self.options = ServeOptions(**{"access_log": folder / "console", **options})
        self.access = Access(site, self.options, self.sessions, self.tokens.append, self.clock)
        app = self.access.app

        @app.get("/")
        def page(request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.scope[SESSION].role)

        @app.post("/echo")
        async def echo(request: Request) -> PlainTextResponse:
            return PlainTextResponse(str(len(await request.body())))

        @app.websocket("/_nicegui_ws/socket.io")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_text(text)

        self.gate: AccessGate = self.access.gate()

    def client(self, address: str = "192.0.2.1") -> TestClient:
        base = BASE if self.options.certificate is None else "https://bridge-07.example:8700"
        return TestClient(self.gate, base_url=base, follow_redirects=False, client=(address, 5000))

    def entries(self) -> list[dict[str, Any]]:
        self.access._record.close()
        files = sorted((self.options.access_log or Path()).glob("*.jsonl"))
        import json

        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [{"kind": line["kind"], **line["fields"]} for line in lines if line["kind"] != "checkpoint"]


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_module, "N", 2**14)
    monkeypatch.setattr(users_module, "R", 1)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    file = tmp_path / "users.json"
    accounts = Users()
    accounts.add("desk-3", ["operator", "configurer"], PASSPHRASE)
    accounts.add("wall", ["viewer"], PASSPHRASE)
    accounts.save(file)
    return Door(tmp_path, users=file)


def form_of(client: TestClient) -> dict[str, str]:
    page = client.get("/login")
    assert page.status_code == 200
    return {"form": re.findall(r'name="form" value="([^"]+)"', page.text)[0]}


def log_in(client: TestClient, user: str = "desk-3", passphrase: str = PASSPHRASE, **more: str) -> Any:
    data = {**form_of(client), "user": user, "passphrase": passphrase, **more}
    return client.post("/login", data=data, headers=ORIGIN)


def test_an_account_opens_a_session_with_its_roles(door: Door) -> None:
    client = door.client()
    assert client.get("/").headers["location"] == "/login"
    answer = log_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/").text == "operator"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert {"kind": "login", "outcome": "ok", "user": "desk-3"}.items() <= door.entries()[0].items()


def test_guessing_gets_slower_for_an_address_and_is_forgotten_after_an_hour(door: Door) -> None:
    client = door.client()
    states, waited = [], 0.0
    for _ in range(12):
        answer = log_in(client, passphrase="wrong")
        states.append(answer.status_code)
        if answer.status_code == 429:
            step = float(answer.headers["retry-after"])
            door.clock.now_s += step
            waited += step
    assert states[:4] == [401, 401, 401, 429]
    assert waited >= 1 + 2 + 4 + 8
    door.clock.now_s += 3601
    assert log_in(client).status_code == 303


def test_an_account_under_attack_can_be_used_from_where_it_was_used(door: Door) -> None:
    desk = door.client("192.0.2.7")
    assert log_in(desk).status_code == 303
    for number in range(30):
        door.clock.now_s += 30
        log_in(door.client(f"198.51.100.{number}"), passphrase="wrong")
    assert log_in(door.client("198.51.100.99"), passphrase=PASSPHRASE).status_code == 429
    assert log_in(desk).status_code == 303


def test_many_addresses_share_one_limit(door: Door) -> None:
    """Each attempt costs the device a scrypt: so many a second, whoever asks."""
    desk = door.client()
    assert log_in(desk).status_code == 303
    tried = [
        log_in(door.client(f"2001:db8:{n:x}::1"), user=f"u{n}", passphrase="wrong").status_code
        for n in range(60)
    ]
    assert tried.count(401) == 19
    assert set(tried) == {401, 429}
    assert log_in(desk).status_code == 303


def test_memory_of_failures_is_bounded(door: Door) -> None:
    limits = door.access.login._limits
    for number in range(5000):
        limits.failed(f"2001:db8:{number:x}::1", f"user{number}")
        limits.succeeded(f"2001:db8:{number:x}::2", f"user{number}")
        limits.failed(f"2001:db9:{number:x}::1", f"user{number}")
    assert len(limits._failures) <= 2000
    assert len(limits._known) <= 2000


def test_a_name_that_there_is_not_costs_as_much(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    plain = users_module._scrypt
    monkeypatch.setattr(users_module, "_scrypt", lambda *given: costs.append(given[2:]) or plain(*given))
    Users.load(door.options.users or Path())
    assert not costs  # the accounts are read every 5 seconds
    pages = [
        log_in(door.client(f"192.0.2.{n}"), user=user, passphrase="wrong")
        for n, user in enumerate(("desk-3", "nobody"))
    ]
    assert costs == 2 * costs[:1]
    texts = [re.sub(r'value="[^"]+"', "", page.text) for page in pages]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "origin", [None, "https://evil.example", "null", "http://127.0.0.1:8701", "http://localhost:8700"]
)
def test_a_form_from_elsewhere_is_refused(door: Door, origin: str | None) -> None:
    client = door.client()
    data = {**form_of(client), "user": "desk-3", "passphrase": PASSPHRASE}
    headers = {} if origin is None else {"origin": origin}
    assert client.post("/login", data=data, headers=headers).status_code == 403


def test_a_form_of_another_browser_or_of_yesterday_is_refused(door: Door) -> None:
    ours, theirs = door.client(), door.client("192.0.2.9")
    stolen = form_of(theirs)
    form_of(ours)
    data = {"user": "desk-3", "passphrase": PASSPHRASE}
    assert ours.post("/login", data={**stolen, **data}, headers=ORIGIN).status_code == 403
    mine = form_of(ours)
    door.clock.now_s += 3700
    assert ours.post("/login", data={**mine, **data}, headers=ORIGIN).status_code == 403
    assert ours.post("/login", data=data, headers=ORIGIN).status_code == 403


def test_a_login_makes_a_new_session_and_ends_the_one_before(door: Door) -> None:
    """Session fixation: a cookie that an attacker has planted is worth nothing after the login."""
    client = door.client()
    client.cookies.set("ringpost_8700", "planted-by-somebody-else")
    assert log_in(client).status_code == 303
    jar = [one.value for one in client.cookies.jar if one.name == "ringpost_8700"]
    assert "planted-by-somebody-else" not in jar[-1:]
    client.cookies.clear()
    client.cookies.set("ringpost_8700", jar[-1])
    first = client.cookies["ringpost_8700"]
    log_in(client)
    other = door.client()
    other.cookies.set("ringpost_8700", first)
    assert other.get("/").status_code == 303
    assert len(door.sessions) == 1


def test_sessions_end_when_idle_and_when_old(door: Door) -> None:
    client = door.client()
    log_in(client)
    door.clock.now_s += 599
    assert client.get("/").status_code == 200
    door.clock.now_s += 601
    assert client.get("/").status_code == 303
    log_in(client)
    for _ in range(12):
        door.clock.now_s += 310
        state = client.get("/").status_code
    assert state == 303
    assert {"idle", "too_old"} <= {entry.get("reason") for entry in door.entries()}


def test_a_page_can_ask_whether_its_session_goes_on(door: Door) -> None:
    client = door.client()
    quiet = {"sec-fetch-dest": "empty", "sec-fetch-site": "same-origin"}
    assert client.get("/session", headers=quiet).status_code == 303
    log_in(client)
    door.clock.now_s += 599
    assert client.get("/session", headers=quiet).status_code == 204
    door.clock.now_s += 2
    assert client.get("/session", headers=quiet).status_code == 303


def test_pictures_that_a_page_fetches_do_not_keep_a_session_alive(door: Door) -> None:
    client = door.client()
    log_in(client)
    for _ in range(3):
        door.clock.now_s += 290
        state = client.get(
            "/", headers={"sec-fetch-dest": "image", "sec-fetch-site": "same-origin"}
        ).status_code
    assert state == 303


def test_logging_out_takes_a_post_with_the_token_of_the_page(door: Door) -> None:
    client = door.client()
    log_in(client)
    (session,) = door.sessions._by_hash.values()
    assert client.get("/logout").status_code == 405
    assert client.post("/logout", headers=ORIGIN).status_code == 403
    assert client.post("/logout", data={"form": "x"}, headers=ORIGIN).status_code == 403
    assert client.post("/logout", data={"form": session.form_token}, headers=ORIGIN).status_code == 303
    assert session.ended.is_set()
    assert client.get("/").status_code == 303


def test_settings_are_taken_from_the_page_only_and_lead_nowhere_else(door: Door) -> None:
    client = door.client()
    log_in(client)
    (session,) = door.sessions._by_hash.values()
    given = {
        "form": session.form_token,
        "language": "zh",
        "theme": "dark",
        "units": "nautical",
        "back": "/alerts",
    }
    answer = client.post("/settings", data=given, headers=ORIGIN)
    assert answer.headers["location"] == "/alerts"
    assert (session.language, session.dark, session.units) == ("zh", True, "nautical")
    for bad in ("//evil.example", "https://evil.example", "/\\evil", "/nowhere", "javascript:1"):
        answer = client.post("/settings", data={**given, "back": bad, "units": "cubits"}, headers=ORIGIN)
        assert answer.headers["location"] == "/"
    assert session.units == "nautical"
    assert client.post("/settings", data={"language": "en"}, headers=ORIGIN).status_code == 403


def test_the_address_with_its_token_opens_one_session(tmp_path: Path) -> None:
    door = Door(tmp_path, token="first-token")
    assert door.client().get("/login?token=wrong").status_code == 401
    client = door.client()
    assert client.get("/login?token=first-token", headers={"sec-purpose": "prefetch"}).status_code == 503
    opened = client.get("/login?token=first-token")
    assert (opened.status_code, "url=/" in opened.text) == (200, True)
    assert client.get("/").status_code == 200
    assert door.client().get("/login?token=first-token").status_code == 401
    assert len(door.tokens) == 1
    assert door.client().get(f"/login?token={door.tokens[0]}").status_code == 200
    outcomes = [entry.get("outcome") for entry in door.entries()]
    assert outcomes.count("ok") == 2
    assert "wrong_token" in outcomes


def test_with_tls_cookies_are_bound_to_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.web.options.certificate_names", lambda _: ("bridge-07.example",))
    door = Door(tmp_path, token="t", certificate=tmp_path / "c", key=tmp_path / "k")
    answer = door.client().get("/login?token=t")
    cookie = answer.headers.get_list("set-cookie")[0]
    assert cookie.startswith("__Host-ringpost_8700=")
    assert {"Secure", "Path=/", "HttpOnly"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"}, {"host": "127.0.0.1.evil.example:8700"}, {"host": ""}, {"host": "evil@127.0.0.1"},
        {"host": "[::1"}, {"host": "0.0.0.0:8700"},
    ],
)  # fmt: skip
def test_another_name_is_refused(door: Door, headers: dict[str, str]) -> None:
    """DNS rebinding: a page of another site reaches us under its own name only."""
    assert door.client().get("/login", headers=headers).status_code == 421


def test_no_other_site_reads_or_frames_a_page(door: Door) -> None:
    client = door.client()
    log_in(client)
    assert (
        client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code
        == 403
    )
    assert (
        client.get("/", headers={"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}).status_code == 403
    )
    answer = client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_login_page_has_no_script_and_allows_none(door: Door) -> None:
    answer = door.client().get("/login", headers={"accept-language": "zh-CN"})
    assert "<script" not in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert 'lang="zh-CN"' in answer.text
    assert "登录" in answer.text


def test_hostile_words_stay_text_in_the_login(tmp_path: Path) -> None:
    site = Site('<img src=x onerror="alert(1)">', [Page("/", "Now", "x", print)])
    access = Access(site, ServeOptions(token="t"))
    client = TestClient(access.gate(), base_url=BASE)
    assert "<img" not in client.get("/login?language=<script>").text


@pytest.mark.parametrize(
    "path",
    ["/static/../users.json", "/static/%2e%2e/%2e%2e/users.json", "/static/..%2f..%2fusers.json", "/..", "/a\\..\\b",
     "/static/%00", "//evil.example/", "/_nicegui/client/x/upload/1", "/login/../", "/LOGIN", "/login%20"],
)  # fmt: skip
def test_no_path_leads_out_or_around(door: Door, path: str) -> None:
    answer = door.client().get(path)
    assert answer.status_code in (303, 400, 401, 404)
    assert answer.headers.get("location") in (None, "/login")
    assert "scrypt" not in answer.text


@pytest.mark.parametrize(
    "cookie",
    ["ringpost_8700=", "ringpost_8700=x; ringpost_8700={}", "{}; ringpost_8700=", "RINGPOST_8700={}",
     'ringpost_8700="{}"', "ringpost_8700={}x", "$Version=1; ringpost_8700 ={}; ringpost_8700={}", "=;;=;\x01=2"],
)  # fmt: skip
def test_cookie_games_open_nothing(door: Door, cookie: str) -> None:
    log_in(door.client())
    (session,) = door.sessions._by_hash.values()
    answer = door.client().get("/", headers={"cookie": cookie.replace("{}", session.token)})
    assert answer.status_code == 303


def test_what_a_proxy_would_say_is_not_believed(door: Door) -> None:
    for number in range(5):
        client = door.client()
        data = {**form_of(client), "user": f"u{number}", "passphrase": "wrong"}
        headers = {**ORIGIN, "x-forwarded-for": f"203.0.113.{number}", "x-forwarded-prefix": "/x"}
        answer = client.post("/login", data=data, headers=headers)
    assert answer.status_code == 429


def test_bodies_and_counts_are_limited(door: Door) -> None:
    client = door.client()
    log_in(client)
    assert client.post("/echo", content=b"x" * 1000, headers=ORIGIN).text == "1000"
    assert client.post("/echo", content=b"x" * (MAX_BODY + 1), headers=ORIGIN).status_code == 413
    assert client.get("/?" + "x" * 5000).status_code == 414
    assert client.get("/login", headers={"cookie": "x" * 5000}).status_code == 414
    assert client.request("DELETE", "/").status_code == 405
    assert client.request("TRACE", "/login").status_code == 405
    big = client.post(
        "/login",
        content=b"form=" + b"x" * 5000,
        headers={**ORIGIN, "content-type": "application/x-www-form-urlencoded"},
    )
    assert big.status_code == 403


def test_a_body_without_end_is_cut_off(door: Door) -> None:
    """Chunks without a length: the count of what came decides."""

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    client = door.client()
    log_in(client)
    with pytest.raises(Exception, match=r".*"):  # the application sees a browser that is gone
        client.post("/echo", content=chunks(), headers=ORIGIN).raise_for_status()


def test_one_address_has_so_many_requests_at_once(door: Door) -> None:
    door.gate._under_way["192.0.2.1"] = 48
    assert door.client().get("/login").status_code == 503
    assert door.client("192.0.2.2").get("/login").status_code == 200


def test_strangers_leave_room_for_sessions(door: Door) -> None:
    known = door.client("192.0.2.9")
    log_in(known)
    door.gate._strangers["192.0.2.1"] = 16
    assert door.client().get("/login").status_code == 503
    assert door.client("192.0.2.2").get("/login").status_code == 200
    door.gate._strangers["192.0.2.3"] = 48
    assert door.client("192.0.2.2").get("/login").status_code == 503
    assert known.get("/").status_code == 200


def test_addresses_of_one_ipv6_network_share_their_limits(door: Door) -> None:
    door.gate._under_way["2001:db8:1:2::"] = 48
    assert door.client("2001:db8:1:2::77").get("/login").status_code == 503
    assert door.client("2001:db8:1:3::77").get("/login").status_code == 200


def test_a_body_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole body, and not for each of its bytes."""
    monkeypatch.setattr("console.web.access.BODY_WITHIN_S", 0.1)

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def count() -> int:
        receive = _bounded(drip)
        for number in range(100):
            if (await receive())["type"] == "http.disconnect":
                return number
        return 100

    assert asyncio.run(count()) < 100


def test_connections_are_counted_from_the_accept_on() -> None:
    """Also those whose TLS handshake never begins: asyncio holds 256 KiB for each."""
    with BoundedListener.of(socket.create_server(("127.0.0.1", 0), backlog=256)) as listener:

        def accepted(address: str, count: int) -> list[socket.socket]:
            found = []
            for _ in range(count):
                one = socket.create_connection(listener.getsockname(), 10, source_address=(address, 0))
                clients.append(one)
                with suppress(ConnectionAbortedError):
                    found.append(listener.accept()[0])
            return found

        clients: list[socket.socket] = []
        held = accepted("127.0.0.1", MAX_ACCEPTED_EACH + 5)
        assert len(held) == MAX_ACCEPTED_EACH
        others = [one for last in range(2, 6) for one in accepted(f"127.0.0.{last}", MAX_ACCEPTED_EACH)]
        assert len(held) + len(others) == MAX_ACCEPTED
        held.pop().close()
        assert len(accepted("127.0.0.9", 2)) == 1
        for one in (*held, *others):
            one.close()
            one.close()
        assert listener._open.total() == 1  # that of 127.0.0.9
        for one in clients:
            one.close()


def test_the_web_socket_is_behind_the_gate(door: Door) -> None:
    def refused(client: TestClient, headers: dict[str, str]) -> bool:
        try:
            with client.websocket_connect("ws://127.0.0.1:8700/_nicegui_ws/socket.io", headers=headers):
                return False
        except Exception:
            return True

    client = door.client()
    assert refused(client, ORIGIN)
    log_in(client)
    assert refused(client, {})
    assert refused(client, {"origin": "https://evil.example"})
    assert not refused(client, ORIGIN)
    assert client.get("/_nicegui_ws/socket.io?transport=polling").status_code == 403


def socket_scope(token: str) -> dict[str, Any]:
    headers = {"host": "127.0.0.1:8700", "origin": BASE, "cookie": f"ringpost_8700={token}"}
    return {
        "type": "websocket", "path": "/_nicegui_ws/socket.io", "query_string": b"", "client": ("192.0.2.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "scheme": "ws",
        "root_path": "", "subprotocols": [],
    }  # fmt: skip


def test_an_open_web_socket_ends_with_its_session(door: Door) -> None:
    async def scenario() -> list[dict[str, Any]]:
        session = door.sessions.begin("operator")
        sent: list[dict[str, Any]] = []
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})

        async def send(message: Any) -> None:
            sent.append(dict(message))

        task = asyncio.create_task(door.gate(socket_scope(session.token), incoming.get, send))
        incoming.put_nowait({"type": "websocket.receive", "text": "hello"})
        while len(sent) < 2:
            await asyncio.sleep(0)
        door.clock.now_s += 3700
        door.sessions.end_old()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
        incoming.put_nowait({"type": "websocket.receive", "text": "late"})
        return sent

    sent = asyncio.run(scenario())
    assert [one["type"] for one in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[-1]["code"] == 1008


def test_a_removed_account_is_out_at_once(door: Door) -> None:
    client = door.client()
    log_in(client, "wall")
    assert client.get("/").text == "viewer"
    path = door.options.users or Path()
    accounts = Users.load(path)
    del accounts.accounts["wall"]
    accounts.save(path)
    asyncio.run(door.access.login.end_removed())
    assert client.get("/").status_code == 303
    assert log_in(client, "wall").status_code == 401


def test_a_file_of_accounts_that_is_damaged_lets_nobody_in(door: Door) -> None:
    (door.options.users or Path()).write_text("{")
    assert log_in(door.client()).status_code == 503


def test_no_more_than_so_many_sessions(door: Door) -> None:
    first = door.sessions.begin("operator")
    for _ in range(100):
        door.clock.now_s += 1
        door.sessions.begin("operator")
    assert len(door.sessions) == 64
    assert first.ended.is_set()


def test_tokens_are_not_in_what_is_written(door: Door) -> None:
    client = door.client()
    log_in(client)
    (session,) = door.sessions._by_hash.values()
    assert session.token not in repr(session)
    assert session.form_token not in repr(session)
    session.note("key", who=("0123456789abcdef",))
    text = str(door.entries())
    assert session.id in text
    assert session.token not in text
    assert PASSPHRASE not in text


def test_the_access_log_is_an_audit_log(door: Door) -> None:
    log_in(door.client())
    log_in(door.client("192.0.2.3"), passphrase="wrong")
    assert [entry["outcome"] for entry in door.entries()] == ["ok", "refused"]
    files = ChainFiles(door.options.access_log or Path())
    files.open()
    files.close()


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({"host": "0.0.0.0"}, "takes TLS and a login"),
        ({"host": "192.0.2.1", "certificate": Path("c"), "key": Path("k")}, "takes TLS and a login"),
        ({"host": "192.0.2.1", "users": Path("u")}, "takes TLS and a login"),
        ({"certificate": Path("c")}, "go together"),
    ],
)  # fmt: skip
def test_nothing_is_open_to_others_without_tls_and_accounts(options: dict[str, Any], right: str) -> None:
    with pytest.raises(ValueError, match=right):
        ServeOptions(**options).check()


def test_the_loopback_needs_neither() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        ServeOptions(host).check()


def ask(gate: Callable[..., Any], scope: dict[str, Any], body: bytes) -> int:
    """The status of the answer to a raw request; whatever comes, there is one."""
    states: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            states.append(message["status"])

    asyncio.run(gate(scope, receive, send))
    return states[0]


HEADER = st.tuples(
    st.sampled_from(
        [
            b"host",
            b"origin",
            b"cookie",
            b"content-length",
            b"content-type",
            b"sec-fetch-site",
            b"x-forwarded-for",
            b"accept-language",
        ]
    ),
    st.one_of(
        st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"")),
        st.sampled_from(
            [
                b"127.0.0.1:8700",
                b"http://127.0.0.1:8700",
                b"application/x-www-form-urlencoded",
                b"ringpost_8700=x",
            ]
        ),
    ),
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("fuzzed")
    accounts = Users()
    accounts.save(folder / "users.json")
    return SimpleNamespace(door=Door(folder, users=folder / "users.json", access_log=None))


@settings(max_examples=100)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "get", ""]),
    path=st.one_of(st.text(max_size=30).map("/".__add__), st.sampled_from(["/login", "/", "/logout", "/settings", "/_nicegui_ws/socket.io"])),
    query=st.binary(max_size=30), headers=st.lists(HEADER, max_size=8), body=st.binary(max_size=200),
)  # fmt: skip
def test_hostile_requests_get_an_answer_and_no_session(
    fuzzed: SimpleNamespace,
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(errors="replace"),
        "query_string": query, "headers": headers, "client": ("192.0.2.1", 1), "server": ("127.0.0.1", 8700),
        "scheme": "http", "root_path": "",
    }  # fmt: skip
    assert ask(fuzzed.door.gate, scope, body) < 600
    assert len(fuzzed.door.sessions) == 0
    assert fuzzed.door.gate._under_way.total() == 0
