"""Valid but fatal pushes against a real agent and mosquitto, with SIGKILL at each step of a push.

    python -m bench.pushes [TRIALS] [WORLDS]

A trial pushes one configuration of `bench.fatal_pushes` to an agent that runs. In the first trial of each
kind X the device has to be reachable under the configuration from before, within the
time of the push, and to say why. Prints a table; exit code 1 where a trial failed.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from re import search
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.config.loader import digest
from agent.domain.message import ROOT, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.supervisor import supervise
from agent.trust.order import sign_order
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from bench.fatal_pushes import (
    AGENT,
    CONFIG,
    DEVICE,
    FATAL,
    SECOND_START,
    STEPS,
    Surroundings,
    write_surroundings,
)
from centre.server import Centre
from simulators.broker import LocalBroker
from simulators.devices import Board
from simulators.wire import Wire

CONFIRM_S = 3.0
MACHINE_S = 120.0
"""The start of an agent on a busy machine, on top of the time that the push has."""
ROOT_FOLDER = Path(__file__).resolve().parents[1]
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@dataclass
class World:
    """One device with its broker and centre."""

    around: Surroundings
    text: str
    root_key: SigningKey
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    agent: subprocess.Popen[bytes] | None = None
    revision: int = 0

    def start(self, kill_at: int = -1, *, clock_wrong: bool = False) -> None:
        """Starts the agent; it ends itself at the step ``kill_at`` of a push."""
        env = os.environ | {"KILL_AT": str(kill_at)}
        if clock_wrong:
            env |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+30y", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        folder = self.around.folder
        command = ["-c", AGENT, "run", str(folder / "agent.yaml"), "--data", str(folder / "data")]
        with (folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT_FOLDER, stdout=log, stderr=log, env=env
            )

    async def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.agent is not None:
            self.agent.send_signal(how)
            await asyncio.to_thread(self.agent.wait)
            self.agent = None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        connection = Connection(Broker(url=self.around.broker), f"desk-{new_id()[-8:]}", None)
        await connection.open()
        connection.publish(f"{ROOT}/{DEVICE}/{topic}", payload, 1, retain)
        await connection.event(5)
        connection.close()

    async def push(self, text: str) -> int:
        """The revision of a signed, retained push."""
        self.revision += 1
        body = {
            "revision": self.revision,
            "body": text,
            "sha256": digest(text),
            "confirm_within_s": CONFIRM_S,
        }
        counters = {self.root_key.key_id: time.time_ns() // 1000}
        await self.publish(
            "config/desired",
            sign_order("push", DEVICE, body, [self.root_key], counters=counters),
            retain=True,
        )
        return self.revision

    async def until(self, check: Callable[[], Any], within_s: float, what: str) -> None:
        """AssertionError where ``check`` is not true in time."""
        end_s = time.monotonic() + within_s
        while not check():
            if time.monotonic() > end_s:
                log = (self.around.folder / "agent.log").read_text(errors="replace")[-1500:]
                raise AssertionError(f"{what} did not come within {within_s:g} s\n{log}")
            await asyncio.sleep(0.05)

    def result_of(self, revision: int) -> dict[str, Any]:
        """The final result of a push, as the centre has it; empty while there is none."""
        for topic, body in reversed(self.heard):
            final = body.get("state") in ("rejected", "rolled_back", "applied")
            if topic == "config/reported" and body.get("revision") == revision and final:
                return body
        return {}

    async def ping(self) -> None:
        """AssertionError where the device does not answer. A ping before its first subscription is lost."""
        ids: list[str] = []
        end_s = time.monotonic() + MACHINE_S
        while not any(body.get("command_id") in ids for _, body in self.heard):
            if time.monotonic() > end_s:
                await self.until(lambda: False, 0, "an answer to a ping")
            ids.append(new_id())
            await self.publish("command/ping", encode({"id": ids[-1]}))
            await asyncio.sleep(1)


async def trial(world: World, name: str, kill_at: int) -> float:
    """Seconds from the push to its result, the restart left out. AssertionError where it failed."""
    change, reason = FATAL[name]
    await world.stop()
    world.heard.clear()
    world.start(kill_at, clock_wrong=name.endswith("clock wrong"))
    await world.ping()
    began_s = time.monotonic()
    revision = await world.push(change(world.text, world.around))
    limit_s = 2 * CONFIRM_S + 10 + MACHINE_S
    agent = world.agent
    assert agent is not None
    await world.until(
        lambda: world.result_of(revision) or agent.poll() is not None, limit_s, f"the end of {name}"
    )
    killed = agent.poll() is not None
    if killed:
        world.start(clock_wrong=name.endswith("clock wrong"))
        began_s = time.monotonic()
        await world.until(lambda: world.result_of(revision), limit_s, f"the result of {name}")
    took_s = time.monotonic() - began_s
    result = world.result_of(revision)
    said = str(result.get("reason") or "") + " ".join(str(error) for error in result.get("errors", ()))
    assert result["state"] in ("rejected", "rolled_back"), f"{name} is {result['state']}"
    assert search(reason, said) or (killed and SECOND_START in said), f"{name}: the reason is {said!r}"
    assert result["active"]["sha256"] == digest(world.text), f"{name}: another configuration is in force"
    await world.ping()
    return took_s


async def worker(
    folder: Path,
    number: int,
    jobs: "asyncio.Queue[tuple[str, int]]",
    took: dict[str, list[float]],
    failed: list[str],
) -> None:
    """Carries out trials in a world of its own."""
    with ExitStack() as stack:
        brokers = [LocalBroker("mosquitto") for _ in range(3)]
        folder = folder / str(number)
        folder.mkdir()
        write_surroundings(folder)
        files = f"cafile {folder}/server.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
        files += "user root\n" if os.geteuid() == 0 else ""
        brokers[2].more = files
        home, elsewhere, encrypted = (stack.enter_context(broker) for broker in brokers)
        around = Surroundings(folder, home.url, elsewhere.url, encrypted.url.replace("mqtt:", "mqtts:"))
        board = Board(stack.enter_context(Wire(folder / "board")))
        text = CONFIG.format(broker=home.url, folder=folder)
        (folder / "agent.yaml").write_text(text)
        root_key, centre_key = SigningKey.generate(), SigningKey.generate()
        (folder / "roles.json").write_bytes(sign_roles(small_team_roles(root_key, centre_key), [root_key]))
        world = World(around, text, root_key)
        centre = Centre(
            folder / "centre.db", Broker(url=home.url), ROOT,
            lambda _, topic, body: world.heard.append((topic, body)), key=centre_key,
        )  # fmt: skip
        serving = [
            asyncio.ensure_future(supervise("centre", centre.run, lambda _: None, longest_wait_s=0.5)),
            asyncio.ensure_future(board.run()),
        ]
        try:
            await asyncio.wait_for(centre.ready.wait(), 60)
            while not jobs.empty():
                name, kill_at = jobs.get_nowait()
                try:
                    took[name].append(await trial(world, name, kill_at))
                except (AssertionError, OSError) as error:
                    failed.append(f"{name}, SIGKILL at step {kill_at}: {error}")
                    print(failed[-1], file=sys.stderr)
        finally:
            await world.stop()
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            centre.close()


async def run(trials: int, worlds: int) -> int:
    names = [name for name in FATAL if FAKETIME is not None or not name.endswith("clock wrong")]
    jobs: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    for number in range(trials):
        turn, at = divmod(number, len(names))
        jobs.put_nowait((names[at], -1 if turn == 0 else (turn - 1) % STEPS))
    took: dict[str, list[float]] = defaultdict(list)
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pushes-") as folder:
        await asyncio.gather(*(worker(Path(folder), number, jobs, took, failed) for number in range(worlds)))
    table = Table(title=f"{trials} fatal pushes, SIGKILL at each step of all but the first of each kind")
    for column in ("push", "trials", "failed", "median s", "longest s"):
        table.add_column(column, justify="left" if column == "push" else "right")
    for name in names:
        times = sorted(took[name]) or [0.0]
        lost = sum(text.startswith(f"{name}, ") for text in failed)
        row = (name, len(took[name]) + lost, lost, f"{times[len(times) // 2]:.1f}", f"{times[-1]:.1f}")
        table.add_row(*map(str, row))
    Console().print(table)
    print(f"pushes: {trials} trials, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(*map(int, [*sys.argv[1:], *("220", "3")[len(sys.argv) - 1 :]]))))
