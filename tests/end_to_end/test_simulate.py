"""``ringpost simulate`` as its own process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.scenario_rig import POST


def test_an_interrupt_ends_all_seeds_at_once(tmp_path: Path) -> None:
    """Also those that wait for a process, and without a traceback."""
    post = tmp_path / "post.yaml"
    post.write_text(POST.format(clock="virtual").replace("60s", "100d"))
    command = [sys.executable, "-m", "agent", "simulate", str(post), "--seeds", "9"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        while not list(tmp_path.glob("ringpost-seed-*/*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"")
    assert not list(tmp_path.glob("ringpost-seed-*"))
