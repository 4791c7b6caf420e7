"""Runs a network: the only file with onnxruntime. A damaged or foreign file is refused before it is
loaded.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from models.detection import Detect, Detection, Frame
from models.regular import read_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Provider: TypeAlias = Literal[
    "cpu", "cuda", "tensorrt", "openvino", "coreml", "directml", "xnnpack", "qnn", "migraphx", "cann", "nnapi"
]
NATIVE: dict[str, str] = {
    "cpu": "CPU", "cuda": "CUDA", "tensorrt": "Tensorrt", "openvino": "OpenVINO", "coreml": "CoreML",
    "directml": "Dml", "xnnpack": "Xnnpack", "qnn": "QNN", "migraphx": "MIGraphX", "cann": "CANN",
    "nnapi": "Nnapi",
}  # fmt: skip
"""onnxruntime's names, without the ``ExecutionProvider`` behind each."""
WHEELS = {
    "cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "openvino": "onnxruntime-openvino",
    "directml": "onnxruntime-directml", "qnn": "onnxruntime-qnn",
}  # fmt: skip
"""The package with a provider, where it is not the default one."""
ANY_SIZE: frozenset[Provider] = frozenset({"cpu", "cuda", "openvino"})
"""Providers that run a network with free dimensions as well as at one size; the others compile for one."""

MOST_BYTES = 512 * 1024 * 1024
"""The maximum size of a network's file."""


class Session:
    """A loaded network. ``inputs`` and ``outputs``: name, type and shape, as in the file.

    ``runs_on`` is the provider in use; ``note`` is one line where that is not the requested one; ``free``:
    the dimensions that the file leaves free are still free.
    """

    def __init__(self, native: Any, name: str, note: str = "", *, free: bool = False) -> None:
        self._native = native
        self._name = name
        self.note, self.free = note, free
        self.inputs: dict[str, tuple[str, list[Any]]] = {
            one.name: (one.type, list(one.shape)) for one in native.get_inputs()
        }
        self.outputs: dict[str, list[Any]] = {one.name: list(one.shape) for one in native.get_outputs()}
        self.runs_on: str = _short(native.get_providers()[0])

    def run(self, feeds: "Mapping[str, NDArray[Any]]") -> "list[NDArray[np.float32]]":
        """The outputs in the file's order; ValueError where the network fails. Releases the GIL while it
        runs.
        """
        try:
            result: list[NDArray[np.float32]] = self._native.run(None, dict(feeds))
        except _errors() as error:
            raise ValueError(f"{self._name}: inference failed: {_line(error)}") from error
        return result


class Loaded:
    """A loaded detector: callable, with the provider that it runs on (`Session`).

    ``input_size`` gives width and height of the network's input for a picture of ``columns`` x ``rows``.
    """

    def __init__(
        self, detect: Detect, session: Session, input_size: Callable[[int, int], tuple[int, int]]
    ) -> None:
        self._detect = detect
        self.runs_on, self.note = session.runs_on, session.note
        self.input_size = input_size

    def __call__(self, frame: Frame) -> tuple[Detection, ...]:
        return self._detect(frame)


def open_session(
    path: Path,
    sha256: str,
    *,
    threads: int = 1,
    spin: bool = False,
    providers: Sequence[Provider] = ("cpu",),
    sizes: Mapping[str, int] | None = None,
    free: bool = False,
) -> Session:
    """Loads ``path`` after checking its sha256. OSError where the file is missing, ValueError where it is
    invalid.

    One thread and no spinning by default: several cameras and frames run side by side instead, for less
    CPU. ``providers`` in order of preference; a provider that this machine lacks is skipped, and named in
    `Session.note`. The CPU is always the last. ``sizes`` sets dimensions that the file leaves free, by
    their names; with ``free`` they stay free where the provider runs any size (`ANY_SIZE`).
    """
    import onnxruntime as ort

    data = read_regular(path, MOST_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path.name}: sha256 is {found[:12]}…, its card says {sha256[:12]}…: damaged or not this model"
        )
    here = {_short(one) for one in ort.get_available_providers()}
    notes = [_missing(one) for one in providers if one not in here]
    rest = [one for one in dict.fromkeys((*providers, "cpu")) if one in here]
    while True:  # a built-in provider may still lack its device or driver
        stay_free = free and rest[0] in ANY_SIZE
        try:
            native = ort.InferenceSession(
                data,
                _options(threads, spin, {} if stay_free else sizes or {}),
                providers=[_provider(one, threads) for one in rest],
                enable_fallback=0,
            )
        except _errors() as error:
            if rest[0] == "cpu":
                raise ValueError(f"{path.name}: onnxruntime rejects the file: {_line(error)}") from error
            notes.append(f"{rest.pop(0)} failed to start: {_line(error)}")
            continue
        runs_on = _short(native.get_providers()[0])
        if not notes and runs_on != rest[0]:
            notes.append(f"{rest[0]} failed to start")
        note = f"{'; '.join(notes)}; it runs on {runs_on}" if notes else ""
        return Session(native, path.name, note, free=stay_free)


def _options(threads: int, spin: bool, sizes: Mapping[str, int]) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    # External weights would be read from the working directory without any check.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    options.log_severity_level = 4  # fatal only: errors are reported in our own texts
    return options


def providers_in(text: str) -> tuple[Provider, ...]:
    """The providers in ``openvino,cpu``. ValueError names the known ones."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known: tuple[Provider, ...] = get_args(Provider)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown provider {unknown[0]!r}; known: {', '.join(known)}")
    return tuple(one for name in names for one in known if one == name)


def _provider(one: Provider, threads: int) -> str | tuple[str, dict[str, str]]:
    """What onnxruntime takes; OpenVINO has threads of its own, one per core if it is not told otherwise."""
    native = f"{NATIVE[one]}ExecutionProvider"
    return (native, {"num_of_threads": str(threads)}) if one == "openvino" else native


def _missing(provider: str) -> str:
    wheel = WHEELS.get(provider)
    return f"this onnxruntime has no {provider}" + (f" (pip install {wheel})" if wheel else "")


def _short(native: str) -> str:
    name = native.removesuffix("ExecutionProvider")
    return next((short for short, one in NATIVE.items() if one == name), name.lower())


def _errors() -> tuple[type[Exception], ...]:
    """All exceptions of onnxruntime; its own errors share no class but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    own = [one for one in vars(states).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*own, RuntimeError, ValueError, TypeError)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
