"""Why a broker cannot be reached, in one line for a technician."""

import socket
import ssl
from datetime import datetime

from agent.host.clock import kernel_clock, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.tls import describe_tls_error, validity


def describe_connect_error(error: Exception, broker: Broker) -> str:
    """One line with the address of the broker, or the name of the file that cannot be read."""
    host, port = broker.address
    address = f"{host}:{port}"
    if isinstance(error, ssl.SSLError):
        return f"{address}: {describe_tls_error(error, host, broker.ca, utc_now())}"
    if isinstance(error, socket.gaierror):
        return f"the name {host} is not found"
    if isinstance(error, ConnectionRefusedError):
        return f"{address} refused: no broker listens there"
    if isinstance(error, TimeoutError):
        return f"{address} does not answer"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{address}: {getattr(error, 'strerror', None) or error}"


def check_certificate_time(certificate: bytes, past: datetime, broker: Broker) -> None:
    """For a clock that is behind ``past``, an instant that is certainly past: the broker's certificate (DER)
    must be valid beyond it. OSError where it is not.

    The remembered instant may come from a clock that was set wrong. A synchronised clock, and a certificate
    that is valid by it, outweigh it: else such a device would never connect again.
    """
    since, until = validity(certificate)
    agreed = kernel_clock()[0] and since <= utc_now() <= until
    if until < past and not agreed:
        host, port = broker.address
        raise OSError(f"{host}:{port}: its certificate has expired, on {until:%Y-%m-%d}")
