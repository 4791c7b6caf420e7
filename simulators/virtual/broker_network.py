"""The network side of the broker in the loop: the ways to it, their faults, and how often each struck."""

import contextvars
import random
import socket
from collections import Counter

from simulators.virtual.broker_connection import BrokerConnection, Sessions, reset_error
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.network import CUTS, Cut, Route, VirtualSocket
from simulators.virtual.unkindness import Unkindness

SHUTTING_DOWN, NOT_AUTHORIZED = 0x8B, 0x87


class BrokerNetwork(Sessions):
    """See `simulators.stage.StagedBroker`."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.loop = loop
        self.unkind = Unkindness(seed)
        self.refused_clients: dict[str, int] = {}
        """Reason codes with which CONNECT is refused, by the name of the route."""
        self.down = False
        self.connections: dict[BrokerConnection, None] = {}
        self.routes: dict[str, Route] = {}
        self._seed = seed
        self._struck: Counter[tuple[str, str]] = Counter()
        self._context = contextvars.copy_context()

    def route(self, name: str) -> Route:
        """The way from the device ``name``."""
        if name not in self.routes:
            seeded = random.Random(f"{self._seed}/route/{name}")
            self.routes[name] = Route(self.loop, name, seeded)
        return self.routes[name]

    def accept(self, sock: socket.socket, route: Route, far_end: VirtualSocket) -> None:
        if self.down:
            self.note("down", route)
            raise ConnectionRefusedError(111, "Connection refused")
        connection = self._context.copy().run(BrokerConnection, self, sock, route, far_end)
        self.connections[connection] = None

    def set_down(self, down: bool) -> None:
        """Connections end, and new ones are refused. Sessions and retained messages stay."""
        self.down = down
        if down:
            for connection in list(self.connections):
                self.note("down", connection.route)
                connection.close(SHUTTING_DOWN)

    def cut(self, device: str, how: str) -> None:
        """ValueError for an unknown kind."""
        kinds: dict[str, Cut] = {one: one for one in CUTS}
        if how not in kinds:
            raise ValueError(f"unknown cut {how!r}; known: {', '.join(CUTS)}")
        route = self.route(device)
        route.cut = kinds[how]
        if how not in ("half_open", "unreachable"):
            self.drop(
                device,
                code=NOT_AUTHORIZED if how == "auth_revoked" else None,
                failure=reset_error() if how == "reset" else None,
            )

    def drop(self, device: str, *, code: int | None = None, failure: OSError | None = None) -> None:
        """Ends the present connections of a device."""
        for connection in [one for one in self.connections if one.route.name == device]:
            if connection.route.cut is not None:
                self.note(connection.route.cut, connection.route)
            connection.close(code, failure=failure)

    def fall_silent(self, device: str) -> None:
        """The device lost its power: its connections stay open here, and nothing comes any more."""
        for connection in self.connections:
            if connection.route.name == device:
                connection.fall_silent()

    def mend(self, device: str) -> None:
        self.route(device).mend()

    def set_unkind(self, how: str, chance: float) -> None:
        self.unkind.set(how, chance)

    def shape(
        self,
        device: str,
        *,
        latency_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        slice_bytes: int | None = None,
    ) -> None:
        route = self.route(device)
        route.latency_s, route.jitter_s, route.bytes_per_s = latency_s, jitter_s, bytes_per_s
        route.slice_bytes = slice_bytes

    def struck(self, how: str, device: str | None = None) -> int:
        routes = [one for one in self.routes.values() if device in (None, one.name)]
        noted = sum(self._struck[how, one.name] + one.struck[how] for one in routes)
        return noted + (self.unkind.effects[how] if device is None else 0)

    def note(self, how: str, route: Route) -> None:
        """A fault struck a connection of this device."""
        self._struck[how, route.name] += 1

    def refusal(self, route: Route) -> int | None:
        """The reason code with which a CONNECT from there is refused now; None: it is not."""
        if route.cut == "auth_revoked":
            self.note("auth_revoked", route)
            return NOT_AUTHORIZED
        return self.refused_clients.get(route.name)
