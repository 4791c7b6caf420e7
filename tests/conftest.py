"""What all tests share: property tests measure words, not this machine, so no example is ever too slow."""

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.memory import MEMORY

settings.register_profile("ringpost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ringpost")


@pytest.fixture(autouse=True)
def log_of_this_test() -> Iterator[None]:
    """A verb that runs in the test's own process sets up the log: the next test gets the one before."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """As `tmp_path`, in memory."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What collection makes lives as long as the process: no garbage collection looks at it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spreads whole devices over the run, the last of them well before its end.

    Each process begins with a part of the list: together these tests, which mostly wait, would fall to one
    process, while the others have nothing left to do. Tests of one file stay together.
    """
    devices: dict[object, list[pytest.Item]] = {}
    others: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("end_to_end"):
            devices.setdefault(item.path, []).append(item)
        else:
            others.append(item)
    step = int(0.8 * len(others) / (len(devices) or 1))
    spread: list[pytest.Item] = []
    for number, block in enumerate(devices.values()):
        spread += [*block, *others[number * step : (number + 1) * step]]
    items[:] = [*spread, *others[len(devices) * step :]]
