"""The same seed gives the same trace: twice in a process, under another hash seed, on another Python."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_virtual import Post, played

SEED = 3


async def eventful(post: Post) -> None:
    """Presses, a broker that is down, a kill, a power cut, a slow disk and a clock that is stepped."""
    stage, device = post.stage, post.device
    await post.press(5)
    stage.broker.set_down(True)
    await stage.sleep_until(20)
    stage.broker.set_down(False)
    stage.broker.shape(device.name, latency_s=0.1, jitter_s=0.1, bytes_per_s=20_000)
    await stage.sleep_until(25)
    await device.kill()
    await device.start()
    await stage.sleep_until(35)
    await device.cut_power()
    device.clock.step(-3600)
    await stage.sleep_until(40)
    await device.start()
    device.disk.set_slow(3.0)
    post.board.press("panic_button", False)
    await stage.sleep_until(60)
    device.disk.set_slow(0)
    stage.broker.set_unkind("reorder", 0.3)
    await stage.sleep_until(80)


def run_hash(folder: Path) -> str:
    return played(folder, eventful, SEED).sha256()


def elsewhere(folder: Path, python: str, hash_seed: str) -> str:
    """The hash of the same run in another process."""
    done = subprocess.run(
        [python, "-m", "tests.test_virtual_determinism", str(folder)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def test_a_seed_gives_the_same_trace_whatever_the_folder_and_the_hash_seed(tmp_path: Path) -> None:
    first = run_hash(tmp_path / "a")
    assert run_hash(tmp_path / "another folder") == first
    assert elsewhere(tmp_path / "c", sys.executable, "77") == first


def test_when_garbage_is_collected_plays_no_part(tmp_path: Path) -> None:
    """What a killed agent leaves has the descriptors of its connections: their numbers are not given again."""

    def run(name: str, *, collects: bool) -> str:
        async def kill_and_collect(post: Post) -> None:
            await post.stage.sleep_until(10)
            await post.device.kill()
            await post.device.start()
            await post.stage.sleep_until(20)
            if collects:
                gc.collect()
            await post.press(25)
            await post.stage.sleep_until(60)

        gc.collect()
        gc.disable()
        try:
            return played(tmp_path / name, kill_and_collect, SEED).sha256()
        finally:
            gc.enable()

    assert run("a", collects=True) == run("b", collects=False)


def test_another_seed_gives_another_trace(tmp_path: Path) -> None:
    one, other = (played(tmp_path / str(seed), lambda post: post.press(5), seed) for seed in (1, 2))
    assert one.sha256() != other.sha256()


@pytest.mark.skipif("RINGPOST_OTHER_PYTHON" not in os.environ, reason="RINGPOST_OTHER_PYTHON names none")
def test_a_seed_gives_the_same_trace_on_another_python(tmp_path: Path) -> None:
    other = elsewhere(tmp_path / "b", os.environ["RINGPOST_OTHER_PYTHON"], "1")
    assert other == run_hash(tmp_path / "a")


if __name__ == "__main__":
    print(run_hash(Path(sys.argv[1])))
