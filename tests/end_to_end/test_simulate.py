"""``ringpost simulate`` as its own process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.scenario_rig import POST

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize(
    ("number", "code", "left"), [(signal.SIGINT, 130, 0), (signal.SIGTERM, -signal.SIGTERM, 1)]
)
def test_a_signal_ends_all_seeds_at_once(number: int, code: int, left: int, tmp_path: Path) -> None:
    """Also those that wait for a process, and without a traceback; ``left`` folders stay behind."""
    post = tmp_path / "post.yaml"
    post.write_text(POST.format(clock="virtual").replace("60s", "100d"))
    command = [sys.executable, "-m", "agent", "simulate", str(post), "--seeds", "9"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        while not list(tmp_path.glob("ringpost-seeds-*/ringpost-seed-*/*")):
            assert process.poll() is None
            time.sleep(0.05)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in error
    assert len(list(tmp_path.glob("ringpost-seeds-*"))) == left
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_a_reader_that_leaves_ends_a_run_in_real_time(tmp_path: Path) -> None:
    """As ``| head`` does; without a traceback, and long before the run's own end."""
    post = tmp_path / "post.yaml"
    presses = [f"  - {{at: {at}s, press: board.panic_button, for: 1s}}\n" for at in range(2, 60, 2)]
    timeline = "timeline:\n" + "".join(presses)
    post.write_text(POST.format(clock="real").replace("60s", "1h") + timeline)
    command = [sys.executable, "-m", "agent", "simulate", str(post)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(timeout=120) == 1
    assert error == b""
