"""Faults of the machine that the agent runs on: disk, clock, process, power."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from agent.domain.durations import Duration
from simulators.faults.fault import Fault, FaultStep, device_of
from simulators.stage import Stage, StagedDevice, StagedDisk

_DAY_S = 86_400.0
NOTICED_S = 1.0
"""What was under way when a process was stopped has come out by then."""


class _Disk(Fault):
    subject = "device"
    proof = "operations on the disk that the fault refused or delayed"

    def set_to(self, disk: StagedDisk, on: bool) -> None:
        raise NotImplementedError

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        disk = device_of(stage, step).disk
        step.before["errors"] = disk.errors
        self.set_to(disk, True)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        self.set_to(device_of(stage, step).disk, False)

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(device_of(stage, step).disk.errors > step.before["errors"])


class DiskFull(_Disk):
    kind = "disk.full"
    state = "full"
    text = "the disk is full"

    def set_to(self, disk: StagedDisk, on: bool) -> None:
        disk.set_full(on)


class DiskReadOnly(_Disk):
    kind = "disk.read_only"
    state = "refusal"
    text = "the disk is read-only"
    clocks = ("virtual",)
    reason = "files that are open stay writable: a real disk that is read-only needs root"

    def set_to(self, disk: StagedDisk, on: bool) -> None:
        disk.set_read_only(on)


class DiskIoError(_Disk):
    kind = "disk.io_error"
    state = "refusal"
    text = "the disk has I/O errors"
    clocks = ("virtual",)
    reason = "a real disk that fails needs root and a device mapper"

    def set_to(self, disk: StagedDisk, on: bool) -> None:
        disk.set_io_error(on)


class DiskSlow(_Disk):
    kind = "disk.slow"
    state = "slow"
    text = "the disk is slow"
    clocks = ("virtual",)
    reason = "a real disk that is slow needs root and a device mapper"

    delay: Duration = timedelta(seconds=2)
    """Of each step."""

    def set_to(self, disk: StagedDisk, on: bool) -> None:
        disk.set_slow(self.delay.total_seconds() if on else 0.0)


class _Clock(Fault):
    subject = "device"
    proof = "the device read its clock while the fault changed the answer"
    clocks = ("virtual",)
    reason = "Linux gives no process a wall clock of its own"

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(device_of(stage, step).clock.wrong_reads > step.before["wrong_reads"])

    def _note(self, device: StagedDevice, step: FaultStep) -> None:
        step.before["wrong_reads"] = device.clock.wrong_reads


class ClockStep(_Clock):
    kind = "clock.step"
    text = "the wall clock is stepped"

    by_s: float = -3600.0
    """Seconds; negative: back. It is stepped back by the same at the end."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        self._note(device, step)
        device.clock.step(self.by_s)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        device_of(stage, step).clock.step(-self.by_s)


class WrongAtBoot(_Clock):
    kind = "clock.wrong_at_boot"
    state = "synchronised"
    text = "the device restarts without power for its clock, and with a wrong time"

    off_s: float = -20 * 365 * _DAY_S
    """Seconds that its clock is off; the time comes back at the end."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        await device.cut_power()
        self._note(device, step)
        device.clock.step(self.off_s)
        device.clock.set_synchronised(False)
        await device.start()

    async def end(self, stage: Stage, step: FaultStep) -> None:
        clock = device_of(stage, step).clock
        clock.step(-self.off_s)
        clock.set_synchronised(True)


class Unsynchronised(_Clock):
    kind = "clock.unsynchronised"
    state = "synchronised"
    text = "no time server answers"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        self._note(device, step)
        device.clock.set_synchronised(False)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        device_of(stage, step).clock.set_synchronised(True)


class Drift(_Clock):
    kind = "clock.drift"
    state = "rate"
    text = "the wall clock runs at a wrong rate"

    ppm: float = Field(500.0, ge=-500_000, le=1_000_000)
    """Microseconds that it gains in a second; it is set right at the end."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        self._note(device, step)
        device.clock.set_rate(1 + self.ppm / 1e6)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        clock = device_of(stage, step).clock
        clock.set_rate(1.0)
        clock.step(-self.ppm / 1e6 * (stage.now_s() - step.began_s))


class _Ends(Fault):
    """The agent ends; it is started again at the end."""

    subject = "device"
    state = "process"
    proof = "the agent was running, and then was not"

    async def stop(self, device: StagedDevice) -> None:
        raise NotImplementedError

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        was_running = device.running
        await self.stop(device)
        step.before["ended"] = was_running and not device.running

    async def end(self, stage: Stage, step: FaultStep) -> None:
        await device_of(stage, step).start()

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["ended"])


class Kill(_Ends):
    kind = "process.kill"
    text = "the agent is killed, and started again at the end"

    async def stop(self, device: StagedDevice) -> None:
        await device.kill()


class Stop(_Ends):
    kind = "process.stop"
    text = "the agent is stopped, and started again at the end"

    async def stop(self, device: StagedDevice) -> None:
        await device.stop()


class PowerCut(_Ends):
    kind = "power.cut"
    text = "the power is cut"

    async def stop(self, device: StagedDevice) -> None:
        await device.cut_power()


class Hang(Fault):
    kind = "process.hang"
    state = "process"
    subject = "device"
    text = "the agent hangs"
    proof = "a running device that had sent messages sent none"
    clocks = ("real",)
    reason = "in virtual time all devices run in one process"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        step.before["running"] = device.running
        device.set_hanging(True)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        device_of(stage, step).set_hanging(False)

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        times = [one["t"] for one in stage.record.messages if one["device"] == step.device]
        silent = not any(step.began_s + NOTICED_S < when < step.ended_s for when in times)
        return bool(step.before["running"] and silent and any(when < step.began_s for when in times))


class Throttled(Fault):
    kind = "power.throttled"
    state = "throttled"
    subject = "device"
    text = "the supply voltage is too low: the CPU is slowed down"
    proof = "a message of the device that says so"
    clocks = ("virtual",)
    reason = "in real time the throttling bits are those of this machine"
    bits: ClassVar[int] = 0b101

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device_of(stage, step).set_throttled(self.bits)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        device_of(stage, step).set_throttled(0)

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return any(
            "supply voltage" in str(one["body"].get("reasons", ""))
            for one in stage.record.messages
            if one["device"] == step.device and one["t"] > step.began_s
        )


MACHINE: tuple[type[Fault], ...] = (
    DiskFull, DiskReadOnly, DiskSlow, DiskIoError,
    ClockStep, WrongAtBoot, Unsynchronised, Drift,
    Kill, Stop, Hang, PowerCut, Throttled,
)  # fmt: skip
