"""The writes of the audit log, each durable on return and each an OSError on failure."""

import os
from pathlib import Path

from agent.host.disk import writing


class Disk:
    """Tests replace it to fail, or to stop, at each step."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def append(self, path: Path, data: bytes, *, is_new: bool = False) -> None:
        """Adds ``data`` to a file, for its owner only. ``is_new``: its name may not be on the disk yet."""
        with writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._write_all(descriptor, data)
                self.sync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                self.sync_folder(path.parent)

    def replace(self, path: Path, data: bytes) -> None:
        """Replaces a file; after a power cut it holds the old bytes or the new."""
        beside = path.with_name(path.name + ".new")
        with writing(path):
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                self._write_all(descriptor, data)
                self.sync(descriptor)
            finally:
                os.close(descriptor)
            self.rename(beside, path)
            self.sync_folder(path.parent)

    def cut(self, path: Path, size: int) -> None:
        """Shortens a file to ``size`` bytes, where it exists."""
        if not path.exists():
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.truncate(descriptor, size)
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def settle(self, path: Path) -> None:
        """Makes durable what another process wrote to a file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        self.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _write_all(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.write(descriptor, view) :]

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)
