"""Knocking: each way in which a stream can fail has its own line, and no line holds a secret."""

import asyncio
import hashlib
import re
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.vision.camera_url import Trust, redacted_url
from agent.vision.http_auth import Login, authorization
from agent.vision.stream_probe import probe_stream

SDP = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\n"
    "m=audio 0 RTP/AVP 8\r\na=control:track0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)
OK = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 12;timeout=60\r\n"
RTP, RTCP = b"$\x00\x00\x04rtp!", b"$\x01\x00\x04rtcp"

Answer = Callable[[str, str], bytes | None]


def rtsp(
    sdp: str = SDP, media: bytes = RTCP + RTP, describe: str | None = None, setup: str = OK + "\r\n"
) -> Answer:
    """A camera that describes itself with ``sdp`` and then sends ``media``."""

    def answer(method: str, head: str) -> bytes | None:
        body = f"{OK}Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        texts = {"DESCRIBE": describe or body, "SETUP": setup, "PLAY": OK + "\r\n"}
        return texts.get(method, OK + "\r\n").encode() + (media if method == "PLAY" else b"")

    return answer


def http(text: str) -> Answer:
    return lambda method, head: text.encode()


async def try_it(
    answer: Answer, scheme: str = "rtsp", login: str = "", within_s: float = 0.5, *, basic: bool = False
) -> list[str]:
    """Knocks at a camera that answers each request so; gives the requests that it heard."""
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                heard.append(head)
                said = answer(head.split()[0], head)
                if said is None:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await probe_stream(f"{scheme}://{login}127.0.0.1:{port}/s?token=hush", within_s, Trust(basic=basic))
        await asyncio.sleep(0)
    return heard


def test_a_camera_that_sends_is_believed_and_left_in_peace() -> None:
    heard = asyncio.run(try_it(rtsp()))
    assert [head.split()[0] for head in heard[:3]] == ["DESCRIBE", "SETUP", "PLAY"]
    assert re.search(r"^SETUP rtsp://127\.0\.0\.1:\d+/s/track1 RTSP/1\.0\r$|/track1 ", heard[1], re.MULTILINE)
    assert "Session: 12\r\n" in heard[2]


def test_a_picture_over_http_is_enough() -> None:
    asyncio.run(try_it(http("HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n--f"), "http"))


UNAUTHORISED = 'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'

FAILS = {
    "no login": (rtsp(describe=UNAUTHORISED), "rtsp", "user name and password required \\(401\\)"),
    "no such path": (rtsp(describe="RTSP/1.0 404 Not Found\r\n\r\n"), "rtsp", "no such stream \\(404\\)"),
    "forbidden": (rtsp(describe="RTSP/1.0 403 Forbidden\r\n\r\n"), "rtsp", "denies access"),
    "full": (rtsp(setup="RTSP/1.0 453 Not Enough Bandwidth\r\n\r\n"), "rtsp", "no room for another viewer"),
    "udp only": (rtsp(setup="RTSP/1.0 461 Unsupported Transport\r\n\r\n"), "rtsp", "not send over TCP"),
    "audio only": (rtsp(sdp=SDP.partition("m=video")[0]), "rtsp", "no video in this stream"),
    "other codec": (rtsp(sdp=SDP.replace("H264", "X-VND")), "rtsp", "sends X-VND, which can't be decoded"),
    "static codec": (
        rtsp(sdp=SDP.replace("AVP 96\r\na=rtpmap:96 H264/90000", "AVP 31")),
        "rtsp",
        "payload 31",
    ),
    "no frames": (rtsp(media=RTCP), "rtsp", "it answers, but no picture came in 0.5 s"),
    "mute": (lambda method, head: b"", "rtsp", "it accepts, but no answer came in 0.5 s"),
    "hangs up": (lambda method, head: None, "rtsp", "disconnected before it sent anything"),
    "not RTSP": (http("HTTP/1.0 200 OK\r\n\r\n"), "rtsp", "answers, but not in RTSP"),
    "noise": (lambda method, head: b"\xff" * 90_000, "rtsp", "answers, but not in RTSP"),
    "a huge body": (rtsp(describe=OK + "Content-Length: 99999999\r\n\r\n"), "rtsp", "a body of 99999999"),
    "a strange body": (rtsp(describe=OK + "Content-Length: -5\r\n\r\n"), "rtsp", "a body of -5"),
    "http login": (
        http("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n"),
        "http",
        "user name and password required",
    ),
    "a web page": (http("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"), "http", "a web page"),
    "http, no frames": (http("HTTP/1.1 200 OK\r\n\r\n"), "http", "it answers, but no picture came"),
    "http 500": (http("HTTP/1.1 500 Oops\r\n\r\n"), "http", "it answers 500"),
}


@pytest.mark.parametrize(("answer", "scheme", "message"), FAILS.values(), ids=FAILS.keys())
def test_each_failure_has_its_line(answer: Answer, scheme: str, message: str) -> None:
    with pytest.raises(OSError, match=message) as caught:
        asyncio.run(try_it(answer, scheme))
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize("kind", ['Basic realm="r"', 'Digest realm="r", nonce="n", qop="auth"'])
@pytest.mark.parametrize("word", ["right", "wrong"])
def test_a_login_is_given_and_never_told(scheme: str, kind: str, word: str) -> None:
    version = "RTSP/1.0" if scheme == "rtsp" else "HTTP/1.1"
    good = rtsp() if scheme == "rtsp" else http("HTTP/1.1 200 OK\r\n\r\n--f")

    def answer(method: str, head: str) -> bytes | None:
        given = re.search(r"^Authorization: (.*)\r$", head, re.MULTILINE)
        if given:
            uri = head.split()[1]
            count, cnonce = (re.search(rf"{name}=\"?(\w+)", given[1]) for name in ("nc", "cnonce"))
            expected = authorization(
                kind,
                method,
                uri,
                "u",
                "right",
                int(count[1], 16) if count else 1,
                cnonce[1] if cnonce else "",
            )
            if given[1] == expected:
                return good(method, head)
        return f"{version} 401 Unauthorized\r\nWWW-Authenticate: {kind}\r\n\r\n".encode()

    trial = try_it(answer, scheme, f"u:{word}@", basic=kind.startswith("Basic"))
    if word == "right":
        asyncio.run(trial)
        return
    with pytest.raises(OSError, match=r"user 'u' or its password is refused \(401\)") as caught:
        asyncio.run(trial)
    assert "wrong" not in str(caught.value)


def test_digest_is_that_of_the_rfc() -> None:
    """RFC 2617 3.5 (MD5 with qop), and RFC 7616 3.9.1 (SHA-256)."""
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    )
    said = authorization(challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", 1, "0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in said
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    )
    said = authorization(
        challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", 1,
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )  # fmt: skip
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in said


@pytest.mark.parametrize("challenge", ["", "NTLM", "Digest algorithm=MD5-sess", "Digest algorithm=x"])
def test_an_odd_challenge_is_one_line(challenge: str) -> None:
    with pytest.raises(ValueError, match="supported"):
        authorization(challenge, "GET", "/", "u", "p")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\x00", "\x1b", "\x7f"])
@pytest.mark.parametrize("field", ["realm", "nonce", "opaque"])
def test_no_header_of_a_camera_gets_into_our_own(field: str, end: str) -> None:
    challenge = f'Digest {field}="a{end}X-Injected: 1", nonce="n", realm="r"'
    with pytest.raises(ValueError, match="control characters"):
        authorization(challenge, "GET", "/", "u", "p")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_one_line_and_ends(noise: bytes) -> None:
    for scheme in ("rtsp", "http"):
        with pytest.raises(OSError, match=r"^[^\n]*\Z"):
            asyncio.run(try_it(lambda method, head: noise + b"\r\n\r\n", scheme, within_s=0.05))


def test_a_datagram_is_enough_and_its_absence_is_told() -> None:
    async def scene(send: bool) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        waiting: Awaitable[None] = asyncio.ensure_future(probe_stream(f"udp://127.0.0.1:{port}", 0.5))
        await asyncio.sleep(0)
        if send:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"ts", ("127.0.0.1", port))
        await waiting

    asyncio.run(scene(True))
    with pytest.raises(TimeoutError, match=r"no data came in 0\.5 s"):
        asyncio.run(scene(False))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtsp://no-such-host.invalid/s", "host name no-such-host.invalid not found"),
        ("rtsp://127.0.0.1:9/s", "refused: nothing listens on port 9"),
        ("rtsp://127.0.0.1:99999/s", "ort out of range"),
    ],
)
def test_where_nobody_is(url: str, message: str) -> None:
    with pytest.raises(OSError, match=message):
        asyncio.run(probe_stream(url, 3))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rtsp://u:p@h/x", "rtsp://h/x"),
        ("rtsp://h/x?user=u&password=p", "rtsp://h/x?…"),
        ("clip.mp4", "clip.mp4"),
        ("rtsp://u:a/b@h/x", "rtsp://h/x"),
    ],
)
def test_what_is_secret_in_a_url_is_not_told(url: str, told: str) -> None:
    assert redacted_url(url) == told


def test_each_request_of_a_login_is_counted_in_what_it_answers() -> None:
    """RFC 7616 3.4: a server refuses a response that was made for another count."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    login = Login("u", "right", encrypted=False, basic=False)
    assert login.accept_challenge(['Digest realm="r", nonce="n", qop="auth"'])
    for count, method in enumerate(["DESCRIBE", "SETUP", "PLAY"], start=1):
        header = login.header(method, "rtsp://h/s")["Authorization"]
        said = dict(re.findall(r'(\w+)="?([^",]+)', header))
        assert said["nc"] == f"{count:08x}"
        expected = md5(
            f"{md5('u:r:right')}:n:{said['nc']}:{said['cnonce']}:auth:{md5(f'{method}:rtsp://h/s')}"
        )
        assert said["response"] == expected
