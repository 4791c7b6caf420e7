"""Orders of the map to any device, over one lasting connection to the broker.

`console.orders.OrderDesk` signs them and matches the answers, as at the device; here they go to the broker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import structlog

from agent.cli.device_selection import Selection
from agent.cli.fleet_link import MAX_RETRY_S, FleetLink, fleet_link
from agent.cli.orders import OrderSigner
from agent.domain.message import ROOT
from agent.host.entropy import uniform
from agent.runtime.error_text import describe_error
from agent.runtime.sanitize import json_object
from console.agent_client import AgentUnreachableError
from console.agent_views import ConfigView, Hello, SentMessage
from console.orders import OrderDesk

log = structlog.get_logger()

TOPICS = ("command/result", "alert")
"""What answers an order of the map."""
PUBLISH_WITHIN_S = 10.0
NO_BROKER = "the map has no broker: start it with --broker to give orders"


class FleetOrders:
    """The connection; ``run`` keeps it. Without ``url`` nothing can be ordered, and `problem` says so."""

    def __init__(self, url: str | None, root: str = ROOT) -> None:
        self.url, self.root = url, root
        self.problem = NO_BROKER if url is None else "not connected yet"
        """Why no order can go out, in one line; empty while connected."""
        self._link: FleetLink | None = None

    @property
    def connected(self) -> bool:
        return self._link is not None and not self.problem

    async def run(self) -> None:
        """Connects, and again after each loss, for ever."""
        if self.url is None:
            return
        wait_s = 0.5
        while True:
            try:
                filters = Selection().filters(self.root, TOPICS)
                async with fleet_link(self.url, self.root, filters, reconnects=True, note=self._note) as link:
                    self._link, self.problem, wait_s = link, "", 0.5
                    await link.until(lambda: None, float("inf"))  # OSError once it is lost for good
            except OSError as error:
                self.problem = describe_error(error)
                log.warning("map_not_connected", error=self.problem)
            finally:
                self._link = None
            await asyncio.sleep(wait_s * uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, MAX_RETRY_S)

    def link(self, device: str) -> "DeviceLink":
        """The way to one device."""
        return DeviceLink(self, device)

    def desk(self, device: str, signer: OrderSigner | None) -> OrderDesk:
        """Orders of one person to one device."""
        return OrderDesk(self.link(device), signer)

    async def publish(self, device: str, topic: str, payload: bytes) -> None:
        """Returns once the broker has it. AgentUnreachableError."""
        link = self._link
        if link is None:
            raise AgentUnreachableError(self.problem)
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await link.publish(f"{self.root}/{device}/{topic}", payload)
        except TimeoutError:
            raise AgentUnreachableError("the broker takes no message") from None

    def observe(self, observer: Callable[[str, str, bytes], None]) -> Callable[[], None]:
        """Passes on each message; the result ends that. AgentUnreachableError."""
        link = self._link
        if link is None:
            raise AgentUnreachableError(self.problem)
        link.observers.append(observer)
        return lambda: link.observers.remove(observer)

    def _note(self, line: str) -> None:
        self.problem = "" if line == "reconnected" else line


class DeviceLink:
    """The way to one device, as `OrderDesk` needs it."""

    def __init__(self, orders: FleetOrders, device: str) -> None:
        self._orders, self._device = orders, device

    async def order(self, topic: str, payload: bytes) -> None:
        await self._orders.publish(self._device, topic, payload)

    async def results(self) -> AsyncIterator[SentMessage]:
        """What the device publishes from now on."""
        arrived: asyncio.Queue[SentMessage] = asyncio.Queue(1000)

        def observe(device: str, topic: str, payload: bytes) -> None:
            body = json_object(payload) if device == self._device else None
            if body is not None and not arrived.full():
                arrived.put_nowait(SentMessage(topic=topic, body=body))

        stop = self._orders.observe(observe)
        try:
            while True:
                yield await arrived.get()
        finally:
            stop()

    async def hello(self) -> Hello:
        """Its name, which is all that an order needs."""
        return cast(Hello, {"device": self._device})

    async def config(self) -> ConfigView:
        """The map pushes no configuration."""
        reported: dict[str, Any] = {}
        return cast(ConfigView, {"reported": reported})
