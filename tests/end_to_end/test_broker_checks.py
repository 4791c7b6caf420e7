"""mosquitto passes the same table of checks as the broker in the loop."""

import asyncio
from collections.abc import Iterator

import pytest

from simulators.broker import LocalBroker, mosquitto_path
from tests.broker_checks import CHECKS, Check, Clients


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if mosquitto_path() is None:
        pytest.skip("needs mosquitto: apt-get install mosquitto")
    with LocalBroker("mosquitto") as broker:
        yield broker.url


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_mosquitto_does_what_agents_rely_on(check: Check, url: str) -> None:
    async def play() -> None:
        clients = Clients(url)
        try:
            await check(clients)
        finally:
            clients.close()

    asyncio.run(play())
