"""``make chaos``: the fault campaign. Seeded, resumable; a table, one closing line, exit code 1 on any loss.

    TRIALS=100 SEED=1 make chaos
    TRIALS=40 FAULTS="disk full,link cut" make chaos      some of them only

A world is the real agent, a real broker, the reference centre, each in a process of its own, and a sensor
board on a pty whose switches are pressed all the while. A trial does one thing to it at a random moment, and
then waits until the centre has every alert. Each press that the agent has acknowledged to the board must be
in the centre's database: exactly one alert, from its beginning to its end. Where nobody killed the broker or
damaged the disk, every number of telemetry must be there too, or be told in a gap.

Finished trials are written to build/chaos-SEED.json; a campaign that was interrupted goes on from there.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from simulators.broker import LocalBroker
from simulators.devices import Board
from simulators.trouble import Hop
from simulators.wire import Wire

HERE = Path(__file__).resolve().parents[1]
SWITCHES = ("panic_button", "tamper", "smoke", "barrier")
TRIALS_OF_A_WORLD = 4
WORLDS_AT_ONCE = 3
SETTLED_WITHIN_S = 90.0

CONFIG = """\
schema_version: 1
device: chaos-1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: chaos, post: north}}
broker: {{url: "{url}", resend_after: 3s}}
reporting: {{telemetry_every: 1s, readings_every: 0s, health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board"}}
rules:
"""
RULE = "  {name}: {{kind: switch, source: board, name: {name}, severity: critical}}\n"


class World:
    """Everything around one agent; what it was shown, and what it must have told."""

    def __init__(self, folder: Path, broker: LocalBroker, hop: Hop, board: Board) -> None:
        self.folder = folder
        self.broker = broker
        self.hop = hop
        self.board = board
        self.cycles: Counter[str] = Counter()
        self.writes = 0
        self._held: set[str] = set()
        self._resting = asyncio.Event()  # cleared: nobody begins to press
        self._resting.set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "agent.yaml").write_text(
            CONFIG.format(url=hop.url, folder=folder) + "".join(RULE.format(name=name) for name in SWITCHES)
        )

    @property
    def agent(self) -> subprocess.Popen[bytes]:
        return self._processes["agent"]

    def start(self, name: str) -> None:
        """``agent`` or ``centre``."""
        verb = {
            "agent": ["run", str(self.folder / "agent.yaml"), "--data", str(self.folder / "data")],
            "centre": ["centre", "--db", str(self.folder / "centre.db"), "--broker", self.broker.url],
        }[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "agent", *verb],
                cwd=HERE,
                stdout=log,
                stderr=log,
                env=os.environ | (self._faked() if name == "agent" else {}),
            )

    def set_clock(self, offset: str) -> None:
        """The agent's wall clock, from now on; its monotonic clock is left alone."""
        (self.folder / "clock.new").write_text(offset + "\n")
        (self.folder / "clock.new").replace(self.folder / "clock")

    def _faked(self) -> dict[str, str]:
        """What preloads libfaketime, in a world whose clock was ever set."""
        if not (self.folder / "clock").exists():
            return {}
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    async def kill(self, name: str) -> None:
        process = self._processes[name]
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.to_thread(process.wait)

    async def restart(self, name: str, rng: random.Random) -> None:
        await self.kill(name)
        await asyncio.sleep(rng.uniform(0, 0.5))
        self.start(name)

    async def press(self, rng: random.Random, times: int) -> None:
        """Presses and releases; the agent has acknowledged each, and answers for it from then on."""
        for _ in range(times):
            await self._resting.wait()
            name = rng.choice([name for name in SWITCHES if name not in self._held])
            self._held.add(name)  # two fingers on one switch are one press
            for on in (True, False):
                number = self.board.press(name, on)
                while number not in self.board.acknowledged:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(rng.uniform(0, 0.1))
            self.cycles[name] += 1
            self._held.discard(name)

    async def rest(self) -> None:
        """Returns once nothing is pressed, and the centre has all."""
        while self._held:
            await asyncio.sleep(0.01)
        self._resting.clear()
        await self.settled()
        await asyncio.sleep(0.5)

    def go_on(self) -> None:
        self._resting.set()

    def told(self) -> dict[str, dict[str, set[str]]]:
        """Rule, alert id, phases: what the centre's database has."""
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for (text,) in self._rows("SELECT body FROM message WHERE topic = 'alert'"):
            alert = json.loads(text)["alert"]
            found[alert["rule"]][alert["alert_id"]].add(alert["phase"])
        return found

    def missing(self) -> Counter[str]:
        """By rule, how many presses have no alert from its beginning to its end at the centre."""
        told = self.told()
        whole = {
            rule: sum({"new", "end"} <= phases for phases in alerts.values()) for rule, alerts in told.items()
        }
        return (
            Counter({name: count - whole.get(name, 0) for name, count in self.cycles.items()}) - Counter()
        )  # positive ones only

    def doubled(self) -> int:
        """How many more ids there are than presses."""
        return sum(max(0, len(alerts) - self.cycles[rule]) for rule, alerts in self.told().items())

    def owed(self) -> int:
        """How many alerts the device's disk still holds."""
        with sqlite3.connect(self.folder / "data" / "alerts.db") as db:
            return int(db.execute("SELECT count(*) FROM owed WHERE lane = 'alert'").fetchone()[0])

    def unexplained(self) -> int:
        """Numbers of telemetry that neither came nor were told in a gap."""
        came: dict[str, set[int]] = defaultdict(set)
        told: dict[str, set[int]] = defaultdict(set)
        for epoch, seq in self._rows("SELECT epoch, seq FROM message WHERE topic LIKE 'telemetry/%'"):
            came[epoch].add(seq)
        for (text,) in self._rows("SELECT body FROM message WHERE topic = 'gap'"):
            body = json.loads(text)
            gap = body["gap"]
            if gap["lane"] == "telemetry" and gap.get("last") is not None:
                told[str(body["of_epoch"])] |= set(range(gap["first"], gap["last"] + 1))
        return sum(
            len(set(range(1, max(numbers) + 1)) - numbers - told[epoch]) for epoch, numbers in came.items()
        )

    def _rows(self, query: str) -> list[Any]:
        if not (self.folder / "centre.db").exists():
            return []
        with sqlite3.connect(self.folder / "centre.db", timeout=10) as db:
            try:
                return db.execute(query).fetchall()
            except sqlite3.OperationalError:  # it was killed before it had made its table
                return []

    async def settled(self) -> bool:
        """Whether the centre has everything in time."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while self.missing():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def end(self) -> None:
        for name in self._processes:
            await self.kill(name)


Fault = Callable[[World, random.Random], Awaitable[None]]


async def agent_killed(world: World, rng: random.Random) -> None:
    await world.restart("agent", rng)


async def centre_killed(world: World, rng: random.Random) -> None:
    await world.restart("centre", rng)


async def broker_killed(world: World, rng: random.Random) -> None:
    """And with it every message and session it had."""
    await asyncio.to_thread(world.broker.stop, signal.SIGKILL)
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.broker.start)


async def broker_stopped(world: World, rng: random.Random) -> None:
    await asyncio.to_thread(world.broker.stop)
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.broker.start)


async def all_killed(world: World, rng: random.Random) -> None:
    order = rng.sample(("agent", "centre", "broker"), 3)
    for name in order:
        if name == "broker":
            await asyncio.to_thread(world.broker.stop, signal.SIGKILL)
        else:
            await world.kill(name)
        await asyncio.sleep(rng.uniform(0, 0.3))
    for name in rng.sample(order, 3):
        if name == "broker":
            await asyncio.to_thread(world.broker.start)
        else:
            world.start(name)


async def link_cut(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        world.hop.cut()
        await asyncio.sleep(rng.uniform(0, 0.5))
        world.hop.heal()
        await asyncio.sleep(rng.uniform(0, 1.0))


async def link_swallows(world: World, rng: random.Random) -> None:
    world.hop.hole()
    await asyncio.sleep(rng.uniform(0.2, 3.0))
    world.hop.heal()


async def link_slow(world: World, rng: random.Random) -> None:
    world.hop.slow(rng.choice((500.0, 2000.0, 8000.0)))
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    world.hop.heal()


async def disk_full(world: World, rng: random.Random) -> None:
    """No file of the agent's may grow (RLIMIT_FSIZE); what is in memory meanwhile goes out all the same."""
    agent = psutil.Process(world.agent.pid)
    before = agent.rlimit(psutil.RLIMIT_FSIZE)
    agent.rlimit(psutil.RLIMIT_FSIZE, (rng.choice((0, 4096, 65536)), before[1]))
    await world.press(rng, 2)
    await world.settled()
    agent.rlimit(psutil.RLIMIT_FSIZE, before)


async def write_fails(world: World, rng: random.Random) -> None:
    """The n-th write, or flush, of the running agent: n = 1, 2, 3 …"""
    world.writes += 1
    call, error = rng.choice((("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("fdatasync", "EIO")))
    async with injected(world, f"{call}:error={error}:when={world.writes}"):
        await world.press(rng, 2)
        await world.settled()


async def killed_at_write(world: World, rng: random.Random) -> None:
    """kill -9 in the n-th write, or flush."""
    world.writes += 1
    call = rng.choice(("pwrite64", "fdatasync"))
    async with injected(world, f"{call}:signal=SIGKILL:when={world.writes}"):
        pressing = asyncio.ensure_future(world.press(rng, 2))
        for _ in range(100):
            if world.agent.poll() is not None:
                break
            await asyncio.sleep(0.05)
        await world.restart("agent", rng)
    await pressing


async def disk_damaged(world: World, rng: random.Random) -> None:
    """The agent dies with all told, and its store is overwritten in places before it starts again.

    What stood only on a disk that is destroyed is gone, so no finger is on a switch meanwhile.
    """
    await world.rest()
    await world.kill("agent")
    for name in ("alerts.db", "alerts.db-wal"):
        path = world.folder / "data" / name
        if path.exists() and path.stat().st_size:
            with path.open("r+b") as file:
                for _ in range(rng.randint(1, 4)):
                    file.seek(rng.choice((0, rng.randrange(path.stat().st_size))))
                    file.write(rng.randbytes(rng.choice((1, 100, 4096))))
    world.start("agent")
    world.go_on()


async def disk_read_only(world: World, rng: random.Random) -> None:
    """The data directory can only be read when the agent starts, and again written after its next start."""
    await world.rest()
    await world.kill("agent")
    data = str(world.folder / "data")
    for command in (["--bind", data, data], ["-o", "remount,bind,ro", data]):
        await asyncio.to_thread(subprocess.run, ["mount", *command], check=True)
    try:
        world.start("agent")
        world.go_on()
        await world.press(rng, 2)
        await world.rest()
        await world.kill("agent")
    finally:
        await world.kill("agent")
        await asyncio.to_thread(subprocess.run, ["umount", data], check=True)
    world.start("agent")
    world.go_on()


async def clock_jumps(world: World, rng: random.Random) -> None:
    """The wall clock of the running agent is a day ahead, then a day behind, then right."""
    for offset in rng.sample(("+1d", "-1d"), 2):
        world.set_clock(offset)
        await world.press(rng, 2)
        await asyncio.sleep(rng.uniform(0, 1.5))
    world.set_clock("+0d")


@asynccontextmanager
async def injected(world: World, what: str) -> AsyncIterator[None]:
    """strace sits on the agent and does ``what`` to it."""
    command = ["strace", "-f", "-q", "-e", "trace=pwrite64,fdatasync", "-e", f"inject={what}"]
    tracer = await asyncio.create_subprocess_exec(
        *command, "-p", str(world.agent.pid), "-o", "/dev/null", stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(0.3)
        yield
    finally:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGTERM)
        await tracer.wait()


FAULTS: dict[str, Fault] = {
    "agent killed": agent_killed,
    "broker killed": broker_killed,
    "centre killed": centre_killed,
    "all three killed": all_killed,
    "broker stopped": broker_stopped,
    "link cut": link_cut,
    "link swallows": link_swallows,
    "link slow": link_slow,
    "disk full": disk_full,
    "n-th write fails": write_fails,
    "killed at n-th write": killed_at_write,
    "disk damaged": disk_damaged,
    "disk read-only": disk_read_only,
    "clock jumps": clock_jumps,
}
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def possible(fault: str) -> bool:
    """Whether this machine has what the fault needs."""
    if fault in ("n-th write fails", "killed at n-th write"):
        return shutil.which("strace") is not None
    if fault == "disk read-only":
        return os.geteuid() == 0 and shutil.which("mount") is not None
    return fault != "clock jumps" or FAKETIME is not None


TELEMETRY_MAY_GO = {"broker killed", "broker stopped", "all three killed", "disk damaged"}
"""Telemetry leaves the disk on the broker's word; what the broker then loses, nobody can tell."""


@dataclass(frozen=True)
class Trial:
    """What came of one."""

    fault: str
    number: int
    seconds: float
    presses: int
    lost: int
    late: int
    doubled: int
    unexplained: int


async def play(fault: str, first: int, count: int, seed: int, done: Callable[[Trial], None]) -> None:
    """``count`` trials of ``fault`` in one world."""
    rng = random.Random(f"{seed} {fault} {first}")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringpost-chaos-")))
        broker = stack.enter_context(LocalBroker())
        hop = await stack.enter_async_context(Hop(broker.port))
        board = Board(stack.enter_context(Wire(folder / "board")))
        world = World(folder, broker, hop, board)
        stack.push_async_callback(world.end)
        running = asyncio.ensure_future(board.run())
        stack.callback(running.cancel)
        if fault == "clock jumps":
            world.set_clock("+0d")
        world.start("centre")
        world.start("agent")
        world.writes = first
        await world.press(rng, 1)
        for number in range(first, first + count):
            began_s = time.monotonic()
            before = world.cycles.total()
            pressing = asyncio.ensure_future(world.press(rng, rng.randint(2, 4)))
            await asyncio.sleep(rng.uniform(0, 0.8))
            await FAULTS[fault](world, rng)
            async with asyncio.timeout(SETTLED_WITHIN_S):
                await pressing
            whole = await world.settled()
            missing = world.missing().total()
            late = 0 if whole else min(missing, await asyncio.to_thread(world.owed))
            last = number == first + count - 1
            if last:
                await asyncio.sleep(1.5)  # telemetry under way
            trial = Trial(
                fault, number, round(time.monotonic() - began_s, 1), world.cycles.total() - before,
                missing - late, late, world.doubled(),
                world.unexplained() if last and fault not in TELEMETRY_MAY_GO else 0,
            )  # fmt: skip
            done(trial)
            if trial.lost or trial.late or trial.doubled or trial.unexplained:
                keep = HERE / "build" / f"chaos-{seed}-{fault.replace(' ', '-')}-{number}"
                shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("board"))


async def campaign(
    names: list[str],
    trials: int,
    seed: int,
    finished: dict[tuple[str, int], Trial],
    record: Callable[[], None],
) -> None:
    """Those of ``trials`` that are not finished yet; each world's trials belong together."""
    of_fault: Counter[str] = Counter()
    worlds: list[tuple[str, int, int]] = []
    left = trials
    for index in range(trials):
        fault = names[index % len(names)]
        count = min(TRIALS_OF_A_WORLD, left)
        if count <= 0:
            break
        worlds.append((fault, of_fault[fault] + 1, count))
        of_fault[fault] += count
        left -= count
    console = Console(stderr=True)
    places = asyncio.Semaphore(WORLDS_AT_ONCE)

    def done(trial: Trial) -> None:
        finished[trial.fault, trial.number] = trial
        record()
        console.print(f"{len(finished):4}/{trials} {trial.fault:22} {trial.seconds:6.1f} s", highlight=False)

    async def world(fault: str, first: int, count: int) -> None:
        if all((fault, number) in finished for number in range(first, first + count)):
            return
        async with places:
            await play(fault, first, count, seed, done)

    async with asyncio.TaskGroup() as group:
        for one in worlds:
            group.create_task(world(*one))


def table(trials: list[Trial]) -> Table:
    columns = ("fault", "trials", "alerts", "lost", "late", "two ids", "telemetry unexplained", "s a trial")
    shown = Table(*columns)
    for fault in FAULTS:
        of = [trial for trial in trials if trial.fault == fault]
        if of:
            figures = [
                len(of), sum(one.presses for one in of),
                sum(one.lost for one in of), sum(one.late for one in of),
                max(one.doubled for one in of), sum(one.unexplained for one in of),
            ]  # fmt: skip
            seconds = f"{sum(one.seconds for one in of) / len(of):.1f}"
            cells = [*map(str, figures), seconds]
            if fault in TELEMETRY_MAY_GO:
                cells[-2] = "–"
            shown.add_row(fault, *cells)
    return shown


def main() -> int:
    """1 where anything was lost, late, doubled or unexplained."""
    trials, seed = int(os.environ.get("TRIALS", "100")), int(os.environ.get("SEED", "1"))
    path = HERE / "build" / f"chaos-{seed}.json"
    path.parent.mkdir(exist_ok=True)
    finished: dict[tuple[str, int], Trial] = {}
    if path.exists():
        finished = {(one["fault"], one["number"]): Trial(**one) for one in json.loads(path.read_text())}
        print(
            f"chaos: {len(finished)} trials of {path.relative_to(HERE)} are finished; going on",
            file=sys.stderr,
        )

    def record() -> None:
        path.with_suffix(".new").write_text(
            json.dumps([asdict(trial) for trial in finished.values()], indent=0)
        )
        path.with_suffix(".new").replace(path)

    wanted = [name.strip() for name in os.environ.get("FAULTS", ",".join(FAULTS)).split(",")]
    unknown = [name for name in wanted if name not in FAULTS]
    if unknown:
        print(f"chaos: no fault {', '.join(unknown)}; known: {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    names = [name for name in wanted if possible(name)]
    began_s = time.monotonic()
    asyncio.run(campaign(names, trials, seed, finished, record))
    told = list(finished.values())
    Console(width=110).print(table(told))
    lost, late = sum(trial.lost for trial in told), sum(trial.late for trial in told)
    doubled, unexplained = max(trial.doubled for trial in told), sum(trial.unexplained for trial in told)
    left_out = [name for name in wanted if name not in names]
    skipped = f"; left out here: {', '.join(left_out)}" if left_out else ""
    print(
        f"chaos: {len(told)} trials, seed {seed}, {sum(trial.presses for trial in told)} alerts accepted: "
        f"{lost} lost, {late} late, {doubled} with two ids, {unexplained} telemetry numbers unexplained, "
        f"{time.monotonic() - began_s:.0f} s{skipped}"
    )
    path.unlink()
    return 1 if lost or late or doubled or unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
