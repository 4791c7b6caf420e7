"""A broker, in the process of a probe: TCP, TLS, and the answer to a login."""

import socket
import ssl
from datetime import UTC, datetime
from typing import Any

from agent.control.probe_request import STEP_S
from agent.host.clock import NEVER_BEFORE, monotonic_s, utc_now
from agent.host.entropy import token_hex
from agent.mqtt.broker import Broker
from agent.mqtt.connect_errors import describe_connect_error
from agent.mqtt.connection import SESSION_EXPIRY_S
from agent.mqtt.dialing import open_beside
from agent.runtime.child_process import answer


async def probe_broker(broker: Broker, device: str, *, log_in: bool) -> None:
    """Answers step by step. OSError: the step that failed, and why."""
    host, port = broker.address
    answer({"kind": "broker", "host": host, "port": port, "encrypted": broker.encrypted})
    began_s = monotonic_s()
    try:
        with socket.create_connection((host, port), STEP_S) as sock:
            answer({"tcp_ms": _ms(began_s)})
            if broker.encrypted:
                _shake_hands(broker, sock)
    except (OSError, ValueError) as error:
        raise OSError(describe_connect_error(error, broker)) from error
    if not log_in:
        return
    began_s = monotonic_s()
    connection, protocol = await open_beside(broker, f"{device[:14]}-{token_hex(4)}")
    # Where the certificate's name is the client id, this was the session of the running agent.
    answer({"login": "accepted", "mqtt": protocol, "login_ms": _ms(began_s)})
    if connection.resumed:
        answer({"note": "the certificate name is the client id: the running agent had to reconnect"})
    connection.close(session_expiry_s=SESSION_EXPIRY_S if connection.resumed else 0)


def _shake_hands(broker: Broker, sock: socket.socket) -> None:
    began_s = monotonic_s()
    with broker.tls(NEVER_BEFORE).wrap_socket(sock, server_hostname=broker.address[0]) as tls:
        certificate: dict[str, Any] = tls.getpeercert() or {}
        expires_s = ssl.cert_time_to_seconds(certificate["notAfter"])
        until = datetime.fromtimestamp(expires_s, UTC)
        answer(
            {
                "tls": {
                    "version": tls.version(),
                    "subject": _name(certificate.get("subject", ())),
                    "issuer": _name(certificate.get("issuer", ())),
                    "until": f"{until:%Y-%m-%d}",
                    "days_left": (until - utc_now()).days,
                },
                "tls_ms": _ms(began_s),
            }
        )


def _name(parts: Any) -> str:
    """A distinguished name, such as ``CN=broker, O=city``."""
    short = {"commonName": "CN", "organizationName": "O"}
    return ", ".join(f"{short.get(key, key)}={value}" for part in parts for key, value in part)[:200]


def _ms(since_s: float) -> int:
    return round((monotonic_s() - since_s) * 1000)
