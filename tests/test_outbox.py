"""The outbox: what was put is still there, or was handed over, or its loss was told."""

import asyncio
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.domain.message import LANES, Lane, new_id
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.outbox import Outbox
from agent.outbox.rows import Row
from tests.memory import memory_folder
from tests.outbox_rig import copied, ids, message
from tests.thorough import all_or


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path, 32_000_000)
    yield found
    found.close()


def test_the_outbox_groups_telemetry_and_commits_alerts_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        await outbox.put(message("telemetry"))
        assert await outbox.due(10) == []
        await outbox.put(message("alert"))
        assert [row.lane for row in await outbox.due(10)] == ["alert", "telemetry"]
        await outbox.put(message("telemetry"))
        outbox.changed.clear()
        async with asyncio.timeout(60):
            await outbox.changed.wait()
        assert [row.lane for row in await outbox.due(10)] == ["telemetry"]
        await outbox.put(*(message("telemetry") for _ in range(3)))
        outbox.close()

    asyncio.run(play())
    again = Outbox.open(tmp_path)
    assert asyncio.run(again.depth())["telemetry"] == 5
    again.close()


def test_concurrent_alerts_share_a_commit_and_each_is_safe_on_return(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        commits = 0
        put_really = outbox.storage.alerts.store.put

        def count(*args: object) -> None:
            nonlocal commits
            commits += 1
            put_really(*args)  # type: ignore[arg-type]

        outbox.storage.alerts.store.put = count  # type: ignore[method-assign, assignment]
        reader = sqlite3.connect(tmp_path / "alerts.db")

        async def one() -> None:
            given = message()
            await outbox.put(given)
            assert reader.execute("SELECT count(*) FROM owed WHERE id = ?", (given.id,)).fetchone() == (1,)

        await asyncio.gather(*(one() for _ in range(100)))
        assert 1 <= commits < 20
        reader.close()
        outbox.close()

    asyncio.run(play())


def test_session_numbers_rise_across_restarts(tmp_path: Path) -> None:
    async def play() -> list[int]:
        outbox = Outbox.open(tmp_path)
        numbers = [outbox.session, await outbox.next_session(), await outbox.next_session()]
        outbox.close()
        return numbers

    assert asyncio.run(play()) == [0, 1, 2]
    assert asyncio.run(play()) == [2, 3, 4]


def test_a_rewind_overtakes_no_settlement(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        await outbox.put(*(message() for _ in range(300)))
        for _ in range(20):
            rows = await outbox.due(10)
            outbox.mark_delivered(rows)
            outbox.rewind()
        assert len(await outbox.due(1000)) == 100
        outbox.close()

    asyncio.run(play())


def test_a_folder_that_can_not_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Outbox.open(tmp_path / "file" / "data")


class OutboxMachine(RuleBasedStateMachine):
    """A `LaneStorage` beside a model: what is owed by lane, what was handed out, what number has which id."""

    def __init__(self) -> None:
        super().__init__()
        self.root = memory_folder()
        self.folder = self.root / "a"
        self.folder.mkdir()
        self.storage = LaneStorage(self.folder, 32_000_000)
        self.owed: dict[Lane, dict[str, None]] = defaultdict(dict)
        self.out: dict[str, Row] = {}
        self.numbers: dict[tuple[str, Lane, int], str] = {}
        self.remembered: dict[str, bytes] = {}
        self.old: set[str] = set()

    def teardown(self) -> None:
        self.storage.close()
        shutil.rmtree(self.root)

    @rule(lanes=st.lists(st.sampled_from(("alert", "result", "telemetry", "media")), min_size=1, max_size=6))
    def put(self, lanes: list[Lane]) -> None:
        given = [message(lane) for lane in lanes]
        self.storage.put(given, {}, [])
        for one in given:
            self.owed[one.lane][one.id] = None

    @rule(key=st.sampled_from(("a", "b")), value=st.binary(max_size=20))
    def remember(self, key: str, value: bytes) -> None:
        self.storage.put([], {key: value}, [])
        self.remembered[key] = value

    @rule(limit=st.integers(1, 8), lane=st.sampled_from(("alert", "result", "telemetry", "media")))
    def take(self, limit: int, lane: Lane) -> None:
        rows = self.storage.due(limit, [lane])
        waiting = [one for one in self.owed[lane] if one not in self.out]
        if lane == "alert":  # what is new goes before what is from before the rewind
            waiting.sort(key=lambda one: one in self.old)
        assert ids(rows) == waiting[:limit]
        for row in rows:
            assert self.numbers.setdefault(row.key, row.id) == row.id
            self.out[row.id] = row

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.out)), unique=True))
        rows = [self.out.pop(one) for one in chosen]
        self.storage.delete(rows)
        for row in rows:
            self.owed[row.lane].pop(row.id, None)

    @precondition(lambda self: self.owed["alert"] or self.owed["result"])
    @rule(data=st.data(), lane=st.sampled_from(("alert", "result")))
    def receipt(self, data: st.DataObject, lane: Lane) -> None:
        known = st.sampled_from(sorted(self.owed[lane]) or [new_id()])
        named = data.draw(st.lists(st.one_of(known, st.text(max_size=3)), max_size=5))
        here = set(named) & self.owed[lane].keys()
        assert self.storage.alerts.record_receipts(named) == len(here)
        for identity in here:
            del self.owed[lane][identity]
            self.out.pop(identity, None)

    @rule()
    def rewind(self) -> None:
        self.storage.rewind(LANES)
        self.out.clear()
        self.old = set(self.owed["alert"])

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        if killed:
            folder = copied(self.folder)
            self.storage.close()
            self.folder = folder
        else:
            self.storage.close()
        self.storage = LaneStorage(self.folder, 32_000_000)
        self.out.clear()
        self.old = set(self.owed["alert"])

    @invariant()
    def depth_is_what_is_owed(self) -> None:
        depth = self.storage.depth()
        assert {lane: depth[lane] for lane in ("alert", "result", "telemetry", "media")} == {
            lane: len(self.owed[lane]) for lane in ("alert", "result", "telemetry", "media")
        }

    @invariant()
    def what_was_remembered_is_recalled(self) -> None:
        for key, value in self.remembered.items():
            assert self.storage.alerts.read(f"remember/{key}") == value


TestOutboxMachine = pytest.mark.slow(OutboxMachine.TestCase)


TestOutboxMachine.settings = settings(
    max_examples=all_or(24, 80),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_second_agent_on_the_same_data_is_refused(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path)
    with pytest.raises(OSError, match="another agent"):
        Outbox.open(tmp_path)
    outbox.close()
    Outbox.open(tmp_path).close()
