"""Faults of a camera."""

from typing import ClassVar

from simulators.faults.fault import Fault, FaultStep, device_of, hardware_of
from simulators.stage import Stage, StagedCamera

_PICTURES_ARE_REAL = "in virtual time a camera gives what is in its pictures, and no pictures"


class CameraFault(Fault):
    """A fault of the pictures: one of `simulators.blinding`."""

    subject = "source"
    state = "picture"
    source_kinds = frozenset({"camera"})
    proof = "pictures with the fault that the agent took"
    blinding: ClassVar[str]

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        camera = camera_of(stage, step)
        step.before["faulty"] = camera.faulty
        camera.blinding = self.blinding

    async def end(self, stage: Stage, step: FaultStep) -> None:
        camera_of(stage, step).blinding = None

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(camera_of(stage, step).faulty > step.before["faulty"])


class CameraCut(CameraFault):
    kind = "camera.cut"
    state = "plug"
    text = "the cable of the {subject} is pulled"
    proof = "the camera had been opened, and the agent was running"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        camera = camera_of(stage, step)
        step.before["opened"] = camera.connections > 0 and device_of(stage, step).running
        await camera.cut()

    async def end(self, stage: Stage, step: FaultStep) -> None:
        await camera_of(stage, step).restore()

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["opened"])


def camera_of(stage: Stage, step: FaultStep) -> StagedCamera:
    """CannotApplyError where the hardware of the source is no camera."""
    camera: StagedCamera = hardware_of(stage, step, "blinding")
    return camera


_BLINDINGS = {
    "frozen": ("frozen", "the {subject} repeats one picture"),
    "black": ("dark", "the pictures of the {subject} are black"),
    "covered": ("covered", "the {subject} is covered"),
    "bright": ("over_exposed", "the {subject} is dazzled"),
    "blurred": ("blurred", "the {subject} is out of focus"),
    "turned": ("turned", "the {subject} is turned aside"),
}
_STREAMS = {
    "fps_drop": "the {subject} sends one picture in two seconds",
    "resolution": "the pictures of the {subject} have another size",
    "corrupt_jpeg": "the pictures of the {subject} are damaged",
    "auth_refused": "the {subject} refuses the password",
}


def _camera_fault(name: str, blinding: str, text: str, **more: object) -> type[Fault]:
    fields = {"kind": f"camera.{name}", "blinding": blinding, "text": text, "__module__": __name__, **more}
    return type(f"Camera{name.title().replace('_', '')}", (CameraFault,), fields)


CAMERA: tuple[type[Fault], ...] = (
    CameraCut,
    *(_camera_fault(name, *one) for name, one in _BLINDINGS.items()),
    *(_camera_fault(name, name, text, clocks=("real",), reason=_PICTURES_ARE_REAL)
      for name, text in _STREAMS.items()),
)  # fmt: skip
