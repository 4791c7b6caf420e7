"""What a source is: its settings, what it can tell, what it connects to, and how it runs.

Every kind of source derives from `SourcePart`, those of ``firmware_bridge`` and the agent's cameras alike. It
names its keys as it likes: what the agent needs to know of them, it asks the methods here.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

EmitAny: TypeAlias = "Callable[[Any], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept. Which
values those are depends on the source: `firmware_bridge.readings` of a serial line, more of a camera."""

WantedOutputs: TypeAlias = Callable[[], Mapping[str, float]]
"""The outputs that are to be on now, each with the seconds that it is to be on yet."""


class SerialPort(NamedTuple):
    """A line that one source reads alone: a device path or ``tcp://host:port``, and its key."""

    key: str
    address: str


class Server(NamedTuple):
    """A network service that a source connects to, and the key of its settings that names it."""

    key: str
    host: str
    port: int | None
    usual: bool = False
    """Whether any device may have it, such as gpsd on its own port: a push may name it."""


class SourcePart(BaseModel):
    """What every source lets a technician set, and what the agent asks of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value_kinds: ClassVar[frozenset[str] | None] = None
    """The kinds of value that it can tell, so that a rule on another kind is refused; None: not told."""

    kind: str

    @property
    def longest_wait_s(self) -> float | None:
        """The longest wait between two tries to start it; None: that of the supervisor."""
        return None

    def emitted_kinds(self) -> frozenset[str] | None:
        """The kinds of value that come from it as it is configured; None: any."""
        return self.value_kinds

    def value_names(self, kind: str) -> tuple[str, ...] | None:  # noqa: ARG002  a source that lists names needs it
        """Regular expressions of the quantities (readings) or names (switches) it can tell; None: any."""
        return None

    def output_names(self) -> tuple[str, ...]:
        """The outputs that it can switch, such as ``siren``."""
        return ()

    def serial_port(self) -> SerialPort | None:
        """The serial line that it reads; None where it reads none."""
        return None

    def server(self) -> Server | None:
        """The network service that it connects to; None where there is none."""
        return None

    def secret_origin(self) -> str:
        """Where its secrets are sent, so that a push sends them nowhere else; empty: they leave no device."""
        server = self.server()
        return f"{server.host}:{server.port}" if server is not None else ""

    @abstractmethod
    async def run(self, emit: EmitAny, wanted: WantedOutputs = dict) -> None:
        """Calls ``emit(value)`` for all that the hardware says, until it is gone.

        A source with outputs switches on those that are ``wanted``, and all others off. OSError where the
        world fails (unplugged, refused, silent too long): the supervisor starts it again. What changes while
        it runs is local, so that nothing survives a restart.
        """
