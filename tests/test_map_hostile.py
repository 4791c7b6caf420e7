"""Whatever is in the database, the map opens it, ranks forces, and writes its report."""

import csv
import io
import json
import sqlite3
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.domain.message import stamp
from centre.map.feed import load_situation
from centre.map.history import History
from centre.map.map_lines import NamedLine
from centre.map.nearest import nearest
from centre.map.report_data import read_report
from centre.map.report_files import write_report
from centre.map.settings import MapSettings
from centre.map.store_reader import StoreReader
from centre.map.waterway import Waterway
from centre.message_store import MessageStore
from tests.map_rows import later
from tests.test_map_forces import TOPICS, bodies

DEVICES = (
    "boat-7",
    "post-1",
    "-x",
    "=1+1",
    "<img src=x onerror=alert(1)>",
    "../../etc",
    "a" * 64,
    "名前",
    "",
)
RECEIVED = (
    *(stamp(later(second)) for second in (0, 1, 60)),
    "",
    "yesterday",
    "9999-12-31T23:59:59Z",
    None,
    7,
)
ALERT = {
    "alert_id": "a1",
    "phase": "new",
    "severity": "critical",
    "text": "=HYPERLINK(1)",
    "point": {"lat": 33, "lon": 170},
}
BODIES = (
    bodies
    | st.fixed_dictionaries({"alert": st.just(ALERT)})
    | st.fixed_dictionaries({"lat": st.just(33), "lon": st.just(170)})
)
TEXTS = st.builds(json.dumps, BODIES) | st.sampled_from(
    ["", "{", "[]", '{"at": "\\ud800"}', '"', None, 7, b"\xff\xfe"]
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(DEVICES), st.sampled_from((*TOPICS, "=x", "../y")), st.sampled_from(RECEIVED), TEXTS
    ),
    max_size=15,
)
WATER = Waterway([NamedLine("Quill", ((33.0, 170.0), (33.0, 170.1)))])


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_hostile_rows(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    db = tmp_path / "centre.db"
    db.unlink(missing_ok=True)
    MessageStore(db).close()
    raw = sqlite3.connect(db)
    for number, (device, topic, received, body) in enumerate(rows):
        row = (device, f"m{number}", 0, topic, "e", number, "", received, body)
        raw.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    raw.commit()
    raw.close()
    reader, history = StoreReader(db), History(db)
    situation = load_situation(reader)
    for alert in situation.alerts.all():
        found = nearest(alert, situation.forces.all(), MapSettings(), WATER, later(5))
        assert all(one.eta_s >= 0 for one in found.ranked)
    history.situation_at(later(30))
    history.positions_at(later(30))
    history.track("boat-7", later(-100), later(100))
    written = write_report(read_report(db, later(-100), later(100)), tmp_path / "out", UTC)
    for path in written:
        if path.suffix == ".geojson":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            table = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
            assert not [cell for row in table for cell in row if cell[:1] in ("=", "+", "@")]
    reader.close()
    history.close()
