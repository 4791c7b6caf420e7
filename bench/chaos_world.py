"""The environment of an agent in `bench.chaos`: a real broker, the reference centre, a board on a pty."""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from simulators.broker import LocalBroker
from simulators.devices import Board
from simulators.network_hop import NetworkHop

HERE = Path(__file__).resolve().parents[1]
SWITCHES = ("panic_button", "tamper", "smoke", "barrier")
DELIVERED_WITHIN_S = 150.0
"""A restored centre requests missing messages once a minute."""
REPORTED_WITHIN_S = 60.0
"""A device reports a fault of its state within this time."""
DEVICE = "chaos-1"
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)

CONFIG = """\
schema_version: 1
device: chaos-1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: chaos, post: north}}
broker: {broker}
reporting: {{telemetry_every: 1s, readings_every: 0s, health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{port}"}}
rules:
"""
RULE = "  {name}: {{kind: switch, source: board, name: {name}, severity: critical}}\n"


class World:
    """The environment of one agent, the presses it received, and the alerts it must have reported."""

    def __init__(
        self, folder: Path, broker: LocalBroker, hop: NetworkHop, tls: NetworkHop, board: Board
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.hop = hop
        self.board = board
        self.cycles: Counter[str] = Counter()
        self.writes = 0
        self.tls = tls
        self.keep: list[Any] = []
        """Objects that stay open as long as the world."""
        self.untold: list[str] = []
        """Reports of the device or the centre that did not come in time."""
        self.late_s: list[float] = []
        """Latencies of alerts, for faults with a limit on them."""
        self.ways: dict[str, list[str]] = {}
        """The command prefix of a process: ``{"agent": ["unshare", …]}``."""
        self._pressing: set[asyncio.Future[None]] = set()
        self._held: set[str] = set()
        self._resting = asyncio.Event()  # cleared: no new presses
        self._resting.set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.configure()

    def configure(self, broker: dict[str, Any] | None = None, name: str = "agent") -> None:
        """Writes the configuration file of the next start; ``broker`` has more keys of its section."""
        section = {"url": self.hop.url, "resend_after": "3s"} | (broker or {})
        port = self.folder / ("board" if name == "agent" else f"{name}-board")
        text = CONFIG.format(broker=json.dumps(section), port=port)
        rules = "".join(RULE.format(name=switch) for switch in SWITCHES)
        (self.folder / f"{name}.yaml").write_text(text + rules)

    @property
    def agent(self) -> subprocess.Popen[bytes]:
        return self._processes["agent"]

    def start(self, name: str) -> None:
        """Starts ``agent``, ``centre``, or ``clone``: another agent with a copy of the first one's data."""
        if name == "centre":
            verb = ["centre", "--db", str(self.folder / "centre.db"), "--broker", self.broker.url]
        else:
            data = "data" if name == "agent" else f"{name}-data"
            verb = ["run", str(self.folder / f"{name}.yaml"), "--data", str(self.folder / data)]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self.ways.get(name, []), sys.executable, "-m", "agent", *verb],
                cwd=HERE,
                stdout=log,
                stderr=log,
                env=os.environ | (self._faked() if name == "agent" else {}),
            )

    def set_clock(self, offset: str) -> None:
        """Offsets the agent's wall clock from now on; its monotonic clock stays correct."""
        (self.folder / "clock.new").write_text(offset + "\n")
        (self.folder / "clock.new").replace(self.folder / "clock")

    def _faked(self) -> dict[str, str]:
        """The environment that preloads libfaketime, once the clock was set."""
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
        """Presses and releases switches; returns once the agent has acknowledged each."""
        for _ in range(times):
            await self._resting.wait()
            while not (free := [name for name in SWITCHES if name not in self._held]):
                await asyncio.sleep(0.01)
            name = rng.choice(free)
            self._held.add(name)  # two fingers on one switch are one press
            for on in (True, False):
                number = self.board.press(name, on)
                while number not in self.board.acknowledged:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(rng.uniform(0, 0.1))
            self.cycles[name] += 1
            self._held.discard(name)

    async def press_one(self, name: str, times: int, rng: random.Random) -> None:
        """Presses one switch repeatedly."""
        while name in self._held:
            await asyncio.sleep(0.01)
        self._held.add(name)
        for _ in range(times):
            for on in (True, False):
                number = self.board.press(name, on)
                while number not in self.board.acknowledged:
                    await asyncio.sleep(rng.uniform(0.001, 0.01))
            self.cycles[name] += 1
        self._held.discard(name)

    async def rest(self) -> None:
        """Returns once no switch is pressed, and the centre has all alerts."""
        while self._held:
            await asyncio.sleep(0.01)
        self._resting.clear()
        await self.delivered()
        await asyncio.sleep(0.5)

    def resume(self) -> None:
        self._resting.set()

    def alerts(self) -> dict[str, dict[str, set[str]]]:
        """The phases in the centre's database, by rule and alert id."""
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for (text,) in self._rows("SELECT body FROM message WHERE topic = 'alert'"):
            alert = json.loads(text)["alert"]
            if alert["rule"] in SWITCHES:
                found[alert["rule"]][alert["alert_id"]].add(alert["phase"])
        return found

    def started(self) -> int:
        """The number of alerts whose start the centre has."""
        return sum("new" in phases for alerts in self.alerts().values() for phases in alerts.values())

    def ids(self) -> list[str]:
        """The ids of all messages at the centre."""
        return [identity for (identity,) in self._rows("SELECT id FROM message")]

    def reasons(self) -> list[str]:
        """The reasons in the newest status of the device at the centre."""
        rows = self._rows("SELECT body FROM message WHERE topic = 'status' ORDER BY received_at DESC LIMIT 1")
        return list(json.loads(rows[0][0]).get("reasons", [])) if rows else []

    async def expect(
        self, report: str, reported: Callable[[], bool], within_s: float = REPORTED_WITHIN_S
    ) -> None:
        """Records ``report`` as missing unless ``reported`` becomes true in time."""
        deadline = time.monotonic() + within_s
        while not reported():
            if time.monotonic() > deadline:
                self.untold.append(f"{report}: {self.reasons()}")
                return
            await asyncio.sleep(0.2)

    async def expect_press(self, rng: random.Random, within_s: float) -> None:
        """Expects that a press, acknowledged or not, is at the centre within ``within_s``."""
        before, began_s = self.started(), time.monotonic()
        pressing = asyncio.ensure_future(self.press(rng, 1))
        await self.expect(f"an alert within {within_s:g} s", lambda: self.started() > before, within_s)
        self.late_s.append(round(time.monotonic() - began_s, 1))
        self._pressing.add(pressing)
        pressing.add_done_callback(self._pressing.discard)

    async def pressed(self) -> None:
        """Returns once all presses of `expect_press` are acknowledged to the board."""
        if self._pressing:
            await asyncio.wait(self._pressing)

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def missing(self) -> Counter[str]:
        """The number of presses, by rule, without a complete alert (start and end) at the centre."""
        alerts = self.alerts()
        whole = {
            rule: sum({"new", "end"} <= phases for phases in by_id.values()) for rule, by_id in alerts.items()
        }
        return (
            Counter({name: count - whole.get(name, 0) for name, count in self.cycles.items()}) - Counter()
        )  # positive ones only

    def doubled(self) -> int:
        """The number of alert ids in excess of presses."""
        return sum(max(0, len(alerts) - self.cycles[rule]) for rule, alerts in self.alerts().items())

    def undelivered(self) -> int:
        """The number of undelivered alerts on the device's disk."""
        with sqlite3.connect(self.folder / "data" / "alerts.db") as db:
            return int(db.execute("SELECT count(*) FROM owed WHERE lane = 'alert'").fetchone()[0])

    def unexplained(self) -> int:
        """The count of telemetry numbers that neither arrived nor were reported in a gap."""
        arrived: dict[str, set[int]] = defaultdict(set)
        lost: dict[str, set[int]] = defaultdict(set)
        for epoch, seq in self._rows("SELECT epoch, seq FROM message WHERE topic LIKE 'telemetry/%'"):
            arrived[epoch].add(seq)
        for (text,) in self._rows("SELECT body FROM message WHERE topic = 'gap'"):
            body = json.loads(text)
            gap = body["gap"]
            if gap["lane"] == "telemetry" and gap.get("last") is not None:
                lost[str(body["of_epoch"])] |= set(range(gap["first"], gap["last"] + 1))
        return sum(
            len(set(range(1, max(numbers) + 1)) - numbers - lost[epoch]) for epoch, numbers in arrived.items()
        )

    def _rows(self, query: str) -> list[Any]:
        if not (self.folder / "centre.db").exists():
            return []
        with sqlite3.connect(self.folder / "centre.db", timeout=10) as db:
            try:
                return db.execute(query).fetchall()
            except sqlite3.OperationalError:  # the centre was killed before it created its table
                return []

    async def delivered(self) -> bool:
        """Whether the centre has all alerts in time."""
        deadline = time.monotonic() + DELIVERED_WITHIN_S
        while self.missing():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def end(self) -> None:
        for name in self._processes:
            await self.kill(name)
