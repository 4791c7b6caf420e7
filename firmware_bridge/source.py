"""The contract of a source: its settings, the values it can emit, its connection, and how it runs.

Every kind of source derives from `SourcePart`, the serial lines of ``firmware_bridge`` and the agent's
cameras alike. Its configuration keys may have any names: the agent asks the methods of this class instead.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

EmitAny: TypeAlias = "Callable[[Any], asyncio.Future[None] | None]"
"""Takes a value; may return a future that completes once the effects of the value are stored durably. The
types of value depend on the source: `firmware_bridge.readings` for a serial line, others for a camera."""

WantedOutputs: TypeAlias = Callable[[], Mapping[str, float]]
"""The outputs that must be on now, each with its remaining time in seconds; best an `OutputRequests`, so that
a source need not ask again and again."""


class OutputRequests:
    """`WantedOutputs` that tells its source when one more output is wanted."""

    def __init__(self, wanted: WantedOutputs) -> None:
        self._wanted = wanted
        self.on_change: Callable[[], None] = lambda: None
        """Set by the source; called on its loop."""

    def __call__(self) -> Mapping[str, float]:
        return self._wanted()


Latest: TypeAlias = Callable[[], "SourcePart"]
"""The present settings of a running source, which may have changed since it was started."""


class SerialPort(NamedTuple):
    """A line that only one source may read: its configuration key, and a device path or
    ``tcp://host:port``.
    """

    key: str
    address: str


class Server(NamedTuple):
    """A network service that a source connects to, and the configuration key that names it."""

    key: str
    host: str
    port: int | None
    usual: bool = False
    """Whether the service is common to all devices, such as gpsd on its own port: a push may name it."""


class SourcePart(BaseModel):
    """The settings that every source shares, and the questions that the agent asks every source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value_kinds: ClassVar[frozenset[str] | None] = None
    """The kinds of value that the source can emit, so that a rule on another kind is refused; None: any
    kind."""

    live_keys: ClassVar[frozenset[str]] = frozenset({"required"})
    """The keys that a running source takes over without a restart."""

    kind: str
    required: bool = False
    """A push that changes or adds the source is rolled back where the source gives no value under it."""

    def goes_on_as(self, changed: "SourcePart") -> bool:
        """Whether a running source takes over the settings ``changed`` without a restart."""
        if type(changed) is not type(self):
            return False
        live = self.live_keys & type(self).model_fields.keys()
        return self.model_copy(update={key: getattr(changed, key) for key in live}) == changed

    @property
    def longest_wait_s(self) -> float | None:
        """The longest wait between two attempts to start the source; None: the supervisor's."""
        return None

    def emitted_kinds(self) -> frozenset[str] | None:
        """The kinds of value that the source emits with its present configuration; None: any."""
        return self.value_kinds

    def value_names(self, kind: str) -> tuple[str, ...] | None:  # noqa: ARG002  a source that lists names needs it
        """Regular expressions of the quantities (readings) or names (switches) it emits; None: any."""
        return None

    def output_names(self) -> tuple[str, ...]:
        """The outputs that the source can switch, such as ``siren``."""
        return ()

    def serial_port(self) -> SerialPort | None:
        """The serial line that the source reads; None where it reads none."""
        return None

    def server(self) -> Server | None:
        """The network service that the source connects to; None where there is none."""
        return None

    def servers(self) -> tuple[Server, ...]:
        """All network services that the source connects to."""
        server = self.server()
        return () if server is None else (server,)

    def secret_origin(self) -> str:
        """The host that receives the source's secrets, which a push may not change; empty: none leaves the
        device.
        """
        server = self.server()
        return f"{server.host}:{server.port}" if server is not None else ""

    def secret_origins(self) -> tuple[str, ...]:
        """All hosts that receive the source's secrets, as `secret_origin`."""
        return (self.secret_origin(),)

    @abstractmethod
    async def run(self, emit: EmitAny, wanted: WantedOutputs = dict, latest: Latest | None = None) -> None:
        """Calls ``emit(value)`` for every value from the hardware, until the hardware is lost.

        A source with outputs switches on the ``wanted`` ones, and all others off. It takes changes of its
        settings, as far as `goes_on_as` allows them, from ``latest``. OSError where the
        hardware fails (unplugged, refused, silent too long): the supervisor starts the source again. All
        state of a run is local, so that nothing survives a restart.
        """
