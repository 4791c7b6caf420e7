"""Checks the brokers of a configuration: certificates, connection and ACL."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from agent.cli.check_finding import EnvironmentFinding
from agent.config.model import Config
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection, UnsupportedProtocolError
from agent.mqtt.dialing import open_either
from agent.mqtt.envelope import Envelope
from agent.mqtt.tls import expiry
from agent.mqtt.topics import DOWN
from agent.runtime.error_text import describe_error
from agent.runtime.kernel_clock import NEVER_BEFORE
from agent.runtime.sanitize import json_object, printable

RENEWAL_PERIOD = timedelta(days=30)
"""A certificate that expires sooner is reported."""
ANSWER_TIMEOUT_S = 5.0
CENTRE_TIMEOUT_S = 1.0
"""Enough: the centre's retained status arrives with the SUBACK."""
SESSION_EXPIRY_S = 60
FIRST_FAILURE_CODE = 0x80


async def check_brokers(config: Config) -> list[EnvironmentFinding]:
    findings = list(_check_certificates(config.broker))
    if any(finding.wrong for finding in findings):
        return findings
    places = [
        "broker.url",
        *(f"broker.fallbacks[{number}]" for number in range(len(config.broker.fallbacks))),
    ]
    for place, broker in zip(places, config.broker.in_order, strict=True):
        try:
            connection = await _connect(broker, f"{config.device[:14]}-{secrets.token_hex(4)}")
        except OSError as error:
            findings.append(EnvironmentFinding(True, f"{place}: {describe_error(error)}"))
        else:
            findings += [
                finding async for finding in _check_session(place, connection, Envelope(device=config.device))
            ]
    return findings


def _check_certificates(broker: Broker) -> Iterator[EnvironmentFinding]:
    """Whether CA, certificate and key are readable and match, and until when they are valid."""
    if not broker.encrypted:
        yield EnvironmentFinding(False, "broker.url: mqtt:// is not encrypted")
        return
    try:
        broker.tls(NEVER_BEFORE)
    except OSError as error:
        text = describe_error(error)
        if "KEY_VALUES_MISMATCH" in text:
            text = f"the certificate {broker.cert} and the key do not match"
        yield EnvironmentFinding(True, f"broker: {text}")
        return
    now = datetime.now(UTC)
    for place, path in broker.certificates().items():
        try:
            until = expiry(path)
        except (OSError, ValueError) as error:
            yield EnvironmentFinding(True, f"{place}: {describe_error(error)}")
            continue
        days = (until - now).days
        if until < now:
            yield EnvironmentFinding(True, f"{place}: {path} expired on {until:%Y-%m-%d}; renew it")
        elif until < now + RENEWAL_PERIOD:
            yield EnvironmentFinding(
                True, f"{place}: {path} expires in {days} days, on {until:%Y-%m-%d}; renew it"
            )
        else:
            yield EnvironmentFinding(False, f"{place}: valid for {days} days, until {until:%Y-%m-%d}")


async def _check_session(
    place: str, connection: Connection, envelope: Envelope
) -> AsyncIterator[EnvironmentFinding]:
    """Subscribes as the agent does, with a random client id and without a last will.

    Some brokers use the certificate name as client id. There this is the session of the running agent: it is
    resumed and left unchanged, and the agent reconnects.
    """
    try:
        if connection.resumed:
            yield EnvironmentFinding(
                False,
                f"{place}: the certificate name is the client id: a running agent had to reconnect",
            )
        topics = [*(f"{envelope.prefix}/{topic}" for topic in DOWN), envelope.host_status]
        number = connection.subscribe(topics)
        centre = ""
        subscribed = False
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
                                    text = f"{place}: not allowed to subscribe to {topic}"
                                    yield EnvironmentFinding(True, f"{text}: see the broker's ACL")
                        case ("message", message) if message.topic == envelope.host_status:
                            if message.retain:  # all other messages stay queued for the agent
                                connection.acknowledge(message)
                            centre = printable((json_object(message.payload) or {}).get("state"))
        if not subscribed:
            yield EnvironmentFinding(True, f"{place}: no answer to SUBSCRIBE within {ANSWER_TIMEOUT_S:g} s")
        yield EnvironmentFinding(False, f"{place}: connected; centre: {centre or 'never seen'}")
    except OSError as error:
        yield EnvironmentFinding(True, f"{place}: {describe_error(error)}")
    finally:
        connection.close()


async def _connect(broker: Broker, client_id: str) -> Connection:
    """Connects with MQTT 5, then 3.1.1 where the broker refuses it, as the agent does. OSError: both fail."""
    older = broker.model_copy(update={"protocol": "3.1.1"})
    if broker.protocol == "3.1.1":
        return await open_either(older, client_id, None, session_expiry_s=0)
    try:
        return await open_either(broker, client_id, None, session_expiry_s=SESSION_EXPIRY_S, fall_back=False)
    except UnsupportedProtocolError as refusal:
        try:
            return await open_either(older, client_id, None, session_expiry_s=0)
        except OSError as error:
            raise OSError(f"{refusal}; {error}") from error
