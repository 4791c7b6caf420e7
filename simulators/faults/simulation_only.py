"""Faults are for simulations only: topics of simulated devices, and a broker on this machine or our own."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from agent.domain.message import SIMULATED_ROOT


class NotSimulatedError(ValueError):
    """Faults are refused here: the message says why."""


def refuse_outside_simulation(root: str, broker_url: str, *, own_broker: bool = False) -> None:
    """NotSimulatedError unless topics stand below `SIMULATED_ROOT`, and the broker is on loopback or
    ``own_broker``: one that the simulator started."""
    if root != SIMULATED_ROOT:
        raise NotSimulatedError(f"faults are for simulations: topics below {SIMULATED_ROOT}, not {root}")
    if not own_broker:
        refuse_elsewhere(urlsplit(broker_url).hostname or "")


def refuse_elsewhere(host: str) -> None:
    """NotSimulatedError where ``host`` is not this machine. A name other than localhost is not looked up: it
    may mean another machine by the time of the connection."""
    if not is_loopback(host):
        raise NotSimulatedError(
            f"faults are for simulations: a broker on 127.0.0.1, or one that the simulator starts, not {host}"
        )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is surely this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
