"""The border around each write of a file that matters: a simulated disk refuses or delays it, or notes that
it is durable."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from pathlib import Path


class Disk:
    """The disk of this machine: the files themselves say what is wrong with it."""

    @contextmanager
    def writing(self, path: Path, *, durable: bool) -> Iterator[None]:  # noqa: ARG002
        """Around one write, which is safe from a power cut at the end where it is ``durable``. OSError."""
        yield


_DISK: ContextVar[Disk] = ContextVar("disk", default=Disk())  # noqa: B039  it has no state


def use_disk(disk: Disk) -> Token[Disk]:
    """Makes ``disk`` that of the present context, and of all tasks that it starts from now on."""
    return _DISK.set(disk)


def writing(path: Path, *, durable: bool = True) -> AbstractContextManager[None]:
    """Around one write of the file ``path``; ``durable``: at its end it is safe from a power cut. OSError."""
    return _DISK.get().writing(path, durable=durable)
