import ctypes
import errno
import gc
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.host import clock
from agent.host.clock import kernel_clock, since_boot_s
from agent.host.clock_service import write_state


@pytest.fixture
def forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the clock service, for a process that may not call adjtimex."""

    def adjtimex(_: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(clock, "STATE", tmp_path / "state")
    monkeypatch.setattr(clock, "_libc", lambda: SimpleNamespace(adjtimex=adjtimex))
    return tmp_path / "state"


def test_what_the_clock_service_writes_is_read_where_the_kernel_may_not_be_asked(
    forbidden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as service:
        service.setattr("agent.host.clock_service.kernel_clock", lambda: (True, 2.5))
        write_state(forbidden)
    assert kernel_clock() == (True, 2.5)
    assert forbidden.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in forbidden.parent.iterdir()] == ["state"]


@pytest.mark.parametrize(
    "fields",
    [{"synchronised": False}, {"synchronised": "yes"}, {"error_ms": None}, {"error_ms": "x"},
     {"since_boot_s": None}, {"age_s": 60}, {"age_s": -1e6}],
)  # fmt: skip
def test_an_old_or_wrong_state_is_no_synchronised_clock(fields: dict[str, Any], forbidden: Path) -> None:
    at_s = since_boot_s() - fields.pop("age_s", 0.0)
    forbidden.write_text(json.dumps({"synchronised": True, "error_ms": 1, "since_boot_s": at_s, **fields}))
    assert kernel_clock() == (False, None)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff", b"null"])
def test_a_missing_or_damaged_state_is_no_synchronised_clock(content: bytes | None, forbidden: Path) -> None:
    if content is not None:
        forbidden.write_bytes(content)
    assert kernel_clock() == (False, None)


def test_the_unit_writes_where_the_agent_reads() -> None:
    unit = (Path(__file__).parents[1] / "configs/ringpost-clock.service").read_text()
    found = re.search("RuntimeDirectory=(.*)", unit)
    assert found
    assert Path("/run") / found[1] / "state" == clock.STATE


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
