"""The map reads what the centre commits: the state at any time, and each commit as it comes."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import stamp
from centre.map import feed as feed_module
from centre.map.actions import Actions
from centre.map.city import City as MapCity
from centre.map.feed import Feed, load_situation
from centre.map.fleet_orders import FleetOrders
from centre.map.history import History
from centre.map.settings import MapSettings
from centre.map.situation import Change
from centre.map.store_reader import StoreReader
from centre.message_store import MessageStore
from simulators.city_map import City, fill_history
from tests.map_rows import BIRTH, NOON, later, write
from tests.waiting import until

FIX = {"lat": 32.0, "lon": 118.0, "mode": "3d", "trust": "good", "age_s": 0.5, "stale_after_s": 15}


@pytest.fixture(scope="module")
def city_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of 30 devices up to noon."""
    db = tmp_path_factory.mktemp("city") / "centre.db"
    store = MessageStore(db)
    fill_history(store, City(30, seed=3, began=NOON), 1 / 3, 20.0)
    store.close()
    return db


def test_the_latest_of_each_device_is_that_of_a_full_search(city_db: Path) -> None:
    reader = StoreReader(city_db)
    row = reader.row_at(later(-600))
    with sqlite3.connect(city_db) as db:
        newest = db.execute(
            "SELECT max(rowid) FROM message WHERE received_at <= ?", (stamp(later(-600)),)
        ).fetchone()
        expected = db.execute(
            "SELECT max(rowid) FROM message WHERE rowid <= ? AND topic NOT IN ('alert') GROUP BY topic, device",
            newest,
        ).fetchall()
    assert row == newest[0]
    found = reader.latest(row)
    assert sorted(message.row for message in found) == sorted(row for (row,) in expected)
    reader.indexed = False
    assert sorted(message.row for message in reader.latest(row)) == sorted(message.row for message in found)
    reader.close()


@pytest.mark.parametrize(("at_s", "expected"), [(-10_000, 0), (10_000, None)])
def test_times_before_the_first_and_after_the_last_message(
    city_db: Path, at_s: float, expected: int | None
) -> None:
    reader = StoreReader(city_db)
    assert reader.row_at(later(at_s)) == (reader.last_row() if expected is None else expected)
    reader.close()


def test_a_restart_gives_what_following_gave(city_db: Path) -> None:
    reader = StoreReader(city_db)
    loaded, followed = load_situation(reader), load_situation(reader, 0)
    followed.apply(reader.since(0, 10**6))
    assert loaded.row == followed.row
    for force in followed.forces.all():
        again = loaded.forces.get(force.device)
        assert again is not None
        assert (again.kind, again.coordinates, again.link(NOON), again.blind, again.active_alerts) == (
            (force.kind, force.coordinates, force.link(NOON), force.blind, force.active_alerts)
        )
    states = [{alert.key: alert.state for alert in one.alerts.all()} for one in (loaded, followed)]
    assert states[0] == states[1]
    assert len(states[0]) > 3
    reader.close()


def test_a_last_will_is_in_the_database_once(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    will = {
        "schema": "status/1",
        "device": "boat-7",
        "session": 1,
        "state": "offline",
        "connected_at": stamp(NOON),
    }
    write(db, [("boat-7", "birth", 0, BIRTH), ("boat-7", "status", 0, {"state": "online"})])
    write(db, [("boat-7", "will", 0, will), ("boat-7", "will", 0, will)])
    reader = StoreReader(db)
    assert [message.topic for message in reader.since(0, 10)] == ["birth", "status", "will"]
    force = load_situation(reader).forces.get("boat-7")
    assert force is not None
    assert force.link(later(1)) == "offline"
    reader.close()


def test_the_feed_follows_each_commit(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    write(db, [("boat-7", "birth", 0, BIRTH), ("boat-7", "position", 0, FIX)])

    async def follow() -> list[Change]:
        feed = Feed(db)
        await feed.start()
        assert len(feed.situation.forces) == 1
        changes: list[Change] = []
        arrived = asyncio.Event()

        def broken(_: Change) -> None:
            raise RuntimeError("this page has gone")

        def take(change: Change) -> None:
            changes.append(change)
            arrived.set()

        feed.listen(broken)
        feed.listen(take)
        task = asyncio.ensure_future(feed.run())
        alert: dict[str, Any] = {"alert_id": "a1", "phase": "new", "severity": "critical", "text": "help"}
        await asyncio.to_thread(write, db, [("post-1", "alert", 5, {"alert": alert})])
        async with asyncio.timeout(20):
            await arrived.wait()
        task.cancel()
        await asyncio.wait([task])
        feed.close()
        return changes

    [change] = asyncio.run(follow())
    assert [alert.key for alert in change.new_alarms] == [("post-1", "a1")]


def test_what_is_no_database_of_a_centre_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such file"):
        StoreReader(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("not a database at all, but a text that is long enough" * 100)
    with pytest.raises(OSError, match="not a database"):
        StoreReader(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(OSError, match="not the database of a centre"):
        StoreReader(tmp_path / "other.db")


def test_an_old_alert_that_is_still_listed_is_whole_after_a_restart(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    point = {"lat": 32.0, "lon": 118.0, "error_m": 4, "how": "ground_plane"}
    alert: dict[str, Any] = {"alert_id": "a1", "phase": "new", "severity": "critical", "text": "help"}
    listed = {"count": 1, "alerts": [{"alert_id": "a1", "severity": "critical", "text": "help"}]}
    write(
        db,
        [
            ("boat-7", "birth", -9000, BIRTH),
            ("boat-7", "alert", -8100, {"alert": alert | {"alert_id": "a0"}}),
            ("boat-7", "alert", -8000, {"alert": alert | {"point": point}}),
            ("boat-7", "alerts/active", -7999, listed),
            ("boat-7", "position", 0, FIX),
        ],
    )
    reader = StoreReader(db)
    situation = load_situation(reader)
    reader.close()
    [found] = situation.alerts.all()
    assert (found.alert_id, found.state, found.alarm) == ("a1", "open", True)
    assert found.point is not None
    assert found.age_s(later(0)) == 8000
    assert situation.apply([]).new_alarms == ()


ALERT: dict[str, Any] = {"alert_id": "a1", "phase": "new", "severity": "critical", "text": "help"}


@pytest.mark.parametrize("in_place", [False, True])
def test_a_backup_that_is_put_back_is_shown_and_not_the_old_file(
    tmp_path: Path, in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map holds the database open: without a look at the path it would read a file that is gone."""
    monkeypatch.setattr(feed_module, "RETRY_S", 0.05)
    db, backup = tmp_path / "centre.db", tmp_path / "backup.db"
    write(db, [("boat-7", "birth", 0, BIRTH), ("boat-7", "position", 1, FIX), ("boat-7", "position", 2, FIX)])
    write(backup, [("boat-8", "birth", 0, BIRTH), ("post-1", "alert", 5, {"alert": ALERT})])

    async def follow() -> list[Change]:
        feed, history, changes = Feed(db), History(db), list[Change]()
        await feed.start()
        assert history.situation_at(later(10)).forces.get("boat-7") is not None
        feed.listen(changes.append)
        task = asyncio.ensure_future(feed.run())
        if in_place:
            with sqlite3.connect(db) as target, sqlite3.connect(backup) as source:
                source.backup(target)
        else:
            db.rename(tmp_path / "old.db")
            await until(lambda: "No such file" in feed.problem)
            db.write_text("not yet a database, but a text that is long enough" * 100)
            await until(lambda: "not a database" in feed.problem)
            backup.rename(db)
        await until(lambda: feed.situation.forces.get("boat-8") is not None and not feed.problem)
        assert feed.situation.forces.get("boat-7") is None
        await asyncio.to_thread(write, db, [("post-1", "birth", 9, BIRTH)])
        await until(lambda: feed.situation.forces.get("post-1") is not None)
        past = history.situation_at(later(10))
        assert past.forces.get("boat-7") is None or in_place
        task.cancel()
        await asyncio.wait([task])
        feed.close()
        history.close()
        return changes

    changes = asyncio.run(asyncio.wait_for(follow(), 60))
    assert [alert.key for alert in changes[0].new_alarms] == [("post-1", "a1")]


def test_a_centre_that_stores_nothing_is_told(tmp_path: Path) -> None:
    """A map whose centre is dead has no alerts, which must not look like peace."""
    db = tmp_path / "centre.db"
    reporting = {"reporting": {"health_every_s": 30}}
    write(db, [("boat-7", "birth", 0, BIRTH | reporting), ("boat-7", "status", 0, {"state": "online"})])

    async def look() -> list[float | None]:
        feed, history = Feed(db), History(db)
        await feed.start()
        actions = Actions(db, FleetOrders(None))
        city = MapCity(db, feed, actions, MapSettings(), history)
        found = [city.silence_s(later(seconds)) for seconds in (-600, -5, 40, 50, 90_000)]
        write(db, [("boat-7", "status", 91_000, {"state": "stopped"})])
        await feed.start()
        found.append(city.silence_s(later(100_000)))
        city.close()
        return found

    assert asyncio.run(look()) == [-600, None, None, 50, 90_000, None]
