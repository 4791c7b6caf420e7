"""Attacks the console's server, and says what held: ``python -m bench.login_attack [REQUESTS]``.

Malformed requests (10,000), connections that send slowly (300), passphrases that are guessed (200), while a
session looks at its page. Prints answers, the time of the session's own requests, CPU and memory.
"""

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.cookiejar import CookieJar
from pathlib import Path

import psutil

PASSPHRASE = "four words in a row"  # noqa: S105
UPGRADE = b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
ROOT = Path(__file__).resolve().parents[1]


def raw(port: int, data: bytes) -> str:
    """The status line of the answer to raw bytes."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as one:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            return one.recv(64).split(b"\r\n")[0].decode(errors="replace")[9:12] or "closed"
    except OSError as error:
        return type(error).__name__


def malformed(dice: random.Random, port: int) -> bytes:
    """One request that is wrong somewhere."""
    host = f"127.0.0.1:{port}".encode()
    noise = dice.randbytes(dice.choice([1, 20, 400]))
    return dice.choice([
        noise,
        b"GET /" + noise.hex().encode() + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET /static/%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"GET /login HTTP/1.1\r\nHost: " + host + b"\r\nCookie: " + noise.hex().encode() * 8 + b"\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 99999999999\r\n\r\nx",
        b"POST /login HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: " + host + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + noise,
        b"POST /login HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
        b"GET /_nicegui_ws/socket.io HTTP/1.1\r\nHost: " + host + UPGRADE,
        b"DELETE / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
    ])  # fmt: skip


class Browser:
    """A session that goes on looking."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=20) as answer:
            return str(answer.read().decode())

    def log_in(self, passphrase: str) -> int:
        form = re.findall(r'name="form" value="([^"]+)"', self.get("/login"))[0]
        body = f"form={form}&user=desk-3&passphrase={passphrase.replace(' ', '+')}".encode()
        request = urllib.request.Request(f"{self.base}/login", body, {"Origin": self.base})  # noqa: S310
        try:
            with self.opener.open(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        folder = Path(name)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        users = str(folder / "users.json")
        agent = [sys.executable, "-m", "agent", "console"]
        subprocess.run([*agent, "user", "add", "desk-3", "--role", "viewer", "--users", users],
                       input=f"{PASSPHRASE}\n", text=True, check=True, cwd=ROOT)  # fmt: skip
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [*agent, "--data", name, "--port", str(port), "--users", users, "--no-open"],
            stdout=log, stderr=log, cwd=ROOT,
        )  # fmt: skip
        try:
            attack(server, port, count)
            print("said in the terminal:", (folder / "log").read_text().strip().splitlines()[-3:])
            entries = sum(len(path.read_text().splitlines()) for path in (folder / "console").glob("*.jsonl"))
            print(f"entries in the log of logins: {entries}")
        finally:
            server.terminate()
            print(f"ended with {server.wait(20)}")


def attack(server: "subprocess.Popen[bytes]", port: int, count: int) -> None:
    process = psutil.Process(server.pid)
    while raw(port, b"GET /login HTTP/1.0\r\n\r\n") == "ConnectionRefusedError":
        time.sleep(0.2)
    browser, took = Browser(port), list[float]()
    assert browser.log_in(PASSPHRASE) == 200
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            began = time.monotonic()
            try:
                browser.get("/static/console.css")
                took.append(time.monotonic() - began)
            except OSError:
                took.append(float("inf"))

    looking = threading.Thread(target=look)
    looking.start()
    before = process.memory_info().rss, sum(process.cpu_times()[:2]), time.monotonic()
    dice = random.Random(7)
    answers = Counter(raw(port, malformed(dice, port)) for _ in range(count))
    slow = []
    for number in range(300):  # of six addresses: one alone has 64 connections
        source = (f"127.0.0.{2 + number // 50}", 0)
        try:
            slow.append(socket.create_connection(("127.0.0.1", port), 5, source_address=source))
            slow[-1].sendall(b"GET / HTTP/1.1\r\nX:")
        except OSError:
            break
    time.sleep(13)
    held = sum(one for one in map(is_open, slow))
    guesses = Counter(Browser(port).log_in(f"guess {n}") for n in range(200))
    stop.set()
    looking.join()
    rss, cpu_s, at = process.memory_info().rss, sum(process.cpu_times()[:2]), time.monotonic()
    took.sort()
    print(json.dumps({
        "malformed": dict(answers), "slow_connections_left": held,
        "guesses": {str(k): v for k, v in guesses.items()},
        "own_requests": len(took), "own_p50_ms": round(1000 * took[len(took) // 2], 1),
        "own_p99_ms": round(1000 * took[int(0.99 * len(took))], 1), "own_max_ms": round(1000 * took[-1], 1),
        "rss_mb": [round(before[0] / 1e6, 1), round(rss / 1e6, 1)], "cpu_s": round(cpu_s - before[1], 1),
        "seconds": round(at - before[2], 1), "open_files": process.num_fds(), "cores": os.cpu_count(),
    }, indent=1))  # fmt: skip


def is_open(one: socket.socket) -> bool:
    one.settimeout(0.05)
    try:
        return one.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
