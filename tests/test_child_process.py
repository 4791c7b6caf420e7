"""Child processes: what they answered counts, however they end, and they always end."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.child_process import MAX_LINE, run_child

HEAD = "import os, sys, time, signal; from agent.runtime.child_process import answer, begin, end_after\n"


def ran(
    folder: Path, code: str, monkeypatch: pytest.MonkeyPatch, within_s: float = 120
) -> tuple[dict[str, Any], str | None]:
    """What a child with this code answers, and why it failed."""
    (folder / "a_child.py").write_text(HEAD + code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path.cwd()), *sys.path]))
    return asyncio.run(run_child("a_child", b'{"asked": 1}', within_s))


@pytest.mark.parametrize(
    ("code", "answers", "failure"),
    [
        ("answer({'got': begin(60).decode()})", {"got": '{"asked": 1}'}, None),
        (
            "answer({'a': 1}); answer({'a': 2, 'b': 3}); print('no json'); print('[1]')",
            {"a": 2, "b": 3},
            None,
        ),
        ("answer({'a': 1}); sys.exit(3)", {"a": 1}, "ended with exit code 3"),
        ("answer({'a': 1}); raise ValueError", {"a": 1}, "ended with exit code 1"),
        ("answer({'a': 1}); os.kill(os.getpid(), signal.SIGSEGV)", {"a": 1}, "crashed: signal 11"),
        ("answer({'a': 1}); end_after(1); time.sleep(600)", {"a": 1}, "crashed: signal 14"),
        (f"answer({{'a': 1}}); print('x' * {2 * MAX_LINE})", {"a": 1}, "its answer is too large"),
    ],
)
def test_what_a_child_answered_counts(
    code: str, answers: dict[str, Any], failure: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ran(tmp_path, code, monkeypatch) == (answers, failure)


def test_a_child_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "answer({'pid': os.getpid()}); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    answers, failure = ran(tmp_path, code, monkeypatch, within_s=10)
    assert failure == "no answer within 10 s"
    deadline = time.monotonic() + 30
    while Path(f"/proc/{answers['pid']}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{answers['pid']}").exists()


def test_a_child_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "begin(60); answer({'nice': os.nice(0), 'oom': int(open('/proc/self/oom_score_adj').read())})"
    answers, failure = ran(tmp_path, code, monkeypatch)
    assert failure is None
    assert (answers["nice"] >= 15, answers["oom"]) == (True, 1000)
