"""Connections to brokers."""

import socket
from contextvars import ContextVar, Token


class Network:
    """The network of this machine."""

    def connect(self, address: tuple[str, int], within_s: float) -> socket.socket:
        """A connected socket; blocking. OSError where the address is unknown, refuses or does not answer."""
        return socket.create_connection(address, within_s)


_NETWORK: ContextVar[Network] = ContextVar("network", default=Network())  # noqa: B039  it has no state


def use_network(network: Network) -> Token[Network]:
    """Makes ``network`` that of the present context, and of all tasks that it starts from now on."""
    return _NETWORK.set(network)


def connect(address: tuple[str, int], within_s: float) -> socket.socket:
    """A connected socket; blocking. OSError where the address is unknown, refuses or does not answer."""
    return _NETWORK.get().connect(address, within_s)
