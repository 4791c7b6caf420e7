"""Thousands of generated invalid pushes at a real agent: is one accepted, unanswered, or felt?

Each push is wrong in one way that is drawn: broken, of wrong types, with dangling references, huge, deep,
with hostile strings, with a wrong, unknown or missing signature, of a wrong role, outside the paths of its
role, with too few signatures, replayed, on a stale base. The next one goes once the answer to the last is
here. An accepted push, one without an answer, an answer without path and reason, and a press that raises no
alert fail the run. ``python -m bench.hostile_pushes [COUNT] [SEED]``
"""

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from agent.config.loader import digest
from agent.domain.message import ROOT, encode
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.supervisor import supervise
from agent.trust.order import sign_order
from agent.trust.roles import KeyEntry, Role, Roles, Root, default_role, sign_roles
from agent.trust.signing_key import SigningKey
from centre.server import Centre
from simulators.broker import LocalBroker, mosquitto_path
from simulators.devices import Board
from simulators.wire import Wire

DEVICE = "hostile-1"
ANSWER_WITHIN_S = 30.0
PRESS_EVERY = 500
CONFIG = """\
schema_version: 1
device: hostile-1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: bench, post: gate}}
roles: roles.json
guarded_rules: [panic]
broker: {{url: "{broker}"}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board"}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
  smoke: {{kind: switch, source: board, name: smoke, severity: warning}}
"""
HOSTILE = (
    "\x00", "\x1b[2J", "\u202e", "../../etc/passwd", "file:///etc/shadow", "concat:a|b", "/dev/ptmx",
    "!!python/object",
    "&a [*a]", "%n%n", "'; DROP", "\ud7ff", "9" * 400, "-0", "1e999", ".nan", "{{}}", "\\u0000", "A" * 5000,
)  # fmt: skip

Body = Mapping[str, Any]
Make = Callable[["Attacker"], bytes]


class Attacker:
    """Makes invalid pushes. Who holds the keys is right; each order is wrong in one way."""

    def __init__(self, text: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.text = text
        names = ("root", "configurer", "colleague", "operator", "narrow", "stranger")
        self.keys = {name: SigningKey.generate() for name in names}
        listed = [key for name, key in self.keys.items() if name != "stranger"]
        holders = [self.keys["configurer"].key_id, self.keys["colleague"].key_id]
        self.roles = Roles(
            version=1,
            root=Root(threshold=1, keys=(self.keys["root"].key_id,)),
            keys={key.key_id: KeyEntry(public=key.public.hex()) for key in listed},
            roles={
                "configurer": default_role("configurer", holders),
                "operator": default_role("operator", [self.keys["operator"].key_id]),
                "rescuer": Role(keys=(self.keys["narrow"].key_id,), paths=("rules.smoke",)),
            },
        )
        self.counter = time.time_ns() // 1_000_000
        self.revision = 1
        self.last: bytes | None = None

    def signed(self, body: Body, *names: str, counter: int | None = None) -> bytes:
        self.counter += 1
        keys = [self.keys[name] for name in names or ("configurer",)]
        counters = {key.key_id: counter or self.counter for key in keys}
        return sign_order("push", DEVICE, body, keys, counters=counters)

    def body(self, text: str, **fields: Any) -> Body:
        self.revision += 1
        return {"revision": self.revision, "sha256": digest(text), "body": text, **fields}

    def valid(self) -> str:
        return self.text.replace("severity: warning", "severity: info") + f"# {self.random.random()}\n"

    def edited(self, old: str, new: str) -> str:
        return self.text.replace(old, new) + f"# {self.random.random()}\n"

    def cut(self) -> str:
        return self.text[: self.random.randrange(1, len(self.text) // 2)]

    def flipped(self) -> bytes:
        """In the payload or in the signature; base64 has bits without a meaning."""
        envelope = json.loads(self.signed(self.body(self.valid())))
        owner, name = self.random.choice(((envelope, "payload"), (envelope["signatures"][0], "sig")))
        data = bytearray(base64.b64decode(owner[name]))
        data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        owner[name] = base64.b64encode(data).decode()
        return encode(envelope)

    def hostile_text(self) -> str:
        word = self.random.choice(HOSTILE)
        line = self.random.choice(
            ("  {}: {{kind: switch}}", "rules: {}", "device: {}", "broker: {{url: {}}}")
        )
        return self.text + line.format(word) + "\n"

    def deep(self) -> str:
        return "a: " + self.random.choice("[{") * self.random.randrange(200, 100_000)

    def replayed(self) -> bytes:
        return self.signed(self.body(self.valid()), counter=self.random.randrange(1, 1000))

    def forged(self) -> bytes:
        envelope = json.loads(self.signed(self.body(self.valid()), "stranger"))
        envelope["signatures"][0]["keyid"] = self.keys["configurer"].key_id
        return encode(envelope)

    def payload_swapped(self) -> bytes:
        envelope = json.loads(self.signed(self.body(self.valid())))
        other = {"device": DEVICE, "counters": {self.keys["configurer"].key_id: self.counter + 1}}
        envelope["payload"] = base64.b64encode(encode({**other, "body": self.body(self.valid())})).decode()
        return encode(envelope)

    def wrong_types(self) -> bytes:
        body = dict(self.body(self.valid()))
        name = self.random.choice(("revision", "sha256", "body", "base_revision", "confirm_within_s"))
        body[name] = self.random.choice(([], {}, "x", -1, 1.5, True, "9" * 400))
        if name == "confirm_within_s" and body[name] is True:
            body[name] = "soon"
        if name == "base_revision":
            body[name] = "x"
        if name == "body":
            body[name] = 7
        return self.signed(body)


KINDS: dict[str, Make] = {
    "noise": lambda one: one.random.randbytes(one.random.randrange(1, 4000)),
    "not signed": lambda one: encode(one.body(one.valid())),
    "a bit flipped": lambda one: one.flipped(),
    "unknown key": lambda one: one.signed(one.body(one.valid()), "stranger"),
    "forged": lambda one: one.forged(),
    "payload swapped": lambda one: one.payload_swapped(),
    "wrong role": lambda one: one.signed(one.body(one.valid()), "operator"),
    "outside its paths": lambda one: one.signed(
        one.body(one.edited("severity: critical", "severity: info")), "narrow"
    ),
    "one signature of two": lambda one: one.signed(
        one.body(one.edited("severity: critical", "severity: info"))
    ),
    "replayed counter": lambda one: one.replayed(),
    "stale base": lambda one: one.signed(one.body(one.valid(), base_revision=one.random.randrange(7, 10**6))),
    "old revision": lambda one: one.signed({**one.body(one.valid()), "revision": one.random.choice((1, 2))}),
    "wrong hash": lambda one: one.signed({**one.body(one.valid()), "sha256": "0" * 64}),
    "wrong types": lambda one: one.wrong_types(),
    "cut off": lambda one: one.signed(one.body(one.cut())),
    "unknown key of the configuration": lambda one: one.signed(
        one.body(one.edited("severity: warning", f"severty{one.random.randrange(99)}: info"))
    ),
    "dangling reference": lambda one: one.signed(
        one.body(one.edited("source: board, name: smoke", f"source: b{one.random.random()}, name: smoke"))
    ),
    "another device": lambda one: one.signed(one.body(one.edited("device: hostile-1", "device: other"))),
    "hostile string": lambda one: one.signed(one.body(one.hostile_text())),
    "deep": lambda one: one.signed(one.body(one.deep())),
    "huge": lambda one: one.signed(one.body(one.text + "# " + "x" * one.random.randrange(262_144, 330_000))),
    "forbidden by any signature": lambda one: one.signed(
        one.body(one.edited("kind: sensor_board, port", "kind: sensor_board, baud: 9600, port")
                 .replace("guarded_rules: [panic]", "guarded_rules: []")), "configurer", "colleague"
    ),
}  # fmt: skip


class Bench:
    """The agent, its broker and its centre, and what came of the pushes."""

    def __init__(self, folder: Path, broker: LocalBroker) -> None:
        self.folder, self.broker = folder, broker
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.presses = 0
        self.alerts: set[str] = set()
        self.failures: list[str] = []
        self.seconds: list[float] = []
        self.counts: Counter[str] = Counter()

    def take(self, _: str, topic: str, body: dict[str, Any]) -> None:
        if topic == "config/reported":
            self.answers.put_nowait(body)
        elif topic == "alert" and body["alert"]["phase"] == "new":
            self.alerts.add(body["alert"]["alert_id"])

    async def answer(self) -> dict[str, Any] | None:
        try:
            return await asyncio.wait_for(self.answers.get(), ANSWER_WITHIN_S)
        except TimeoutError:
            return None

    async def press(self, board: Board) -> None:
        """A press raises an alert: the device is in service."""
        before = len(self.alerts)
        board.press("panic_button")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while len(self.alerts) == before:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self.failures.append(f"press {self.presses}: no alert within {ANSWER_WITHIN_S:g} s")
        self.presses += 1
        board.press("panic_button", on=False)
        await asyncio.sleep(1.0)


async def hostile(count: int, seed: int, folder: Path, broker: LocalBroker) -> int:
    """Runs the bench; 1 where something failed."""
    text = CONFIG.format(broker=broker.url, folder=folder)
    attacker, bench = Attacker(text, seed), Bench(folder, broker)
    (folder / "roles.json").write_bytes(sign_roles(attacker.roles, [attacker.keys["root"]]))
    config = folder / "agent.yaml"
    config.write_text(text)
    centre = Centre(folder / "centre.db", Broker(url=broker.url), ROOT, bench.take)
    serving = asyncio.ensure_future(supervise("centre", centre.run, lambda _: None))
    await centre.ready.wait()
    with Wire(folder / "board") as wire:
        board = Board(wire)
        playing = asyncio.ensure_future(board.run())
        command = [sys.executable, "-m", "agent", "run", str(config), "--data", str(folder / "data")]
        with (folder / "agent.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)  # noqa: ASYNC220
        agent = psutil.Process(process.pid)
        try:
            before = await bench.answer()
            if before is None:
                print((folder / "agent.log").read_text()[-2000:])
                return 1
            desk = Connection(Broker(url=broker.url), "attacker", None)
            await desk.open()
            drain = asyncio.ensure_future(_drain(desk))
            good = attacker.signed(attacker.body(text + "# in force\n", confirm_within_s=30))
            desk.publish(f"{ROOT}/{DEVICE}/config/desired", good, 1, False)
            while (before is not None and before["state"] != "applied") or "revision" not in before["active"]:
                before = await bench.answer()
            await _attack(count, bench, attacker, board, desk, agent, before["active"]["sha256"])
            drain.cancel()
            _print(bench, agent)
            if process.poll() is not None:
                bench.failures.append(f"the agent ended with {process.returncode}")
        finally:
            process.kill()
            process.wait()
            playing.cancel()
            serving.cancel()
            await asyncio.gather(playing, serving, return_exceptions=True)
            centre.close()
    for failure in bench.failures[:20]:
        print(f"FAILED {failure}")
    return 1 if bench.failures else 0


async def _drain(connection: Connection) -> None:
    while True:
        await connection.event(1.0)


async def _attack(
    count: int,
    bench: Bench,
    attacker: Attacker,
    board: Board,
    desk: Connection,
    agent: psutil.Process,
    sha: str,
) -> None:
    names = list(KINDS)
    started_mb = None
    for number in range(count):
        name = names[number % len(names)] if number < len(names) else attacker.random.choice(names)
        payload = KINDS[name](attacker)
        while not bench.answers.empty():
            bench.answers.get_nowait()
        began_s = time.perf_counter()
        desk.publish(f"{ROOT}/{DEVICE}/config/desired", payload, 1, False)
        answer = await bench.answer()
        bench.seconds.append(time.perf_counter() - began_s)
        bench.counts[name] += 1
        if answer is None:
            bench.failures.append(f"push {number} ({name}): no answer")
            continue
        errors = answer.get("errors") or []
        if answer["state"] != "rejected" or answer["active"]["sha256"] != sha:
            bench.failures.append(f"push {number} ({name}): {answer}")
            sha = answer["active"]["sha256"]  # one accepted push is one failure
        elif not errors or not all(error.get("message") and error.get("path") for error in errors):
            bench.failures.append(f"push {number} ({name}): no path or reason: {answer}")
        if number % PRESS_EVERY == 0:
            await bench.press(board)
        if number % 1000 == 999:
            mb = agent.memory_info().rss / 1e6
            started_mb = started_mb or mb
            print(
                f"{number + 1} pushes, {mb:.0f} MB ({mb - started_mb:+.1f} since the first 1000)", flush=True
            )


def _print(bench: Bench, agent: psutil.Process) -> None:
    seconds = sorted(bench.seconds)
    for name, number in sorted(bench.counts.items()):
        print(f"  {name}: {number}")
    p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    print(f"{len(seconds)} pushes: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {seconds[-1] * 1000:.0f} ms")
    print(f"{bench.presses} presses, {len(bench.alerts)} alerts; {agent.memory_info().rss / 1e6:.0f} MB")
    print(f"{len(bench.failures)} failures")


def main() -> int:
    """Runs with the arguments of the command line."""
    given = [int(value) for value in sys.argv[1:3]]
    count, seed = (*given, *(10_000, 1)[len(given) :])
    kind: Any = "mosquitto" if mosquitto_path() else "rumqttd"
    with tempfile.TemporaryDirectory(prefix="ringpost-hostile-") as folder, LocalBroker(kind) as broker:
        return asyncio.run(hostile(count, seed, Path(folder), broker))


if __name__ == "__main__":
    sys.exit(main())
