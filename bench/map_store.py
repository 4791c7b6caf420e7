"""The map's model on a day of 2,000 devices: start, past, nearest forces, and what following costs.

python -m bench.map_store [SECONDS BETWEEN POSITIONS]
"""

import json
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.domain.message import stamp
from centre.map.feed import load_situation
from centre.map.history import History
from centre.map.map_lines import NamedLine
from centre.map.nearest import nearest
from centre.map.report_data import read_report
from centre.map.settings import MapSettings
from centre.map.store_reader import StoreReader
from centre.map.waterway import Waterway
from centre.message_store import MessageStore
from simulators.city_fleet import river
from simulators.city_map import City

DEVICES, HOURS = 2_000, 24
LIVE_S = 20


def rows_of(city: City, second: float, every_s: float) -> Iterator[tuple[Any, ...]]:
    """The rows of one second, as the centre stores them."""
    received_at = stamp(city.at(second + 0.2))
    for message in (*city.positions(second), *city.alert_messages(second, every_s)):
        head = message.header
        yield (
            head.device,
            head.id,
            0,
            message.topic,
            head.epoch,
            head.seq,
            head.at,
            received_at,
            message.payload.decode(),
        )


def fill(db: Path, city: City, every_s: float) -> int:
    """A day before ``city.began``; in bulk, as `MessageStore.keep` would take an hour."""
    store = MessageStore(db)
    store.keep(list(city.births(-HOURS * 3600)), city.at(-HOURS * 3600))
    store.close()
    raw = sqlite3.connect(db, isolation_level=None)
    raw.execute("PRAGMA synchronous=OFF")
    written, second = 0, -HOURS * 3600.0
    while second < 0:
        rows = list(rows_of(city, second, every_s))
        raw.execute("BEGIN")
        raw.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        raw.execute("COMMIT")
        written, second = written + len(rows), second + every_s
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return written


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began_s = time.perf_counter()
    found = work()
    return time.perf_counter() - began_s, found


def spread(times_s: list[float]) -> str:
    return f"{statistics.median(times_s) * 1000:.0f} / {sorted(times_s)[int(len(times_s) * 0.95)] * 1000:.0f}"


def figures(every_s: float = 600.0) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        db = Path(name) / "centre.db"
        city = City(DEVICES, began=datetime.now(UTC), simulated=False)
        found: dict[str, Any] = {"rows": fill(db, city, every_s), "mb": round(db.stat().st_size / 1e6)}
        reader = StoreReader(db)
        found["start_s"], situation = timed(lambda: load_situation(reader))
        found["alerts_in_the_queue"] = len(situation.alerts)
        found["latest_of_all_s"] = timed(lambda: reader.latest(reader.last_row()))[0]
        chance, history = random.Random(1), History(db)
        ages_s = [chance.uniform(0, HOURS * 3600) for _ in range(20)]
        past = [timed(lambda age_s=age_s: history.situation_at(city.at(-age_s)))[0] for age_s in ages_s]
        found["situation_at_ms_p50_p95"] = spread(past)
        boats = [force.device for force in situation.forces.all() if force.kind == "patrol_boat"][:20]
        day = timedelta(hours=HOURS)
        tracks = [
            timed(lambda boat=boat: history.track(boat, city.began - day, city.began))[0] for boat in boats
        ]
        found["track_of_a_day_ms_p50_p95"] = spread(tracks)
        shift, data = timed(lambda: read_report(db, city.at(-8 * 3600), city.began))
        found["report_of_8_h_s"], found["tracks_of_8_h_s"] = shift, timed(data.tracks)[0]
        found |= live(db, city, situation, reader)
        reader.close()
        history.close()
        found["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}


def live(db: Path, city: City, situation: Any, reader: StoreReader) -> dict[str, Any]:
    """Commits of 2,000 messages, what following them costs, and nearest forces."""
    store = MessageStore(db)
    commits, follows, ranks = [], [], []
    water, settings = Waterway([NamedLine("Quill", tuple(river()))]), MapSettings()
    messages = 0
    for second in range(LIVE_S):
        batch = city.second(second)
        commits.append(timed(lambda batch=batch: store.keep(batch))[0])
        began_s = time.process_time()
        new = reader.since(situation.row, 10_000)
        situation.apply(new)
        follows.append(time.process_time() - began_s)
        messages += len(new)
        for alert in situation.alerts.alarms()[:3]:
            now = city.at(second)
            ranks.append(
                timed(
                    lambda alert=alert, now=now: nearest(alert, situation.forces.all(), settings, water, now)
                )[0]
            )
    store.close()
    return {
        "commit_of_a_second_ms_p50_p95": spread(commits),
        "follow_a_second_cpu_ms_p50_p95": spread(follows),
        "messages_a_second": round(messages / LIVE_S),
        "nearest_ms_p50_p95": spread(ranks),
    }


if __name__ == "__main__":
    print(json.dumps(figures(*map(float, sys.argv[1:2]))))
