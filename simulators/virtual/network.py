"""The network between devices and brokers: socket pairs, and what can happen to the way between them."""

import errno
import os
import random
import socket
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args

from agent.host.network import Network
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.worker import pass_time

Cut: TypeAlias = Literal["closed", "reset", "half_open", "unreachable", "tls_expired", "auth_revoked"]
CUTS: tuple[Cut, ...] = get_args(Cut)
Address: TypeAlias = tuple[str, int]


SLICE_S = 0.001
"""Between two pieces of what the slicer has cut."""
_REFUSALS = {
    "closed": errno.ECONNREFUSED,
    "reset": errno.ECONNRESET,
    "unreachable": errno.EHOSTUNREACH,
}


class VirtualSocket(socket.socket):
    """The client's end of a connection. ``failure`` is raised where it reads or writes once the far end is
    gone, instead of an orderly end."""

    failure: OSError | None = None
    peer: Address = ("", 0)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.failure is not None:
            raise self.failure
        return super().recv(size, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        if self.failure is not None:
            raise self.failure
        return super().send(data, flags)

    def getpeername(self) -> Address:
        return self.peer

    def setsockopt(self, *_: Any) -> None:
        """It has no options of TCP."""


class Server(Protocol):
    """A broker."""

    def accept(self, sock: socket.socket, route: "Route", far_end: VirtualSocket) -> None:
        """Takes a connection. ConnectionRefusedError while it is down."""


@dataclass(slots=True, eq=False)
class Route:
    """The way between one device and all brokers. ``name`` is the device's, or that of a centre."""

    loop: VirtualLoop
    name: str
    random: random.Random
    cut: Cut | None = None
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    ends: dict["Pipe", None] = field(default_factory=dict)
    """Both directions of each connection."""
    struck: Counter[str] = field(default_factory=Counter)
    """How often each fault struck this device, see `simulators.stage.StagedBroker.struck`."""

    @property
    def shaped(self) -> bool:
        return bool(self.latency_s or self.jitter_s or self.bytes_per_s or self.slice_bytes)

    @property
    def swallows(self) -> bool:
        """Whether nothing arrives, and nobody is told."""
        return self.cut in ("half_open", "unreachable")

    def check(self, within_s: float) -> None:
        """OSError where no connection can be opened now; takes as long as that takes."""
        if self.cut is not None and self.cut != "auth_revoked":
            self.struck[self.cut] += 1
            if self.cut == "half_open":
                pass_time(within_s)
                raise TimeoutError("timed out")
            if self.cut == "tls_expired":
                raise _expired()
            raise _error(_REFUSALS[self.cut])
        if self.shaped:
            self.struck["shape"] += 1
            pass_time(2 * self.latency_s)

    def mend(self) -> None:
        """Lets what was kept back go on."""
        self.cut = None
        for pipe in list(self.ends):
            pipe.flush()


class Pipe:
    """One direction of a connection over a route: bytes arrive in order, at once or later."""

    def __init__(self, route: Route, deliver: Callable[[bytes], None]) -> None:
        self._route = route
        self._deliver = deliver
        self._due_s = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._closed = False
        route.ends[self] = None

    def send(self, data: bytes) -> None:
        route, now_s = self._route, self._route.loop.now_s
        if route.cut is not None and route.swallows:
            route.struck[route.cut] += 1
            self._waiting.append((now_s, data))
            return
        if not self._waiting and not route.shaped:
            self._deliver(data)
            return
        route.struck["shape"] += 1
        if route.slice_bytes and len(data) > route.slice_bytes:
            for at in range(0, len(data), route.slice_bytes):
                self._delay(data[at : at + route.slice_bytes])
        else:
            self._delay(data)

    def _delay(self, data: bytes) -> None:
        route = self._route
        begins_s = max(
            route.loop.now_s + route.latency_s + route.random.uniform(0, route.jitter_s), self._due_s
        )
        takes_s = len(data) / route.bytes_per_s if route.bytes_per_s else SLICE_S * bool(route.slice_bytes)
        self._due_s = begins_s + takes_s
        self._waiting.append((self._due_s, data))
        route.loop.call_at(self._due_s, self.flush)

    def flush(self) -> None:
        """Delivers what is due, unless the route is cut."""
        while self._waiting and self._waiting[0][0] <= self._route.loop.now_s and not self._closed:
            if self._route.swallows:
                return
            self._deliver(self._waiting.popleft()[1])

    def close(self) -> None:
        self._closed = True
        self._route.ends.pop(self, None)


class VirtualNetwork(Network):
    """The network that one device sees: ``servers`` by address."""

    def __init__(self, route: Route, servers: Mapping[Address, Server]) -> None:
        self.route = route
        self._servers = servers
        self._clients: list[VirtualSocket] = []

    def close_all(self) -> None:
        """Closes all connections of the device, as the kernel does when a process has ended.

        Their descriptors stay taken until what is left of the process is freed: it removes their numbers from
        the loop, which would otherwise be those of others by then.
        """
        clients, self._clients = self._clients, []
        for client in clients:
            with suppress(OSError):  # closed already
                client.shutdown(socket.SHUT_RDWR)

    def connect(self, address: Address, within_s: float) -> socket.socket:
        self.route.check(within_s)
        server = self._servers.get(address)
        if server is None:
            raise _error(errno.ECONNREFUSED)
        ours, theirs = socket.socketpair()
        client = VirtualSocket(fileno=ours.detach())
        client.peer = address
        theirs.setblocking(False)
        try:
            server.accept(theirs, self.route, client)
        except OSError:
            client.close()
            theirs.close()
            raise
        self._clients = [one for one in self._clients if one.fileno() >= 0] + [client]
        return client


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _expired() -> ssl.SSLCertVerificationError:
    """What a client finds where the certificate of its broker has expired."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    return error


def lost_error(cut: Cut | None) -> OSError | None:
    """What a client finds on an open connection; None for an orderly end."""
    return _error(_REFUSALS[cut]) if cut in ("reset", "unreachable") else None
