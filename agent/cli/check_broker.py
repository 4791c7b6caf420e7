"""Checks the brokers: certificates, connection and rights."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from agent.cli.check_finding import Found
from agent.config.model import Config
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection, UnsupportedProtocolError
from agent.mqtt.dialing import open_either
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import DOWN
from agent.mqtt.tls import expiry
from agent.runtime.error_text import describe_error
from agent.runtime.kernel_clock import NEVER_BEFORE
from agent.runtime.sanitize import printable, readable

RENEW = timedelta(days=30)
"""A certificate that expires sooner is a finding."""
ANSWER_S = 5.0
CENTRE_S = 1.0
"""The centre's retained status comes with the subscription."""
SESSION_S = 60
REFUSED = 0x80


async def _brokers(config: Config) -> list[Found]:
    found = list(_certificates(config.broker))
    if any(one.wrong for one in found):
        return found
    places = [
        "broker.url",
        *(f"broker.fallbacks[{number}]" for number in range(len(config.broker.fallbacks))),
    ]
    for place, broker in zip(places, config.broker.in_order, strict=True):
        try:
            connection = await _connected(broker, f"{config.device[:14]}-{secrets.token_hex(4)}")
        except OSError as error:
            found.append(Found(True, f"{place}: {describe_error(error)}"))
        else:
            found += [one async for one in _talk(place, connection, Envelope(device=config.device))]
    return found


def _certificates(broker: Broker) -> Iterator[Found]:
    """Whether CA, certificate and key can be read and belong together, and how long they are valid."""
    if not broker.encrypted:
        yield Found(False, "broker.url: mqtt:// is not encrypted")
        return
    try:
        broker.tls(NEVER_BEFORE)
    except OSError as error:
        text = describe_error(error)
        if "KEY_VALUES_MISMATCH" in text:
            text = f"{broker.cert} and the key do not belong together"
        yield Found(True, f"broker: {text}")
        return
    now = datetime.now(UTC)
    for place, path in broker.certificates().items():
        try:
            until = expiry(path)
        except (OSError, ValueError) as error:
            yield Found(True, f"{place}: {describe_error(error)}")
            continue
        days = (until - now).days
        if until < now:
            yield Found(True, f"{place}: {path} has expired, on {until:%Y-%m-%d}; renew it")
        elif until < now + RENEW:
            yield Found(True, f"{place}: {path} expires in {days} days, on {until:%Y-%m-%d}; renew it")
        else:
            yield Found(False, f"{place}: valid for {days} days, until {until:%Y-%m-%d}")


async def _talk(place: str, connection: Connection, speaker: Envelope) -> AsyncIterator[Found]:
    """What a connection may do: SUBSCRIBE, under a client id of its own and without a last will.

    Where the broker goes by the certificate and not by the client id, this is the running agent's session: it
    is taken up as it stands and left as it is, and the agent connects again.
    """
    try:
        if connection.resumed:
            yield Found(False, f"{place}: goes by the certificate: a running agent had to connect again")
        topics = [*(f"{speaker.prefix}/{topic}" for topic in DOWN), speaker.host_status]
        number = connection.subscribe(topics)
        centre = ""
        answered = False
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not (answered and centre):
                    event = await connection.event(CENTRE_S)
                    if event is None and answered:
                        break
                    match event:
                        case ("lost", reason):
                            raise OSError(f"connection lost: {reason}")
                        case ("subscribed", mid, codes) if mid == number:
                            answered = True
                            for topic, code in zip(topics, codes, strict=False):
                                if code.value >= REFUSED:
                                    text = f"{place}: not allowed to subscribe to {topic}"
                                    yield Found(True, f"{text}: see the broker's access rights")
                        case ("message", message) if message.topic == speaker.host_status:
                            if message.retain:  # ours; all else stays for the agent
                                connection.acknowledge(message)
                            centre = printable((readable(message.payload) or {}).get("state"))
        if not answered:
            yield Found(True, f"{place}: no answer to SUBSCRIBE within {ANSWER_S:g} s")
        yield Found(False, f"{place}: connected; centre: {centre or 'has never been here'}")
    except OSError as error:
        yield Found(True, f"{place}: {describe_error(error)}")
    finally:
        connection.close()


async def _connected(broker: Broker, client_id: str) -> Connection:
    """With MQTT 5, or 3.1.1 where the broker refuses that, as the agent does; OSError: neither."""
    older = broker.model_copy(update={"protocol": "3.1.1"})
    if broker.protocol == "3.1.1":
        return await open_either(older, client_id, None, session_expiry_s=0)
    try:
        return await open_either(broker, client_id, None, session_expiry_s=SESSION_S, fall_back=False)
    except UnsupportedProtocolError as refusal:
        try:
            return await open_either(older, client_id, None, session_expiry_s=0)
        except OSError as error:
            raise OSError(f"{refusal}; {error}") from error
