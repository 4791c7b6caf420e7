"""The disk of the data directory: room, inodes, and a write that the disk confirms."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, user_name
from agent.host.clock import monotonic_s
from agent.runtime.error_text import error_reason
from agent.vision.camera import Camera

SLOW_FSYNC_S = 1.0
LEAST_INODES = 2000
TEST_BYTES = 64 * 1024


def check_disk(target: Target) -> Iterator[Finding]:
    """Writes and syncs 64 KiB beside the data, in a file without a name: nothing is left, even by a crash."""
    folder = target.folder
    existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    yield from _write(target, existing)
    free = shutil.disk_usage(existing)
    free_mb = free.free // 1_000_000
    config, wrong = target.config, False
    if config is not None:
        if free_mb < config.data.max_mb:
            wrong = True
            yield failed(
                f"{free_mb} MB free at {existing}, less than data.max_mb ({config.data.max_mb})",
                "delete what else is there, or lower data.max_mb",
                "data.directory",
            )
        cameras = sum(isinstance(source, Camera) for source in config.sources.values())
        wanted_mb = config.evidence.least_free_mb + cameras * config.evidence.max_mb
        if cameras and config.evidence.record and free_mb < wanted_mb:
            wrong = True
            yield failed(
                f"{free_mb} MB free at {existing}; {wanted_mb} MB required for {cameras} cameras",
                "a larger disk, or lower evidence.max_mb",
                "evidence",
            )
    inodes = os.statvfs(existing)
    if inodes.f_files and inodes.f_favail < LEAST_INODES:
        wrong = True
        yield failed(
            f"only {inodes.f_favail} files can still be made at {existing}",
            f"find the many small files: sudo du --inodes -d2 {existing}",
            "data.directory",
        )
    if not wrong:
        yield ok(f"{free_mb} of {free.total // 1_000_000} MB free at {existing}", "data.directory")


def _write(target: Target, existing: Path) -> Iterator[Finding]:
    if not os.access(existing, os.W_OK | os.X_OK) and target.agent_uid != os.geteuid():
        owner = user_name(target.agent_uid)
        yield skipped(
            f"the data in {existing} belongs to {owner}",
            f"sudo -u {owner} ringpost doctor {target.file}",
            "data.directory",
        )
        return
    began_s = monotonic_s()
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(os.urandom(TEST_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = error_reason(error)
        remedy = "make it writable for this user"
        if "ead-only" in reason:
            remedy = f"sudo mount -o remount,rw {existing}; if that fails, the card or disk is worn out"
        yield failed(f"can't write to {existing}: {reason}", remedy, "data.directory")
        return
    took_s = monotonic_s() - began_s
    if took_s > SLOW_FSYNC_S:
        yield warning(
            f"64 KiB took {took_s:.1f} s to reach the disk at {existing}",
            "replace the card or disk before it fails",
            "data.directory",
        )
    else:
        yield ok(f"64 KiB written and synced in {took_s * 1000:.0f} ms", "data.directory")
