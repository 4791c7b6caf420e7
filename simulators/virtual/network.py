"""The network between devices and brokers: socket pairs, and what can happen to the way between them."""

import errno
import os
import random
import socket
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args

from agent.host.network import Network
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.worker import pass_time

Cut: TypeAlias = Literal["closed", "reset", "half_open", "unreachable", "tls_expired", "auth_revoked"]
CUTS: tuple[Cut, ...] = get_args(Cut)
Address: TypeAlias = tuple[str, int]
PIECE_S = 0.001
"""Between the pieces of a packet."""
CERTIFICATE_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


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
    ends: dict["Pipe", None] = field(default_factory=dict)
    """Both directions of each connection."""
    slice_bytes: int | None = None
    """No more arrive at once."""
    struck: Counter[str] = field(default_factory=Counter)
    """How often a cut has refused a connection or kept back a packet, and how often ``shape`` delayed one."""

    @property
    def shaped(self) -> bool:
        return bool(self.latency_s or self.jitter_s or self.bytes_per_s or self.slice_bytes)

    def check(self, within_s: float) -> None:
        """OSError where no connection can be opened now; takes as long as that takes."""
        if self.cut is not None and self.cut != "auth_revoked":
            self.struck[self.cut] += 1
        match self.cut:
            case "unreachable":
                raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
            case "half_open":
                pass_time(within_s)
                raise TimeoutError("timed out")
            case "tls_expired":
                raise expired_certificate()
            case "closed" | "reset":
                code = errno.ECONNREFUSED if self.cut == "closed" else errno.ECONNRESET
                raise OSError(code, os.strerror(code))
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
        if route.cut in ("half_open", "unreachable"):
            route.struck[route.cut] += 1
            self._waiting.append((now_s, data))
            return
        if not self._waiting and not route.shaped:
            self._deliver(data)
            return
        route.struck["shape"] += route.shaped
        begins_s = max(now_s + route.latency_s + route.random.uniform(0, route.jitter_s), self._due_s)
        size = route.slice_bytes or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            begins_s += len(piece) / route.bytes_per_s if route.bytes_per_s else 0.0
            begins_s += PIECE_S if start else 0.0
            self._waiting.append((begins_s, piece))
            route.loop.call_at(begins_s, self.flush)
        self._due_s = begins_s

    def flush(self) -> None:
        """Delivers what is due, unless the route is cut."""
        while self._waiting and self._waiting[0][0] <= self._route.loop.now_s and not self._closed:
            if self._route.cut in ("half_open", "unreachable"):
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
        """Closes all connections of the device, as the kernel does when a process has ended."""
        clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def connect(self, address: Address, within_s: float) -> socket.socket:
        self.route.check(within_s)
        server = self._servers.get(address)
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
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


def expired_certificate() -> ssl.SSLCertVerificationError:
    """As OpenSSL reports it."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")
    error.reason, error.verify_code = "CERTIFICATE_VERIFY_FAILED", CERTIFICATE_EXPIRED
    error.verify_message = "certificate has expired"
    return error
