"""``make chaos``: the fault campaign. Seeded, resumable; a table, one closing line, exit code 1 on any loss.

    TRIALS=100 SEED=1 make chaos
    TRIALS=40 FAULTS="disk full,link cut" make chaos      some of them only
    TRIALS=560 WORLDS=8 make chaos                        more side by side

A world is the real agent, a real broker, the reference centre, each in a process of its own, and a sensor
board on a pty whose switches are pressed all the time. A trial injects one fault at a random moment, and
then waits until the centre has every alert. Each press that the agent has acknowledged to the board must be
in the centre's database: exactly one alert, from its start to its end. Unless the broker was killed or the
disk damaged, every telemetry number must be there too, or be reported in a gap.

Finished trials are written to build/chaos-SEED.json; an interrupted campaign continues from there.
"""

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.chaos_faults import FAKED, FAULTS, possible
from bench.chaos_world import DELIVERED_WITHIN_S, HERE, World
from simulators.broker import LocalBroker, free_port
from simulators.devices import Board
from simulators.network_hop import NetworkHop
from simulators.wire import Wire

TRIALS_OF_A_WORLD = 4
WORLDS_AT_ONCE = int(os.environ.get("WORLDS", "3"))
"""Worlds that run in parallel. Each consists of a few processes that are mostly idle."""
TELEMETRY_MAY_GO = {
    "broker killed", "broker stopped", "all three killed", "disk damaged", "image restored", "card cloned",
    "centre restored", "deaf ACL", "certificate expired", "broker forgets", "50000 at 56 kbit/s",
}  # fmt: skip
"""Telemetry is deleted on the PUBACK of the broker: messages that the broker then loses are not detected."""


@dataclass(frozen=True)
class Trial:
    """The result of one trial."""

    fault: str
    number: int
    seconds: float
    presses: int
    lost: int
    late: int
    doubled: int
    unexplained: int
    untold: list[str] = field(default_factory=list)
    alert_s: list[float] = field(default_factory=list)

    def clean(self) -> bool:
        return not (self.lost or self.late or self.doubled or self.unexplained or self.untold)


async def play(fault: str, first: int, count: int, seed: int, done: Callable[[Trial], None]) -> None:
    """``count`` trials of ``fault`` in one world."""
    rng = random.Random(f"{seed} {fault} {first}")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringpost-chaos-")))
        broker = stack.enter_context(LocalBroker())
        hop = await stack.enter_async_context(NetworkHop(broker.port))
        tls = await stack.enter_async_context(NetworkHop(free_port()))
        board = Board(stack.enter_context(Wire(folder / "board")))
        world = World(folder, broker, hop, tls, board)
        stack.push_async_callback(world.end)
        running = asyncio.ensure_future(board.run())
        stack.callback(running.cancel)
        if fault in FAKED and fault != "certificate expired":
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
            world.untold, world.late_s = [], []
            await FAULTS[fault](world, rng)
            async with asyncio.timeout(DELIVERED_WITHIN_S):
                await pressing
                await world.pressed()
            whole = await world.delivered()
            missing = world.missing().total()
            late = 0 if whole else min(missing, await asyncio.to_thread(world.undelivered))
            last = number == first + count - 1
            if last:
                await asyncio.sleep(1.5)  # telemetry under way
            trial = Trial(
                fault, number, round(time.monotonic() - began_s, 1), world.cycles.total() - before,
                missing - late, late, world.doubled(),
                world.unexplained() if last and fault not in TELEMETRY_MAY_GO else 0,
                world.untold, world.late_s,
            )  # fmt: skip
            done(trial)
            if not trial.clean():
                keep = HERE / "build" / f"chaos-{seed}-{fault.replace(' ', '-')}-{number}"
                shutil.copytree(
                    folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("board", "*.sock")
                )


async def campaign(
    names: list[str],
    trials: int,
    seed: int,
    finished: dict[tuple[str, int], Trial],
    record: Callable[[], None],
) -> None:
    """Runs the unfinished ones of ``trials``; the trials of one world stay together."""
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
        bad = "" if trial.clean() else f"  {trial}"
        console.print(
            f"{len(finished):4}/{trials} {trial.fault:22} {trial.seconds:6.1f} s{bad}", highlight=False
        )

    async def world(fault: str, first: int, count: int) -> None:
        if all((fault, number) in finished for number in range(first, first + count)):
            return
        async with places:
            await play(fault, first, count, seed, done)

    async with asyncio.TaskGroup() as group:
        for one in worlds:
            group.create_task(world(*one))


def table(trials: list[Trial]) -> Table:
    columns = (
        "fault",
        "trials",
        "alerts",
        "lost",
        "late",
        "two ids",
        "telemetry unexplained",
        "untold",
        "alert s",
        "s a trial",
    )
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
            alert_s = [second for one in of for second in one.alert_s]
            cells = [*map(str, figures), str(sum(len(one.untold) for one in of))]
            cells += [f"{max(alert_s):g}" if alert_s else "", seconds]
            if fault in TELEMETRY_MAY_GO:
                cells[5] = "–"
            shown.add_row(fault, *cells)
    return shown


def main() -> int:
    """Exit code 1 if anything was lost, late, duplicated or unexplained."""
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
    untold = sum(len(trial.untold) for trial in told)
    for trial in told:
        for text in trial.untold:
            print(f"untold: {trial.fault} {trial.number}: {text}")
    left_out = [name for name in wanted if name not in names]
    skipped = f"; left out here: {', '.join(left_out)}" if left_out else ""
    print(
        f"chaos: {len(told)} trials, seed {seed}, {sum(trial.presses for trial in told)} alerts accepted: "
        f"{lost} lost, {late} late, {doubled} with two ids, {untold} untold, "
        f"{unexplained} telemetry numbers unexplained, "
        f"{time.monotonic() - began_s:.0f} s{skipped}"
    )
    path.unlink()
    return 0 if all(trial.clean() for trial in told) else 1


if __name__ == "__main__":
    sys.exit(main())
