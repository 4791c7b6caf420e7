"""``ringpost watch``: devices, health and alerts, live."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from agent.domain.durations import parse_duration
from agent.mqtt.connection import Connection
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_USAGE
from agent.runtime.sanitize import readable

if TYPE_CHECKING:
    from agent.cli.watch_board import Board
from agent.cli.broker_session import _check_subscribed, _visit, at_broker

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""`watch` connects again after this, doubled each time."""


def watch_command(devices: Sequence[str], url: str, root: str, duration: str | None, as_json: bool) -> int:
    """Shows each device's state, health and active alerts, live, until it is interrupted."""
    from agent.cli.watch_board import Board

    try:
        limit_s = None if duration is None else parse_duration(duration).total_seconds()
    except ValueError as error:
        click.echo(f"watch: {error}", err=True)
        return EX_USAGE

    topics = [
        f"{root}/{device}/{topic}"
        for device in devices or ("+",)
        for topic in ("status", "birth", "health", "position", "alert", "alerts/active")
    ]

    async def work(connection: Connection) -> int:
        with Board(as_json) as board:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await _watch(connection, board, topics, url, root)
            return 0

    code = at_broker(url, work)
    return 0 if code == EX_INTERRUPTED else code


async def _watch(first: Connection, board: "Board", topics: Sequence[str], url: str, root: str) -> None:
    """Shows what comes, for ever: a connection that is lost is made anew. OSError: not allowed to listen."""
    connection, wait_s = first, FIRST_WAIT_S
    loop = asyncio.get_running_loop()
    while True:
        opened_s = loop.time()
        try:
            await _show(connection, board, topics, root)
        except ConnectionError as error:
            trouble = str(error)
        finally:
            if connection is not first:
                connection.close()
        if loop.time() - opened_s > LONGEST_WAIT_S:
            wait_s = FIRST_WAIT_S
        while True:
            board.link(f"{trouble}; trying again")
            await _wait(board, wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            try:
                connection = await _visit(url)
                break
            except OSError as error:
                trouble = str(error)


async def _show(connection: Connection, board: "Board", topics: Sequence[str], root: str) -> None:
    """Until the connection is lost (ConnectionError). OSError where the broker refuses to show it."""
    number = connection.subscribe(topics)
    while True:
        event = await connection.event(0.5)
        match event:
            case ("lost", reason):
                raise ConnectionError(f"connection lost: {reason}")
            case ("subscribed", mid, codes) if mid == number:
                _check_subscribed(topics, codes)
                board.link("")
            case ("message", message):
                device, _, topic = message.topic.removeprefix(root + "/").partition("/")
                board.hear(device, topic, readable(message.payload) or {}, bool(message.retain))
                connection.acknowledge(message)
        board.show()


async def _wait(board: "Board", seconds: float) -> None:
    """Ages go on meanwhile."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        board.show()
        await asyncio.sleep(min(0.5, end_s - loop.time()))
