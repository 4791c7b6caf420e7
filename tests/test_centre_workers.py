"""A centre of several processes, without a broker or with one that is scripted; time is given where it counts."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.mqtt.broker import Broker
from centre import share_probe, worker
from centre.intake import Intake
from centre.message_store import NUMBERED
from centre.registrar import STATE, Registrar
from centre.registrar_lease import LEASE_S
from centre.server import Centre
from centre.share_probe import share_problem
from centre.worker import LONGEST_WAIT_S, RENEW_S, Worker
from centre.worker_processes import worker_arguments
from centre.worker_session import WorkerSession
from tests.scripted_broker import (
    NOT_AUTHORIZED,
    RECEIVE_MAXIMUM,
    SESSION_EXPIRY,
    WILL_DELAY,
    ScriptedBroker,
)
from tests.waiting import until

ROOT = "ringpost/v1"
DEAD = Broker(url="mqtt://127.0.0.1:1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["centre", "--workers", "3", "--db", "x"], ["centre", "--db", "x"]),
        (["centre", "--db", "x", "--workers=3"], ["centre", "--db", "x"]),
    ],
)
def test_a_worker_gets_the_command_line_of_its_parent(given: Sequence[str], expected: list[str]) -> None:
    more = ["--worker", "w2", "--until-stdin-ends"]
    assert worker_arguments(given, "w2") == [sys.executable, "-m", "agent", *expected, *more]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--workers", "2", "--worker", "a"], "give --workers or --worker, not both"),
        (["--worker", "A b"], "'A b' is not a name"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_a_wrong_worker_is_one_clear_line(tmp_path: Path, more: list[str], expected: str) -> None:
    given = ["centre", "--db", str(tmp_path / "c.db"), "--broker", "mqtt://127.0.0.1:1", *more]
    done = CliRunner().invoke(cli, given)
    assert (done.exit_code, expected in done.output) == (2, True)


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        (1, "delivers nothing by it"),
        (0x9E, "refuses a shared subscription"),
        (NOT_AUTHORIZED, "refuses a shared"),
    ],
)
def test_a_broker_that_grants_a_share_and_delivers_nothing_is_found_out(
    granted: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_probe, "PROBE_WITHIN_S", 0.2)

    async def scene() -> None:
        async with ScriptedBroker(grant=lambda topic: granted) as broker:
            assert expected in str(await share_problem(Broker(url=broker.url), ROOT))
            assert broker.connects[0].clean_start
            if granted == 1:
                (probed,) = broker.published
                assert probed.topic.startswith(f"{ROOT}/host/probe/")  # no device has it

    asyncio.run(scene())


def test_a_worker_says_nothing_of_the_centre_and_its_session_outlives_a_restart_only(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            intake = Intake(tmp_path / "c.db", ROOT)
            session = WorkerSession(intake, Broker(url=broker.url), ROOT, "a")
            task = asyncio.ensure_future(session.run())
            await until(lambda: len(broker.subscribed) == 4)
            (said,) = broker.connects
            assert (said.client_id, said.will) == ("ringpost-centre-a", None)
            default_s = Broker(url=broker.url).resend_after.total_seconds()
            assert 5 <= said.properties[SESSION_EXPIRY] <= default_s / 3
            assert said.properties[RECEIVE_MAXIMUM] == 400
            wanted = {f"$share/ringpost-centre/{ROOT}/+/{topic}" for topic in NUMBERED}
            assert set(broker.subscribed) == wanted
            assert {options & 4 for options in broker.subscribed_with} == {0}  # else a protocol error
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: broker.session_expiries == [0])  # its share goes to the others at once
            assert broker.published == []
            intake.close()

    asyncio.run(scene())


def test_a_registrar_of_a_pool_leaves_no_farewell_and_its_will_is_late(tmp_path: Path) -> None:
    """The next one takes the session over before the broker says that the centre is offline."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            intake = Intake(tmp_path / "c.db", ROOT)
            made: list[str] = []
            registrar = Registrar(
                intake, Broker(url=broker.url), ROOT, generation="g", renew=lambda: made.append("h") or "h",
                pool=True, receives=STATE,
            )  # fmt: skip
            task = asyncio.ensure_future(registrar.run())
            await until(lambda: broker.payloads("host/status"))
            (said,) = broker.connects
            assert said.client_id == "ringpost-centre"
            assert said.will_properties[WILL_DELAY] > LEASE_S + 2 * RENEW_S + LONGEST_WAIT_S
            assert f"{ROOT}/+/alert" not in broker.subscribed
            (status,) = map(json.loads, broker.payloads("host/status"))
            assert (status["generation"], made) == ("h", ["h"])  # the broker had no session: all may be lost
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: broker.goodbyes == [4])  # with the will
            assert len(broker.payloads("host/status")) == 1
            intake.close()

    asyncio.run(scene())


class Leases:
    """Gives the lease as scripted; an OSError is raised."""

    def __init__(self, found: Iterable[str | OSError | None]) -> None:
        self.left = deque(found)
        self.released = 0

    def acquire(self) -> str | None:
        found = self.left.popleft()
        if isinstance(found, OSError):
            raise found
        return found

    def renew_generation(self) -> str:
        return "renewed"

    def release(self) -> None:
        self.released += 1


def led(found: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool | str]:
    """Whether the process is the registrar after each answer, and the generations that it was told of."""
    seen: list[bool | str] = []
    now_s = [0.0]
    monkeypatch.setattr(worker, "LEASE_S", 3.0)
    monkeypatch.setattr(worker, "UNCONNECTED_S", 4.0)
    monkeypatch.setattr(worker, "REST_S", 2.0)
    monkeypatch.setattr(Registrar, "announce", lambda _, generation: seen.append(generation))

    async def scene() -> None:
        async def sleep(_: float) -> None:
            seen.append(centre.leads)
            now_s[0] += 1.0
            if len(leases.left) == 0:
                raise asyncio.CancelledError

        centre = Worker("a", folder / "c.db", DEAD, clock=lambda: now_s[0], sleep=sleep)
        leases = Leases(found)
        centre._lease = leases  # type: ignore[assignment]
        with suppress(asyncio.CancelledError):
            await centre._keep_lease()
        assert (centre.leads, leases.released) == (False, 1 + (len(found) == 6))
        centre.close()

    asyncio.run(scene())
    return seen


FAILS = OSError("the server is gone")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([None, "g", "g", None, "g"], [False, True, True, False, True]),
        (["g", "h"], [True, "h", True]),  # the database was away so long that the devices are told anew
        (["g", FAILS, FAILS, FAILS], [True, True, True, False]),
        (["g"] * 6, [True] * 5 + [False] * 2 + [True]),  # no broker: for a while it is the turn of another
    ],
)
def test_who_has_the_lease_is_the_registrar_and_no_longer_than_it_lasts(
    found: list[Any], expected: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert led(found, tmp_path, monkeypatch) == expected


def test_a_centre_of_one_process_says_its_generation(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            centre = Centre(tmp_path / "c.db", Broker(url=broker.url))
            task = asyncio.ensure_future(centre.run())
            await until(lambda: broker.payloads("host/status"))
            (said,) = broker.payloads("host/status")
            assert b'"generation":"' in said
            assert broker.subscribed == [f"{ROOT}/+/#"]
            task.cancel()
            await asyncio.wait([task])
            centre.close()

    asyncio.run(scene())
