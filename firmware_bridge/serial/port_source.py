"""A source that reads one serial line, of any protocol."""

from typing import ClassVar

from pydantic import Field

from firmware_bridge.serial import tcp
from firmware_bridge.source import SerialPort, Server, SourcePart


class PortSource(SourcePart):
    """A source that opens ``port``: a device, such as ``/dev/serial/by-id/…``, or ``tcp://host:port``."""

    device_wait_s: ClassVar[float] = 0.4
    """The longest wait before the next attempt: checking whether a device is back is cheap."""

    port: str = Field(min_length=1, max_length=500)

    @property
    def longest_wait_s(self) -> float:
        return tcp.MAX_RETRY_WAIT_S if self.port.startswith("tcp://") else self.device_wait_s

    def serial_port(self) -> SerialPort:
        return SerialPort("port", self.port)

    def server(self) -> Server | None:
        return Server("port", *tcp.split_address(self.port)) if self.port.startswith("tcp://") else None
