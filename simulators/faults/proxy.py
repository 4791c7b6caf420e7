"""A TCP proxy with faults, in toxiproxy's vocabulary: between a device and its broker, in real time.

``python -m simulators.faults.proxy --listen 127.0.0.1:1884 --upstream 127.0.0.1:1883 --toxic latency=200``
"""

import asyncio
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

import click

from simulators.faults.proxy_connection import ProxyConnection, reset
from simulators.faults.simulation_only import refuse_elsewhere
from simulators.faults.toxics import Toxic, parse_toxic


class FaultProxy:
    """``async with FaultProxy(("127.0.0.1", 1883)) as proxy``: the client connects to ``proxy.address``.

    Without toxics it passes on all bytes. Toxics act on present and on new connections; those of one
    direction act in the order in which they were added.
    """

    def __init__(
        self, upstream: tuple[str, int], listen: tuple[str, int] = ("127.0.0.1", 0), *, seed: int = 0
    ) -> None:
        self.upstream = upstream
        self.address = listen
        self.toxics: dict[str, Toxic] = {}
        self.struck: Counter[str] = Counter()
        """How often each kind of toxic, or ``down``, acted: on a chunk of data, or on a connection."""
        self.on_first_data: Callable[[bytes], bytes | None] | None = None
        """Given the client's first data, the answer with which its connection ends; None lets it through."""
        self._chance = random.Random(seed)
        self._connections: set[ProxyConnection] = set()
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    @property
    def is_down(self) -> bool:
        return self._listener is None

    async def __aenter__(self) -> Self:
        self.set_down(False)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.set_down(True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, name: str, toxic: Toxic) -> None:
        """ValueError where a toxic of that name is on."""
        if name in self.toxics:
            raise ValueError(f"the toxic {name!r} is on already")
        self.toxics[name] = toxic
        for connection in self._connections:
            connection.add(name, toxic)

    def remove(self, name: str) -> None:
        """Ends a toxic; connections that lost data by it are reset."""
        toxic = self.toxics.pop(name, None)
        for connection in list(self._connections):
            if connection.remove(name) and toxic is not None and toxic.loses:
                connection.reset()

    def set_down(self, down: bool) -> None:
        """Connections are reset, and new ones refused; else it listens again at the same address."""
        if down == self.is_down:
            return
        if not down:
            self._listener = socket.create_server(self.address)
            self._listener.setblocking(False)
            self.address = self._listener.getsockname()[:2]
            self._accepting = self._start(self._accept(self._listener))
            return
        self.stop_listening()
        self.reset()

    def stop_listening(self) -> None:
        """New connections are refused; the present ones go on."""
        if self._listener is not None and self._accepting is not None:
            self._accepting.cancel()
            self._listener.close()
            self._listener = None

    def reset(self) -> None:
        """Resets each connection."""
        for connection in list(self._connections):
            self.struck["down"] += 1
            connection.reset()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self._start(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            reset(writer)
            return
        connection = ProxyConnection(
            (reader, writer), (far_reader, far_writer), self._chance, self.struck, self.on_first_data
        )
        for name, toxic in self.toxics.items():
            connection.add(name, toxic)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


def parse_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:1884``. ValueError where it is not on this machine: faults are for simulations only."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) < 65_536:
        raise ValueError(f"{text!r} is no address; write 127.0.0.1:1884")
    refuse_elsewhere(host)
    return host, int(port)


async def serve(upstream: str, listen: str, toxics: list[str]) -> None:
    """Runs a proxy until it is cancelled. ValueError and OSError in one line."""
    async with FaultProxy(parse_address(upstream), parse_address(listen)) as proxy:
        for number, text in enumerate(toxics):
            if text != "down":
                proxy.add(f"{number}", parse_toxic(text))
        sys.stdout.write(f"{proxy.address[0]}:{proxy.address[1]} -> {upstream}\n")
        sys.stdout.flush()
        if "down" in toxics:
            proxy.set_down(True)
        await asyncio.Event().wait()


@click.command()
@click.option("--listen", default="127.0.0.1:0", help="Address that the device connects to.")
@click.option("--upstream", required=True, help="Address of the broker, on this machine.")
@click.option("--toxic", multiple=True, help="Such as latency=200,jitter=50,stream=upstream; or down.")
def main(listen: str, upstream: str, toxic: tuple[str, ...]) -> None:
    """Pass a simulated device's connection on, with faults."""
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(serve(upstream, listen, list(toxic)))
        except (OSError, ValueError) as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
