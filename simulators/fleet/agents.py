"""A child process of `ringpost fleet`: many real agents in one event loop.

``python -m simulators.fleet.agents --broker URL --folder DIR --first N --count M --seed S --press-every S``.
It prints JSON lines. On standard input: ``go`` begins the presses, ``storm`` the watch of the links, ``stop``
ends; so does the end of the input.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent.runtime.logging_setup import set_up_log
from agent.runtime.malloc import limit_arenas
from agent.runtime.name_resolution import resolve_names_apart
from simulators.fleet.member import Member
from simulators.fleet.usage import usage

THREADS = 32
READY_WITHIN_S, PER_AGENT_S = 60.0, 3.0
DRAINED_WITHIN_S = 60.0
LINKS_EVERY_S = 0.1
AT_ONCE = 4
"""Agents that start at once."""


def tell(**fields: Any) -> None:
    """One line for the parent."""
    print(json.dumps(fields), flush=True)  # noqa: T201


async def run(given: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "aside"))
    resolve_names_apart(loop)
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(sys.stdin.fileno(), read_orders, orders)
    stopped = asyncio.ensure_future(_until_ready(given))
    stop = asyncio.ensure_future(orders.get())
    await asyncio.wait([stopped, stop], return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        stopped.cancel()
        return
    members = stopped.result()
    chance = random.Random(f"{given.seed}/{given.first}")
    pressing: list[asyncio.Task[None]] = []
    watching: asyncio.Task[None] | None = None
    before, began_s = usage(os.getpid()), time.monotonic()
    while (order := await stop) != "stop":
        if order == "go":
            before, began_s = usage(os.getpid()), time.monotonic()
            every_s = given.press_every
            pressing = [
                loop.create_task(_press(one, every_s, random.Random(chance.random()))) for one in members
            ]
        elif order == "storm":
            watching = loop.create_task(_watch_links(members))
        stop = asyncio.ensure_future(orders.get())
    for task in pressing:
        task.cancel()
    await asyncio.gather(*pressing, return_exceptions=True)
    used = usage(os.getpid()).since(before, time.monotonic() - began_s)
    await _drain(members)
    if watching is not None:
        watching.cancel()
    died = [one.name for one in members if one.task.done() or one.hardware.done()]
    results = [await one.result() for one in members]
    await asyncio.gather(*(one.stop() for one in members))
    tell(results=results, died=died, **used)


async def _until_ready(given: argparse.Namespace) -> list[Member]:
    """All agents, connected; they start some at a time, as their start takes the most."""
    base_mb = usage(os.getpid()).rss_mb
    members: list[Member] = []
    deadline_s = time.monotonic() + READY_WITHIN_S + PER_AGENT_S * given.count
    while len(members) < given.count:
        members.append(
            Member(f"fleet-{given.first + len(members):04}", given.broker, given.folder, len(members))
        )
        while sum(not one.ready for one in members[-AT_ONCE:]) >= AT_ONCE:
            await _pause(deadline_s, members, given.count)
        await asyncio.sleep(0)
        if len(members) % 5 == 0:
            tell(started=len(members))
    while not all(one.ready for one in members):
        await _pause(deadline_s, members, given.count)
    tell(started=len(members), ready=True, base_mb=base_mb, idle_mb=usage(os.getpid()).rss_mb)
    return members


async def _pause(deadline_s: float, members: Sequence[Member], count: int) -> None:
    if time.monotonic() > deadline_s:
        ready = sum(one.ready for one in members)
        raise TimeoutError(f"{ready} of {count} agents are connected; the others are not in time")
    await asyncio.sleep(0.05)


async def _press(member: Member, every_s: float, chance: random.Random) -> None:
    """Presses at random until it is cancelled; a button that is down comes up in any case."""
    while True:
        await asyncio.sleep(min(chance.expovariate(1 / every_s), 3 * every_s))
        await asyncio.shield(asyncio.ensure_future(member.press()))


async def _watch_links(members: Sequence[Member]) -> None:
    while True:
        for member in members:
            member.watch_link()
        await asyncio.sleep(LINKS_EVERY_S)


async def _drain(members: Sequence[Member]) -> None:
    """Until each press is taken and each alert has its receipt; at most `DRAINED_WITHIN_S`."""
    deadline_s = time.monotonic() + DRAINED_WITHIN_S
    await asyncio.sleep(1.5)  # the last button comes up
    for member in members:
        while time.monotonic() < deadline_s:
            taken = set(member.pressed) <= member.board.acknowledged
            if taken and not await member.outbox.by_id(list(member.raised)):
                break
            await asyncio.sleep(0.1)


def read_orders(orders: "asyncio.Queue[str]") -> None:
    text = os.read(sys.stdin.fileno(), 4096).decode()
    for word in text.split() or ["stop"]:
        orders.put_nowait(word)
    if not text:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", required=True)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--count", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--press-every", type=float, default=20.0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends this process
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):  # the agents are no service
        os.environ.pop(name, None)
    limit_arenas()
    set_up_log("error")
    try:
        asyncio.run(run(options.parse_args()))
    except (OSError, RuntimeError) as error:
        tell(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
