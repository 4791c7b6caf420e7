"""The brokers: name, TCP, TLS, login, subscriptions, and a message on a topic of one's own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from agent.cli.checks.certificates import ONLY_THE_SERVICE, lacks_credential, reachable
from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.config.model import Config
from agent.host.clock import NEVER_BEFORE, monotonic_s, utc_now
from agent.host.entropy import token_hex
from agent.mqtt.broker import Broker
from agent.mqtt.connect_errors import describe_connect_error
from agent.mqtt.connect_threads import run_in_thread
from agent.mqtt.connection import CONNECT_WITHIN_S, SESSION_EXPIRY_S, Connection
from agent.mqtt.dialing import open_beside
from agent.mqtt.envelope import Envelope
from agent.mqtt.paho_packets import FEATURES
from agent.mqtt.tls import alert_text, validity
from agent.mqtt.topics import DOWN
from agent.runtime.error_text import describe_error
from agent.runtime.sanitize import json_object, printable

ANSWER_TIMEOUT_S = 5.0
CENTRE_TIMEOUT_S = 1.0
"""Enough: the centre's retained status arrives with the SUBACK."""
WITHIN_S = 20.0
FIRST_FAILURE_CODE = 0x80
NO_SUBSCRIBERS = 0x10
RENEW_DAYS = 30
OWN_TOPIC = "telemetry/doctor"
BODY = b"ringpost doctor"
"""No JSON object: a centre leaves it out."""
NEEDED = (FEATURES["MaximumQoS"], FEATURES["RetainAvailable"])
FOR_WORKERS = FEATURES["SharedSubscriptionAvailable"]
"""No matter of a device: ``ringpost centre --check`` tries it."""
ACL = "correct the broker's ACL"


async def check_brokers(config: Config, *, agent_runs: bool = False) -> list[Finding]:
    """Each broker, the first one and its fallbacks, concurrently.

    While the agent runs no session is opened: where the certificate's name is the client id, it would be that
    of the agent, which would lose its connection.
    """
    fallbacks = (f"broker.fallbacks[{number}]" for number in range(len(config.broker.fallbacks)))
    jobs = (
        _check_in_time(config, place, broker, agent_runs=agent_runs)
        for place, broker in zip(("broker.url", *fallbacks), config.broker.in_order, strict=True)
    )
    return [finding for findings in await asyncio.gather(*jobs) for finding in findings]


async def _check_in_time(config: Config, place: str, broker: Broker, *, agent_runs: bool) -> list[Finding]:
    """One that hangs does not hide the findings of the others."""
    try:
        async with asyncio.timeout(WITHIN_S):
            return await _check_broker(config, place, broker, agent_runs=agent_runs)
    except TimeoutError:
        text = f"{broker.address[0]} does not answer within {WITHIN_S:g} s"
        return [failed(text, "is the network up? ping it", place, central=True)]


async def _check_broker(config: Config, place: str, broker: Broker, *, agent_runs: bool) -> list[Finding]:
    alone = agent_runs and not lacks_credential(broker)
    findings = [finding async for finding in _reach(place, reachable(broker), read_alert=alone)]
    if any(finding.state == "failed" for finding in findings):
        return findings
    if agent_runs:
        text = "no login: it would take the session of the running agent"
        return [*findings, skipped(text, "see the check of the agent", place)]
    if lacks_credential(broker):
        return [*findings, skipped(f"no login: {ONLY_THE_SERVICE}", place=place)]
    try:
        connection, protocol = await open_beside(broker, f"{config.device[:14]}-{token_hex(4)}")
    except OSError as error:
        text = describe_error(error)
        return [*findings, failed(text, _login_remedy(text), place, central=True)]
    findings.append(ok(f"logged in with MQTT {protocol}", place))
    findings += [_judge_feature(name, place) for name in connection.missing if name != FOR_WORKERS]
    session = _check_session(place, connection, Envelope(device=config.device))
    return findings + [finding async for finding in session]


async def _reach(place: str, broker: Broker, *, read_alert: bool) -> AsyncIterator[Finding]:
    """Name, TCP and TLS, each with its time."""
    host, port = broker.address
    began_s = monotonic_s()
    try:
        found = await run_in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), host)
        addresses = sorted({str(address[4][0]) for address in found})
        named_s = monotonic_s()
        sock = await run_in_thread(lambda: socket.create_connection((host, port), CONNECT_WITHIN_S), host)
    except (OSError, UnicodeError) as error:
        text = describe_connect_error(error, broker)
        yield replace(failed(text, _reach_remedy(error, host, port), place), central=True)
        return
    took = f"{(named_s - began_s) * 1000:.0f} ms"
    connected = f"{(monotonic_s() - named_s) * 1000:.0f} ms"
    if addresses != [host]:
        yield ok(f"{host} is {', '.join(addresses[:3])} ({took})", place)
    yield ok(f"port {port} answers ({connected})", place)
    try:
        if broker.encrypted:
            yield await run_in_thread(lambda: _shake_hands(place, broker, sock, read_alert=read_alert), host)
    except (OSError, ValueError) as error:
        text = describe_connect_error(error, broker)
        yield failed(text, _tls_remedy(text, broker), place, central=True)
    finally:
        sock.close()


def _shake_hands(place: str, broker: Broker, sock: socket.socket, *, read_alert: bool) -> Finding:
    """The version of TLS, and the days that the broker's certificate is valid. OSError, ssl.SSLError."""
    with broker.tls(NEVER_BEFORE).wrap_socket(sock, server_hostname=broker.address[0]) as tls:
        _, until = validity(tls.getpeercert(binary_form=True) or b"")
        if read_alert:  # with TLS 1.3 the broker judges our certificate only after the handshake
            tls.settimeout(1.0)
            with suppress(TimeoutError):
                tls.recv(1)
        days = (until - utc_now()).days
        text = f"{tls.version()}, the broker's certificate is valid for {days} days"
        if days < RENEW_DAYS:
            return replace(warning(text, "renew it at the broker", place), central=True)
        return ok(text, place)


async def _check_session(place: str, connection: Connection, envelope: Envelope) -> AsyncIterator[Finding]:
    """Subscribes as the agent does, with a random client id and without a last will, and publishes once.

    Some brokers use the certificate name as client id. There this is the session of the agent: it is resumed,
    and left as it was. Any other session ends with the connection.
    """
    try:
        if connection.resumed:
            text = "the certificate name is the client id: the agent's session is left as it was"
            yield ok(text, place)
        topics = [*(f"{envelope.prefix}/{topic}" for topic in DOWN), envelope.host_status]
        number = connection.subscribe(topics)
        centre, subscribed = "", False
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while not (subscribed and centre):
                    event = await connection.event(CENTRE_TIMEOUT_S)
                    if event is None and subscribed:
                        break
                    match event:
                        case ("lost", reason):
                            raise OSError(f"connection lost: {reason}")
                        case ("subscribed", mid, codes) if mid == number:
                            subscribed = True
                            for topic, code in zip(topics, codes, strict=False):
                                if code.value >= FIRST_FAILURE_CODE:
                                    text = f"not allowed to subscribe to {topic}: see the broker's ACL"
                                    yield failed(text, ACL, place, central=True)
                        case ("message", message) if message.topic == envelope.host_status:
                            if message.retain:  # all other messages stay queued for the agent
                                connection.acknowledge(message)
                            centre = printable((json_object(message.payload) or {}).get("state"))
        if not subscribed:
            text = f"no answer to SUBSCRIBE within {ANSWER_TIMEOUT_S:g} s"
            yield failed(text, "look at the broker's log", place, central=True)
        yield await _publish(place, connection, f"{envelope.prefix}/{OWN_TOPIC}")
        yield _judge_centre(centre, place)
    except OSError as error:
        yield failed(describe_error(error), "look at the broker's log", place, central=True)
    finally:
        connection.close(session_expiry_s=SESSION_EXPIRY_S if connection.resumed else 0)


async def _publish(place: str, connection: Connection, topic: str) -> Finding:
    """One message with QoS 1 on a topic of the device, and its acknowledgement. OSError: connection lost."""
    began_s = monotonic_s()
    number = connection.publish(topic, BODY, 1, False, expires_s=60)
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                match await connection.event(CENTRE_TIMEOUT_S):
                    case ("lost", reason):
                        raise OSError(f"connection lost: {reason}")
                    case ("published", mid, code) if mid == number:
                        if code.value >= FIRST_FAILURE_CODE:
                            text = f"not allowed to publish to {topic}: {str(code).lower()}"
                            return failed(text, ACL, place, central=True)
                        took_ms = (monotonic_s() - began_s) * 1000
                        nobody = "; nobody subscribes to it" if code.value == NO_SUBSCRIBERS else ""
                        return ok(f"a message to {topic} acknowledged in {took_ms:.0f} ms{nobody}", place)
    text = f"a message to {topic} not acknowledged within {ANSWER_TIMEOUT_S:g} s"
    return failed(text, "look at the broker's log", place, central=True)


def _judge_feature(name: str, place: str) -> Finding:
    """Something that the broker says it does not have."""
    text, remedy = f"the broker has no {name}", "allow them in its configuration: docs/scale.md"
    found = failed(text, remedy, place) if name in NEEDED else warning(text, remedy, place)
    return replace(found, central=True)


def _judge_centre(centre: str, place: str) -> Finding:
    text = f"connected; centre: {centre or 'never seen'}"
    if centre == "online":
        return ok(text, place)
    remedy = "start the centre: alerts wait on the device until it gives receipts"
    return replace(warning(text, remedy, place), central=True)


def _reach_remedy(error: Exception, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"is the network up? getent hosts {host}; or correct broker.url"
    if isinstance(error, ConnectionRefusedError):
        return "start the broker, or correct the port in broker.url"
    return f"is the network up, and is port {port} open in the firewall? ping {host}"


def _tls_remedy(text: str, broker: Broker) -> str:
    if "not signed by" in text or "self-signed" in text:
        return f"write the CA of the broker's certificate into {broker.ca or 'broker.ca'}"
    if "another name" in text:
        return "write the name in the broker's certificate into broker.url"
    if "clock" in text and "its certificate" in text:
        return "set the clock, else renew the broker's certificate"
    return _login_remedy(text)


def _login_remedy(text: str) -> str:
    if alert_text(text) or "certificate" in text:
        return "let the centre issue a new certificate for this device"
    if "refused" in text:
        return "let the centre register this device: user, password or certificate, ACL"
    return "look at the broker's log"
