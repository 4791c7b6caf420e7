"""The fault proxy with real sockets: each toxic as toxiproxy has it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from simulators.faults.proxy import FaultProxy
from simulators.faults.toxics import (
    Bandwidth,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

Client: TypeAlias = Callable[[FaultProxy], Awaitable[None]]
pytestmark = pytest.mark.end_to_end
SECOND = 10.0
"""The limit of each wait: the machine may be busy."""


def with_proxy(client: Client, *toxics: Toxic, **settings: int) -> None:
    """Runs ``client`` against a proxy before a server that echoes."""

    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        async with FaultProxy(("127.0.0.1", port), **settings) as proxy:
            for number, toxic in enumerate(toxics):
                proxy.add(f"{number}", toxic)
            await asyncio.wait_for(client(proxy), SECOND)
        server.close()

    asyncio.run(run())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


async def asked(proxy: FaultProxy, data: bytes) -> bytes:
    """What comes back of ``data``, up to the end."""
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


DATA = bytes(range(256)) * 40


def test_without_toxics_all_bytes_pass_both_ways() -> None:
    async def client(proxy: FaultProxy) -> None:
        assert await asked(proxy, DATA) == DATA
        assert not proxy.struck

    with_proxy(client)


@pytest.mark.parametrize(
    ("toxic", "least_s"),
    [
        (Latency(latency=150, jitter=20), 0.13),
        (Latency(latency=150, stream="upstream"), 0.15),
        (Bandwidth(rate=50), 0.19),
        (SlowClose(delay=150), 0.15),
        (Slicer(average_size=1000, size_variation=100, delay=10_000), 0.08),
    ],
)
def test_a_slow_link_delays_and_loses_nothing(toxic: Toxic, least_s: float) -> None:
    async def client(proxy: FaultProxy) -> None:
        began_s = time.monotonic()
        assert await asked(proxy, DATA) == DATA
        assert time.monotonic() - began_s >= least_s
        assert proxy.struck[toxic.kind]

    with_proxy(client, toxic)


def test_latency_is_no_limit_of_the_rate() -> None:
    """Chunks are under way at the same time."""

    async def client(proxy: FaultProxy) -> None:
        began_s = time.monotonic()
        assert await asked(proxy, DATA * 10) == DATA * 10
        assert time.monotonic() - began_s < 25 * 0.2

    with_proxy(client, Latency(latency=200))


def test_several_toxics_act_together() -> None:
    async def client(proxy: FaultProxy) -> None:
        assert await asked(proxy, DATA) == DATA[:1000]
        assert set(proxy.struck) >= {"latency", "slicer", "limit_data"}

    with_proxy(client, Slicer(average_size=100), Latency(latency=20), LimitData(limit=1000))


def test_a_timeout_lets_nothing_through_and_ends_the_connection() -> None:
    async def client(proxy: FaultProxy) -> None:
        assert await asked(proxy, DATA) == b""
        assert proxy.struck["timeout"]

    with_proxy(client, Timeout(timeout=100))


def test_a_half_open_connection_stays_open_and_is_reset_when_the_fault_ends() -> None:
    async def client(proxy: FaultProxy) -> None:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        for stream in ("upstream", "downstream"):
            proxy.add(stream, Timeout(stream=stream))
        writer.write(b"during")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        proxy.remove("upstream")
        proxy.remove("downstream")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        assert await asked(proxy, DATA) == DATA

    with_proxy(client)


def test_reset_peer_sends_a_reset() -> None:
    async def client(proxy: FaultProxy) -> None:
        with pytest.raises(ConnectionResetError):
            await asked(proxy, DATA)
        assert proxy.struck["reset_peer"]
        proxy.remove("0")
        assert await asked(proxy, DATA) == DATA

    with_proxy(client, ResetPeer(timeout=50))


def test_down_refuses_and_up_serves_at_the_same_address() -> None:
    async def client(proxy: FaultProxy) -> None:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        address = proxy.address
        proxy.set_down(True)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        proxy.set_down(False)
        assert proxy.address == address
        assert await asked(proxy, DATA) == DATA

    with_proxy(client)


def test_toxicity_is_the_share_of_the_connections() -> None:
    async def client(proxy: FaultProxy) -> None:
        answers = [await asked(proxy, b"x") for _ in range(40)]
        assert 5 <= answers.count(b"") <= 35

    with_proxy(client, LimitData(limit=0, toxicity=0.5), seed=1)


def test_the_first_data_may_be_answered_by_the_proxy() -> None:
    async def client(proxy: FaultProxy) -> None:
        proxy.on_first_data = lambda data: b"refused" if data.startswith(b"hello") else None
        assert await asked(proxy, b"hello") == b"refused"
        assert await asked(proxy, b"other") == b"other"

    with_proxy(client)
