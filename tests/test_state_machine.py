"""Anything that may happen to a device, its broker and its centre, in any order: the checker finds nothing.

The real agent and the real centre run in virtual time. Each step is a rule; a run ends with all faults healed.

    python -m tests.test_state_machine --seeds 200     searches, and prints the seeds that fail
    python -m tests.test_state_machine --seed 17       plays one again
"""

import argparse
import asyncio
import copy
import json
import logging
import shutil
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from agent.outbox.database import Database
from simulators.checker.check import check
from simulators.checker.disks import note_disks, read_centre
from simulators.checker.finding import Limits
from simulators.devices import Board
from simulators.virtual.device import VirtualDevice
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.ports import VirtualLine
from simulators.virtual.stage import URL, VirtualStage
from tests.memory import memory_folder
from tests.thorough import all_or

T = TypeVar("T")

POST = "post-1"
CONFIG: dict[str, Any] = {
    "schema_version": 1,
    "device": POST,
    "kind": "watch_point",
    "place": {"ring": "inner_city", "domain": "ground", "site": "s", "post": "p", "lat": 32.1, "lon": 118.7},
    "broker": {"url": URL, "resend_after": "20s", "keepalive": "10s"},
    "roles": "roles.json",
    "data": {"max_mb": 32},
    "reporting": {"telemetry_every": "30s", "health_every": "20s", "position_every": "30s"},
    "sources": {"board": {"kind": "sensor_board", "port": "/dev/board"}},
    "rules": {
        "panic": {"kind": "switch", "source": "board", "name": "panic_button", "severity": "critical"},
        "tamper": {"kind": "switch", "source": "board", "name": "tamper", "severity": "warning"},
        "board-silent": {"kind": "silence", "source": "board", "after": "8s"},
    },
}
CUTS = {"reset": "link.reset", "half_open": "link.half_open", "unreachable": "link.down"}
UNKIND = ("drop_after_acknowledgement", "reorder", "late_will", "refuse", "quota")
HEALS_WITHIN_S = 4000.0
"""Resends without a sign of life of the centre back off to half an hour."""
LIMITS = Limits(settle_s=1.0, told_s=30.0, offline_s=40.0)


class CrashError(BaseException):
    """The process ends within a write."""


class Field(RuleBasedStateMachine):
    """One watch point with its board, a broker and a centre."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.folder = memory_folder()
        self.faults: dict[str, tuple[int, str, dict[str, Any]]] = {}
        """In force, by what they hit: number, kind, fields."""
        self.numbers = 0
        self.pressed: set[str] = set()
        self.backup = False
        self.crash_in: int | None = None
        self.begin = self.runner.run(self.opened())

    async def opened(self) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        self.stage = VirtualStage(self.folder, seed=1)
        await self.stage.__aenter__()
        self.device = self.stage.add_device(POST, CONFIG)
        self.line = self.device.lines["board"] = VirtualLine(self.loop, "/dev/board")
        self.board = Board(self.line)
        self.hardware = asyncio.create_task(self.board.run())
        await self.device.start()
        await asyncio.sleep(2)

    def teardown(self) -> None:
        try:
            self.runner.run(self.judged())
        finally:
            self.runner.run(self.stage.__aexit__())
            self.runner.close()
            shutil.rmtree(self.folder)

    # Faults, as `simulators.faults` records them.

    def begin_fault(self, what: str, kind: str, device: str | None = POST, **fields: Any) -> None:
        self.end_fault(what)
        self.numbers += 1
        self.faults[what] = self.numbers, kind, {"device": device, **fields}
        self.note("fault_began", what)

    def end_fault(self, what: str) -> None:
        if what in self.faults:
            self.note("fault_ended", what)
            self.note("fault_effect", what)
            del self.faults[what]

    def note(self, event: str, what: str) -> None:
        number, kind, fields = self.faults[what]
        self.stage.record.event(event, fault=number, kind=kind, **fields)

    # What happens.

    @rule(seconds=st.sampled_from((0.01, 0.3, 1, 3, 12, 50)))
    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @rule(name=st.sampled_from(("panic_button", "tamper")))
    def press(self, name: str) -> None:
        on = name not in self.pressed
        (self.pressed.add if on else self.pressed.discard)(name)
        if on:
            self.stage.record.event("pressed", POST, press=f"board.{name}")
        self.runner.run(self.moved(name, on))

    async def moved(self, name: str, on: bool) -> None:
        self.board.press(name, on)
        await asyncio.sleep(0.02)  # no two presses at one instant

    @rule(how=st.sampled_from(("plug", "unplug", "mute")))
    def line_changes(self, how: str) -> None:
        if how == "plug":
            self.line.plug()
            self.end_fault("line")
        else:
            (self.line.unplug if how == "unplug" else self.line.go_mute)()
            self.begin_fault("line", f"line.{how}", source="board")

    @rule(how=st.sampled_from(("", *CUTS)))
    def link_changes(self, how: str) -> None:
        async def change() -> None:
            if how:
                self.begin_fault("link", CUTS[how])
                self.stage.broker.cut(POST, how)
            else:
                self.stage.broker.mend(POST)
                self.end_fault("link")

        self.runner.run(change())

    @rule(how=st.sampled_from(("down", "up", "restart", "restart without sessions")))
    def broker_changes(self, how: str) -> None:
        async def change() -> None:
            if how == "down":
                self.begin_fault("broker", "broker.down", None)
                self.stage.broker.set_down(True)
            elif how == "up":
                self.stage.broker.set_down(False)
                self.end_fault("broker")
            else:
                self.begin_fault("broker", "broker.restart", None)
                self.stage.broker.restart(keep_sessions=how == "restart")
                self.end_fault("broker")

        self.runner.run(change())

    @rule(how=st.sampled_from(UNKIND), chance=st.sampled_from((0, 0.3, 1)))
    def broker_is_unkind(self, how: str, chance: float) -> None:
        self.stage.broker.set_unkind(how, chance)
        if chance:
            self.begin_fault(how, f"broker.{how}", None)
        else:
            self.end_fault(how)

    @rule(how=st.sampled_from(("down", "up", "restart", "backup", "restore")))
    def centre_changes(self, how: str) -> None:
        async def change() -> None:
            centre = self.stage.centre
            if how == "down":
                self.begin_fault("centre", "centre.down", None)
                centre.set_down(True)
            elif how == "backup":
                centre.snapshot()
                self.backup = True
            elif how == "restore" and self.backup:
                self.begin_fault("restore", "centre.restored_from_backup", None)
                centre.restore()
                self.end_fault("restore")
            else:
                centre.set_down(True)
                centre.set_down(False)
                self.end_fault("centre")

        self.runner.run(change())

    @precondition(lambda self: self.device.running)
    @rule(
        how=st.sampled_from(("kill", "cut_power", "stop")), in_writes=st.one_of(st.none(), st.integers(0, 6))
    )
    def device_ends(self, how: str, in_writes: int | None) -> None:
        """At once, or within a write to its disk."""

        async def end() -> None:
            ends: Callable[[], Awaitable[None]] = getattr(self.device, how)
            if in_writes is not None and how != "stop":
                with crash_within(in_writes, self.device, self.loop) as crashed:
                    for _ in range(100):
                        if crashed.is_set() or not self.device.running:
                            break
                        await asyncio.sleep(0.2)
            await ends()

        self.runner.run(end())

    @precondition(lambda self: not self.device.running)
    @rule()
    def device_starts(self) -> None:
        self.runner.run(self.device.start())

    @rule(by_s=st.sampled_from((-86_400.0, -60.0, 3.0, 60.0, 86_400.0)))
    def clock_steps(self, by_s: float) -> None:
        self.device.clock.step(by_s)

    @rule(synchronised=st.booleans())
    def clock_is_synchronised(self, synchronised: bool) -> None:
        self.device.clock.set_synchronised(synchronised)

    @rule(how=st.sampled_from(("", "full", "read_only", "io_error")))
    def disk_changes(self, how: str) -> None:
        self.heal_disk()
        if how:
            getattr(self.device.disk, f"set_{how}")(True)
            self.begin_fault("disk", f"disk.{how}")

    def heal_disk(self) -> None:
        for how in ("full", "read_only", "io_error"):
            getattr(self.device.disk, f"set_{how}")(False)
        self.end_fault("disk")

    @rule(what=st.sampled_from(("severity", "without panic", "lockout", "invalid", "as before")))
    def push(self, what: str) -> None:
        config = copy.deepcopy(CONFIG)
        if what == "severity":
            config["rules"]["tamper"]["severity"] = "info"
        elif what == "without panic":
            del config["rules"]["panic"]
        elif what == "lockout":
            config["broker"]["url"] = "mqtt://127.0.0.9:1"
        elif what == "invalid":
            config["rules"]["panic"]["severity"] = "loud"
        self.stage.record.event("pushed", POST)
        self.runner.run(self.device.push(json.dumps(config)))

    @rule(action=st.sampled_from(("ack", "close", "reject")))
    def answer(self, action: str) -> None:
        """Somebody answers the latest alert."""
        raised = [one["alert_id"] for one in self.stage.record.events if one["event"] == "accepted"]
        if raised:
            fields = {"alert_id": raised[-1], "role": "watch-officer", "action": action}
            self.runner.run(self.device.command("ack", fields))

    @rule()
    def board_restarts(self) -> None:
        async def reset() -> None:
            self.begin_fault("reset", "board.reset", source="board")
            self.board.reset()
            self.pressed.clear()
            self.end_fault("reset")

        self.runner.run(reset())

    # The end.

    async def judged(self) -> None:
        """All heals; then the checker has no finding."""
        self.line.plug()
        broker = self.stage.broker
        broker.mend(POST)
        broker.set_down(False)
        for how in UNKIND:
            broker.set_unkind(how, 0)
        self.heal_disk()
        self.device.clock.set_synchronised(True)
        self.stage.centre.set_down(False)
        for name in sorted(self.pressed):
            self.board.press(name, False)
        for what in list(self.faults):
            self.end_fault(what)
        if not self.device.running:
            await self.device.start()
        await self.device.push(json.dumps(CONFIG))
        for _ in range(int(HEALS_WITHIN_S / 10)):
            await asyncio.sleep(10)
            if await self.is_well():
                break
        note_disks(self.stage.record, {POST: self.device.folder}, self.stage.centre.db)
        # The cable is plugged in anew without a fault in the record.
        left_out = ["only_troubles_are_told"]
        findings = check(self.stage.record, {POST: CONFIG}, leave_out=left_out, limits=LIMITS)
        assert not findings, "\n".join(map(str, findings))

    async def is_well(self) -> bool:
        agent = self.device.agent
        statuses = [one["body"] for one in self.stage.record.messages if one["topic"] == "status"]
        live = [one for one in statuses if "id" in one]  # a last will may come late
        if agent is None or not live or live[-1]["state"] not in ("online", "degraded"):
            return False
        if not all(reason.startswith("alerts of ") for reason in live[-1]["reasons"]):
            return False
        if any((await agent.outbox.depth()).values()):
            return False
        at_centre = {one["id"] for one in read_centre(self.stage.centre.db)[POST]}
        accepted = (one["id"] for one in self.stage.record.events if one["event"] == "accepted")
        return all(one in at_centre for one in accepted)


@contextmanager
def crash_within(writes: int, device: VirtualDevice, loop: VirtualLoop) -> Iterator[asyncio.Event]:
    """The device ends at the ``writes``-th commit from now: before it if that is even, else after it."""
    transaction, crashed, left = Database.transaction, asyncio.Event(), writes

    @contextmanager
    def counted(self: Database) -> Iterator[None]:
        nonlocal left
        if self.path is None or device.folder not in self.path.parents or crashed.is_set():
            with transaction(self):
                yield
            return
        left -= 1
        with transaction(self):
            yield
            if left < 0 and writes % 2 == 0:
                end()
        if left < 0:
            end()

    def end() -> None:
        device.crash()
        crashed.set()
        raise CrashError

    Database.transaction = counted  # type: ignore[method-assign]
    try:
        yield crashed
    finally:
        Database.transaction = transaction  # type: ignore[method-assign]


SETTINGS = settings(
    max_examples=all_or(3, 40),
    stateful_step_count=all_or(20, 40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
    derandomize=all_or(few=True, everything=False),
    database=None,
)
TestField = pytest.mark.slow(Field.TestCase)
TestField.settings = SETTINGS


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--seed", type=int)
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    failed = []
    for number in seeds:
        began_s = time.process_time()
        phases = (Phase.generate, Phase.shrink) if given.seed is not None else (Phase.generate,)
        one = settings(SETTINGS, max_examples=3, stateful_step_count=40, phases=phases)
        try:
            run_state_machine_as_test(seed(number)(Field), settings=one)
        except Exception:
            failed.append(number)
            traceback.print_exc(limit=-8)
        print(f"seed {number}: {time.process_time() - began_s:.1f} s; failed: {failed}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
