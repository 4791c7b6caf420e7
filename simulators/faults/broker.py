"""Faults of the broker and of the centre: all devices share them."""

from typing import ClassVar

from pydantic import Field

from simulators.faults.fault import CannotApplyError, Fault, FaultStep
from simulators.stage import Stage

_NEEDS_OWN_BROKER = "a real broker can't be told to be unkind"


class _Broker(Fault):
    subject = "broker"
    how: ClassVar[str]

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(stage.broker.struck(self.how) > step.before["struck"])

    def _note(self, stage: Stage, step: FaultStep) -> None:
        step.before["struck"] = stage.broker.struck(self.how)


class BrokerDown(_Broker):
    kind = "broker.down"
    state = "broker"
    text = "the broker is down"
    proof = "connections that ended or were refused"
    how = "down"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        self._note(stage, step)
        stage.broker.set_down(True)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        stage.broker.set_down(False)


class ReconnectStorm(BrokerDown):
    kind = "fleet.reconnect_storm"
    text = "all devices lose the broker, and come back at once"
    proof = "connections of two devices or more that ended"

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(stage.broker.struck(self.how) >= step.before["struck"] + 2)


class BrokerRestart(_Broker):
    kind = "broker.restart"
    text = "the broker restarts"
    proof = "connections that ended"
    instant = True
    how = "restart"
    keep_sessions: ClassVar[bool] = True

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        self._note(stage, step)
        stage.broker.restart(keep_sessions=self.keep_sessions)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        """It is over."""


class SessionLost(BrokerRestart):
    kind = "broker.session_lost"
    text = "the broker restarts, and has lost all sessions"
    keep_sessions = False


class Unkind(_Broker):
    """One of `StagedBroker.set_unkind`."""

    clocks = ("virtual",)
    reason = _NEEDS_OWN_BROKER

    chance: float = Field(1.0, gt=0, le=1)

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        self._note(stage, step)
        stage.broker.set_unkind(self.how, self.chance)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        stage.broker.set_unkind(self.how, 0.0)


_UNKIND = {
    "drop_after_acknowledgement": (
        "the broker acknowledges messages and loses them", "messages that it lost"
    ),
    "reorder": ("the broker reorders messages", "messages that it reordered"),
    "late_will": ("the broker tells the end of a connection late", "wills that it held back"),
    "refuse": ("the broker refuses connections", "connections that it refused"),
    "quota": ("the broker refuses messages: the quota is used up", "messages that it refused"),
}  # fmt: skip


def _unkind(how: str, text: str, proof: str) -> type[Fault]:
    fields = {
        "kind": f"broker.{how}",
        "how": how,
        "state": how,
        "text": text,
        "proof": proof,
        "__module__": __name__,
    }
    return type(f"Broker{how.title().replace('_', '')}", (Unkind,), fields)


class CentreDown(Fault):
    kind = "centre.down"
    state = "centre"
    subject = "centre"
    text = "the centre is down"
    proof = "messages of devices, none of which the centre stored"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        stage.centre.set_down(True)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        stage.centre.set_down(False)

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        sent = any(step.began_s < one["t"] < step.ended_s for one in stage.record.messages)
        return sent and not _committed(stage, step)


class RollingRestart(Fault):
    kind = "centre.rolling_restart"
    state = "centre"
    subject = "centre"
    text = "the workers of the centre are killed and started again, one after the other"
    proof = "messages that the others stored while a worker was away"
    clocks = ("virtual",)
    reason = "in real time the centre is one process"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        """Each is away for half of its share of the time."""
        centre = stage.centre
        if centre.workers < 2:
            raise CannotApplyError("the centre has one process only: centre: {workers: 2} or more")
        share_s = (step.for_s or 0.0) / centre.workers
        stored = step.before["stored"] = []
        for number in range(centre.workers):
            centre.set_worker_down(number, True)
            before, began_s = centre.stored, stage.now_s()
            try:
                await stage.sleep_until(began_s + share_s / 2)
            finally:
                centre.set_worker_down(number, False)
            stored.append(centre.stored - before)
            await stage.sleep_until(began_s + share_s)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        """All run again."""

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return any(step.before["stored"])


class RestoredFromBackup(Fault):
    kind = "centre.restored_from_backup"
    state = "backup"
    subject = "centre"
    text = "the centre is restored at the end from a backup made at the begin"
    proof = "messages that the centre had stored after the backup"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        stage.centre.snapshot()

    async def end(self, stage: Stage, step: FaultStep) -> None:
        stage.centre.restore()

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return _committed(stage, step)


def _committed(stage: Stage, step: FaultStep) -> bool:
    """Whether the centre stored a message while the fault was on."""
    events = (one for one in stage.record.events if one["event"] == "committed")
    return any(step.began_s < one["t"] < step.ended_s for one in events)


BROKER: tuple[type[Fault], ...] = (
    BrokerDown, BrokerRestart, SessionLost, *(_unkind(how, *texts) for how, texts in _UNKIND.items()),
    CentreDown, RollingRestart, RestoredFromBackup, ReconnectStorm,
)  # fmt: skip
