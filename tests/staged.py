"""A stage without an agent: it counts nothing, unless a test tells it to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from simulators.line_faults import LineFault
from simulators.receiver import FAULTS
from simulators.run_record import RunRecord
from simulators.stage import Stage


class Line:
    path = "/dev/gnss"
    is_open = False
    bytes_to_agent = 0

    def __init__(self) -> None:
        self.line_fault: LineFault = bytes
        self.line_fault_from_agent: LineFault = bytes
        self.plugged = True

    def unplug(self) -> None:
        self.plugged = self.is_open = False

    def plug(self, path: str | None = None) -> None:
        self.plugged, self.path = True, path or self.path

    def go_mute(self) -> None:
        self.plugged = False

    def send(self, data: bytes) -> bytes:
        """What arrives of ``data`` from the hardware."""
        arrived = self.line_fault(data) if self.is_open else b""
        self.bytes_to_agent += len(arrived)
        return arrived


class Quiet:
    """Takes each call of a fault, and keeps the last arguments."""

    def __init__(self, **fields: Any) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **more: self.calls.append((name, args, more))


class Hardware(Quiet):
    """A board, receiver, boat, drone radio and camera in one."""

    def __init__(self) -> None:
        super().__init__(
            deaf=False, bottom=True, blinding=None, connections=0, faulty=0, epochs_sent=0,
            firmware=SimpleNamespace(boot=1, measured={}), radio=SimpleNamespace(far=False, sent=0),
        )  # fmt: skip

    def fail(self, fault: str) -> None:
        assert fault in FAULTS

    def reset(self) -> None:
        self.firmware.boot += 1

    async def cut(self) -> None: ...
    async def restore(self) -> None: ...


class Device(Quiet):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(
            name="post-1", folder=Path(), config=config, starts=0, running=False,
            clock=Quiet(wrong_reads=0), disk=Quiet(errors=0),
            hardware={name: Hardware() for name in config["sources"]},
            lines={name: Line() for name, one in config["sources"].items() if one["kind"] != "camera"},
        )  # fmt: skip

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...
    async def cut_power(self) -> None: ...
    async def push(self, config: str) -> None: ...


class Broker(Quiet):
    def struck(self, how: str, device: str | None = None) -> int:
        return 0


class EmptyStage:
    clock = "virtual"
    seed = 1

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.second = 0.0
        self.devices = {"post-1": Device(config)}
        self.broker, self.centre = Broker(), Quiet(workers=2, stored=0)
        self.record = RunRecord(self.now_s)
        self.world = None

    def now_s(self) -> float:
        return self.second

    async def sleep_until(self, second: float) -> None:
        self.second = max(self.second, second)

    def on_message(self, listener: Callable[[str, str, Mapping[str, Any]], None]) -> None: ...


def empty_stage(config: Mapping[str, Any]) -> Stage:
    stage: Any = EmptyStage(config)
    return stage  # type: ignore[no-any-return]
