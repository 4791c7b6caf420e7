"""Runs a network: the only file with onnxruntime. A damaged or foreign file is refused before it runs."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_PROVIDERS = ("CPUExecutionProvider",)


class Session:
    """A loaded network. ``inputs`` and ``outputs``: name, type and shape, as the file says."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self.inputs: dict[str, tuple[str, list[Any]]] = {
            one.name: (one.type, list(one.shape)) for one in native.get_inputs()
        }
        self.outputs: dict[str, list[Any]] = {one.name: list(one.shape) for one in native.get_outputs()}
        self.providers: list[str] = native.get_providers()

    def run(self, feeds: "Mapping[str, NDArray[Any]]") -> "list[NDArray[np.float32]]":
        """The outputs in the file's order. Releases the GIL while it computes."""
        result: list[NDArray[np.float32]] = self._native.run(None, dict(feeds))
        return result


def open_session(
    path: Path,
    sha256: str,
    *,
    threads: int = 1,
    spin: bool = False,
    providers: Sequence[str] = DEFAULT_PROVIDERS,
) -> Session:
    """Loads ``path`` after checking its sha256. OSError where it is not there, ValueError where it can't be.

    One thread and no spinning as a rule: as fast on small boards, and half the CPU (evidence: models bench).
    Providers that this machine lacks are passed over; the CPU is always the last.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path.name}: sha256 is {found[:12]}…, its card says {sha256[:12]}…: damaged or not this model"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.log_severity_level = 3
    here = set(ort.get_available_providers())
    chosen = [one for one in providers if one in here] or list(DEFAULT_PROVIDERS)
    if DEFAULT_PROVIDERS[0] not in chosen:
        chosen += DEFAULT_PROVIDERS
    try:
        return Session(ort.InferenceSession(data, options, providers=chosen))
    except (
        states.Fail,
        states.InvalidProtobuf,
        states.InvalidGraph,
        states.NotImplemented,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{path.name}: onnxruntime refuses it: {str(error).splitlines()[0][:200]}"
        ) from error


def digest(path: Path) -> str:
    """The sha256 of a file. OSError where it can't be read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
