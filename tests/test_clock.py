import ctypes
import gc

from agent.host.clock import kernel_clock


def test_asking_the_kernel_leaves_no_garbage() -> None:
    """Each message asks; a library opened anew each time left a class for Python's rarest collection."""
    kernel_clock()
    gc.collect()
    gc.disable()
    try:
        before = len(ctypes._CFuncPtr.__subclasses__())  # type: ignore[attr-defined]
        for _ in range(20):
            kernel_clock()
        assert len(ctypes._CFuncPtr.__subclasses__()) == before  # type: ignore[attr-defined]
    finally:
        gc.enable()
