"""The report of a run: JUnit, one page, and two runs compared."""

import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from firmware_bridge.wgs84 import Plane, distance_m
from simulators.report import compare, write
from simulators.report.collect import collect
from simulators.report.run_files import RunFiles
from simulators.report.story import TrackPoint
from simulators.report.tracks import ThinnedTrack
from simulators.run_record import RunRecord
from tests.report_run import make_run

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\x07"


def change(folder: Path, **fields: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def suite_of(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "junit.xml").getroot()[0]  # noqa: S314  our own


def test_one_case_for_each_expectation_never_invariant_and_fault(tmp_path: Path) -> None:
    write(make_run(tmp_path))
    suite = suite_of(tmp_path)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("12", "0", "0")
    names = [case.get("classname", "").rpartition(".")[2] for case in suite.findall("testcase")]
    assert {name: names.count(name) for name in names} == {
        "expectation": 5, "never": 1, "sometimes": 1, "invariant": 4, "fault": 1,
    }  # fmt: skip


def test_what_failed_is_a_failure_and_what_is_incomplete_an_error(tmp_path: Path) -> None:
    make_run(tmp_path)
    fault = {"number": 1, "kind": "disk.full", "device": "boat-1", "began_s": 1.0, "effect_s": None}
    unmet = {"name": "panic raised", "text": "panic within 20 s", "met": False, "detail": "no new came"}
    change(
        tmp_path, verdict="incomplete", expectations=[unmet], faults=[fault], incomplete=["boat-1 died \x00"]
    )
    page = write(tmp_path).read_text()
    suite = suite_of(tmp_path)
    assert (suite.get("failures"), suite.get("errors")) == ("1", "2")
    assert [one.get("message") for one in suite.iter("failure")] == ["no new came"]
    assert "is incomplete" in page
    assert "no effect" in page


def test_hostile_text_is_text(tmp_path: Path) -> None:
    page = write(make_run(tmp_path, hostile=HOSTILE)).read_text()
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 2
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert data is not None
    assert "man" + HOSTILE in [one["name"] for one in json.loads(data[1])["objects"]]
    assert suite_of(tmp_path).get("tests") == "12"


def test_the_story_has_states_alerts_and_their_way(tmp_path: Path) -> None:
    story = collect(RunFiles(make_run(tmp_path)))
    boat = story.devices["boat-1"]
    assert [(span.state, span.begin, span.end) for span in boat.states] == [
        ("online", 0, 96), ("degraded", 96, 132), ("online", 132, 460),
    ]  # fmt: skip
    assert [span.state for span in boat.sources["gnss"]] == ["online", "degraded", "online"]
    assert [span.state for span in boat.sources["cam1"]] == ["online"]
    panic = story.alerts["bridge-1", "a2"]
    assert [phase.phase for phase in panic.phases] == ["new", "end"]
    steps = panic.phases[0].steps()
    assert [round(step or 0) for step in steps] == [6, 12, 38]
    assert story.kinds == {"bridge-1": "checkpoint_camera", "boat-1": "patrol_boat", "man": "person"} | {
        f"vessel-{n}": "vessel" for n in range(4)
    }


def test_a_thinned_track_explains_all_points() -> None:
    plane = Plane(32.0, 118.0)
    every = [TrackPoint(t, *plane.position(t * 3.0, min(t, 50) * 2.0)) for t in range(200)]
    track = ThinnedTrack(plane)
    for point in every:
        track.add(point)
    kept = track.close()
    assert len(kept) < 12
    for one, other in pairwise(kept):
        for point in every[int(one.t) : int(other.t)]:
            share = (point.t - one.t) / (other.t - one.t)
            there = (one.lat + share * (other.lat - one.lat), one.lon + share * (other.lon - one.lon))
            assert distance_m(there, (point.lat, point.lon)) < 0.5


def test_equal_runs_do_not_differ(tmp_path: Path) -> None:
    found = compare(make_run(tmp_path / "a"), make_run(tmp_path / "b"))
    assert found.same
    assert found.lines() == ["no difference: a and b"]


def test_what_differs_is_told(tmp_path: Path) -> None:
    before, now = make_run(tmp_path / "a"), make_run(tmp_path / "b", hostile="x")
    change(now, verdict="failed", counts={"raised": 6, "committed": 5, "owed": 0, "lost": 1})
    found = compare(before, now)
    assert not found.same
    assert {"verdict: failed instead of passed", "counts lost: 1 instead of 0"} <= set(found.lines())
    assert found.first_message is not None
    assert "alert" in found.lines()[-1]
    assert "<script" not in found.page()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "ringpost-run/9"}'])
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_page_begins_with_what_the_scenario_is_about_and_with_its_film(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    with (folder / "scenario.yaml").open("a") as file:
        file.write("\nabout: A <b>boat</b> loses its link.\n")
    page = write(folder).read_text()
    places = [page.index(text) for text in ("<h1>", "A &lt;b&gt;boat", 'id="film"', 'id="expectations"')]
    assert places == sorted(places)


def test_a_page_asks_nothing_of_anyone(tmp_path: Path) -> None:
    page = write(make_run(tmp_path)).read_text()
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|src=|<link|@import|url\(", page)


def test_of_many_devices_and_faults_the_page_shows_those_in_trouble_and_says_so(tmp_path: Path) -> None:
    now_s = 0.0
    record = RunRecord(lambda: now_s)
    for number in range(100):
        record.message(f"post-{number}", "status", {"state": "online", "reasons": []})
    now_s = 5.0
    record.message("post-77", "status", {"state": "degraded", "reasons": ["board: silent"]})
    now_s = 10.0
    record.message("post-78", "status", {"state": "offline"})
    for number in range(2000):
        record.event("pushed", f"post-{number % 100}")
    record.save(tmp_path)
    fault = {"kind": "link.down", "began_s": 1.0, "ended_s": 2.0, "effect_s": 1.0, "detected_s": 3.0}
    run = {"format": "ringpost-run/1", "scenario": "city", "verdict": "passed", "duration_s": 60.0}
    (tmp_path / "run.json").write_text(
        json.dumps(run | {"faults": [fault] * 99 + [fault | {"effect_s": None}]})
    )
    page = write(tmp_path).read_text()
    assert "at most 2 of 100" in page
    assert page.index("<b>post-77</b>") < page.index("<b>post-78</b>")
    assert "rows of 70 of 100 devices" in page
    assert "60 of 100 rows of faults" in page
    assert "1 without effect" in page
    assert " lines of the log: those without trouble" in page
    assert len(page) < 200_000


def test_a_quarter_of_an_hour_with_five_boats_is_small(tmp_path: Path) -> None:
    page = write(make_run(tmp_path, duration=900, boats=5))
    assert page.stat().st_size < 1_250_000


def test_the_first_message_that_differs_does_so_by_more_than_its_ids(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name) for name in ("a", "b")]
    path = folders[1] / "messages.ndjson"
    path.write_text(
        path.read_text().replace('"id":"', '"id":"x').replace("gnss silent for 40 s", "gnss silent for 41 s")
    )
    found = compare(*folders)
    assert found.first_message is not None
    assert [text.count("gnss silent for 4") for text in found.first_message[1:]] == [1, 1]
    path.write_text(path.read_text().replace("gnss silent for 41 s", "gnss silent for 40 s"))
    assert (compare(*folders).first_message or (0,))[0] == 1


def test_messages_of_a_mad_device_do_not_break_the_page(tmp_path: Path) -> None:
    """Of a device under test anything may come."""
    make_run(tmp_path)
    mad: list[object] = [
        {"t": 1e14, "device": "mad", "topic": "status", "body": {"state": ["x"], "reasons": 7}},
        {"t": 2, "device": "mad", "topic": "alert", "body": {"id": {}, "alert": {"alert_id": [], "phase": {}, "point": {"lat": "x"}}}},
        {"t": 3, "device": "mad", "topic": "position", "body": {"lat": float("nan"), "lon": 1e999, "age_s": "old"}},
        {"t": "soon", "device": None, "topic": None, "body": []},
        {"t": 4, "device": "mad", "topic": "birth", "body": {"kind": [], "capabilities": {"sources": {"<b>": 1}}}},
    ]  # fmt: skip
    path = tmp_path / "messages.ndjson"
    path.write_text(path.read_text() + "".join(json.dumps(one) + "\n" for one in mad))
    page = write(tmp_path)
    assert page.stat().st_size < 200_000
    assert "<b>" not in re.findall(r'<div class="row source"><span>(.*?)</span>', page.read_text())
