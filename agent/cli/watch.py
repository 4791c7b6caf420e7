"""``ringpost watch``: devices, health and alerts, live."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from agent.domain.durations import parse_duration
from agent.host.entropy import uniform
from agent.mqtt.connection import Connection
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_USAGE
from agent.runtime.sanitize import json_object

if TYPE_CHECKING:
    from agent.cli.watch_board import WatchBoard
from agent.cli.broker_session import check_subscribed, open_session, run_with_broker

FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
"""Backoff between attempts to reconnect: doubled after each failure, with jitter."""


def watch_command(devices: Sequence[str], url: str, root: str, duration: str | None, as_json: bool) -> int:
    """Shows state, health and active alerts of each device until interrupted. 69: broker unreachable."""
    from agent.cli.watch_board import WatchBoard

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
        with WatchBoard(as_json) as board:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await _watch_with_retries(connection, board, topics, url, root)
            return 0

    code = run_with_broker(url, work)
    return 0 if code == EX_INTERRUPTED else code


async def _watch_with_retries(
    first: Connection, board: "WatchBoard", topics: Sequence[str], url: str, root: str
) -> None:
    """Shows messages for ever, with reconnects. OSError: the broker refuses the subscription."""
    connection, wait_s = first, FIRST_RETRY_S
    loop = asyncio.get_running_loop()
    while True:
        opened_s = loop.time()
        try:
            await _show_messages(connection, board, topics, root)
        except ConnectionError as error:
            problem = str(error)
        finally:
            if connection is not first:
                connection.close()
        if loop.time() - opened_s > MAX_RETRY_S:
            wait_s = FIRST_RETRY_S
        while True:
            board.set_link_problem(f"{problem}; retrying")
            await _wait_and_show(board, wait_s * uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, MAX_RETRY_S)
            try:
                connection = await open_session(url)
                break
            except OSError as error:
                problem = str(error)


async def _show_messages(
    connection: Connection, board: "WatchBoard", topics: Sequence[str], root: str
) -> None:
    """Shows messages until the connection is lost (ConnectionError). OSError: subscription refused."""
    number = connection.subscribe(topics)
    while True:
        event = await connection.event(0.5)
        match event:
            case ("lost", reason):
                raise ConnectionError(f"connection lost: {reason}")
            case ("subscribed", mid, codes) if mid == number:
                check_subscribed(topics, codes)
                board.set_link_problem("")
            case ("message", message):
                device, _, topic = message.topic.removeprefix(root + "/").partition("/")
                board.on_message(device, topic, json_object(message.payload) or {}, bool(message.retain))
                connection.acknowledge(message)
        board.show()


async def _wait_and_show(board: "WatchBoard", seconds: float) -> None:
    """Waits, and refreshes the ages shown."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        board.show()
        await asyncio.sleep(min(0.5, end_s - loop.time()))
