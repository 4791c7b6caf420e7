"""The bundle of ``doctor`` for a download: made in a child with low priority, and kept on no disk."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path

from agent.cli.doctor import USUAL_FILE

LIMIT_S = 180.0
LEAST_PRIORITY = ("nice", "-n", "19")


async def make_bundle(file: str | None, data: Path) -> bytes:
    """The zip of ``ringpost doctor --bundle``. OSError or TimeoutError: there is none."""
    with tempfile.TemporaryDirectory(prefix="ringpost-bundle-") as folder:
        path = Path(folder) / "bundle.zip"
        child = await asyncio.create_subprocess_exec(
            *LEAST_PRIORITY, sys.executable, "-m", "agent", "doctor", file or str(USUAL_FILE),
            "--data", str(data), "--json", "--bundle", str(path),
            stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LIMIT_S):
                _, errors = await child.communicate()
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            words = errors.decode(errors="replace").strip().splitlines()
            raise OSError(words[-1] if words else "doctor made no bundle") from None
