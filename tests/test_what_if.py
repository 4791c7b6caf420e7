"""``what_if``: the history on disk, and what proposed zones and rules would have reported."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.commands.requests import WhatIf
from agent.config.loader import parse, read
from agent.config.model import Config
from agent.control.what_if import WhatIfs, proposal
from agent.control.what_if_process import Comparison, compared
from agent.domain.message import encode
from agent.domain.observations import BlindZone, Observation, Sighting, Tick, View
from agent.replay.history_block import Block, RaisedAlert, decode_blocks, encode_block, observation_of
from agent.replay.history_recorder import MAX_ROWS, HistoryRecorder
from agent.replay.history_runs import stretches
from agent.replay.history_store import HistoryStore
from agent.replay.recording import Recording
from agent.replay.replay import in_zones_of, replay
from agent.replay.what_if import MAX_BYTES, affected, what_if
from firmware_bridge.readings import Fix, LineState, Reading, Switch
from tests.replay.make import film, thing

FOLDER = Path(__file__).parent / "replay"
CASES = sorted(path.name for path in FOLDER.iterdir() if (path / "config.yaml").exists())
START = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


def recorded(observations: Iterable[Observation], folder: Path, hours: float = 24 * 365) -> HistoryRecorder:
    """A history with these observations, on disk."""
    recorder = HistoryRecorder(folder)
    recorder.configure(hours, 32_000_000)
    for one in observations:
        recorder.on_observation(one)
        if len(recorder._waiting) > 2:
            asyncio.run(recorder.write())
    asyncio.run(recorder.flush())
    return recorder


def kept(folder: Path, raised: list[RaisedAlert] | None = None) -> Iterator[Iterator[Observation]]:
    return stretches(HistoryStore(folder).blocks(0), [] if raised is None else raised)


def observations_of(case: str) -> list[Observation]:
    return list(Recording(FOLDER / case / "observations.jsonl").observations())


def told(config: Config, observations: Iterable[Observation]) -> list[tuple[str, str, str]]:
    return [
        (alert.phase, alert.policy.rule, alert.text)
        for alert, _ in replay(config, observations)
        if alert.phase != "update"
    ]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in ("day_and_night", "wrong_time_at_boot")]
)
def test_the_history_gives_the_alerts_of_the_recording(case: str, tmp_path: Path) -> None:
    """The two cases that are left out jump in time: there the history begins anew."""
    config, observations = read(FOLDER / case / "config.yaml"), observations_of(case)
    recorded(observations, tmp_path)
    (stretch,) = kept(tmp_path)
    assert told(config, stretch) == told(config, observations)


@pytest.mark.parametrize("case", ["day_and_night", "wrong_time_at_boot"])
def test_a_clock_that_jumps_leaves_a_readable_history(case: str, tmp_path: Path) -> None:
    recorded(observations_of(case), tmp_path)
    sightings = sum(isinstance(one.value, Sighting) for stretch in kept(tmp_path) for one in stretch)
    assert sightings == sum(isinstance(one.value, Sighting) for one in observations_of(case))


def test_proposed_rules_are_compared_with_the_present_ones(tmp_path: Path) -> None:
    """The rain: the zone alert stays, the dwell alert goes with a longer dwell, and a new rule reports more."""
    case = "false_people_in_the_rain"
    present = read(FOLDER / case / "config.yaml")
    wanted = WhatIf(
        id="1",
        rules={
            "stays": {"dwell": "10m"},
            "any": {"kind": "zone_enter", "camera": "cam1", "zone": "rail", "frames": 1, "cool_down": "0s"},
        },
    )
    text = (FOLDER / case / "config.yaml").read_text()
    proposed = parse(proposal(text, wanted, FOLDER / case, present), name="", base=FOLDER / case)
    recorded(observations_of(case), tmp_path)
    result = what_if(present, proposed, kept(tmp_path), [], 60)
    assert (result["now"], result["missed_total"], result["unchanged_rules"]) == (1, 1, 1)
    missed = result["missed"][0]
    assert (missed["rule"], missed["text"][:17]) == ("stays", "person at rail fo")
    assert missed["at"].startswith("2026-11-27T18:03:")
    counts = {row["rule"]: (row["now"], row["proposed"]) for row in result["rules"]}
    assert ("rail" in counts, counts["stays"]) == (False, (1, 0))
    assert counts["any"][1] >= 1
    assert result["summary"].startswith(f"{result['proposed']} instead of 1 alerts; 1 missed")
    assert result["covered"]["hours"] == pytest.approx(211 / 3600, abs=0.01)
    assert len(encode(result)) < MAX_BYTES + 1000


def test_a_zone_moved_away_misses_what_was_in_it(tmp_path: Path) -> None:
    case = "six_people_one_by_one"
    present = read(FOLDER / case / "config.yaml")
    wanted = WhatIf(id="1", camera="cam1", zones={"table": [[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]})
    text = (FOLDER / case / "config.yaml").read_text()
    proposed = parse(proposal(text, wanted, FOLDER / case, present), name="", base=FOLDER / case)
    recorded(observations_of(case), tmp_path)
    result = what_if(present, proposed, kept(tmp_path), [], 60)
    counts = {row["rule"]: (row["now"], row["proposed"]) for row in result["rules"]}
    assert counts["out"] == (6, 6)
    assert counts["stops"][0] > 0
    assert counts["stops"][1] == 0
    assert {one["rule"] for one in result["missed"]} >= {"stops"}


def test_a_rule_under_another_name_misses_nothing(tmp_path: Path) -> None:
    case = "one_person_many_tracks"
    present = read(FOLDER / case / "config.yaml")
    rules = {("new-" + name): rule for name, rule in present.rules.items()}
    recorded(observations_of(case), tmp_path)
    result = what_if(present, present.model_copy(update={"rules": rules}), kept(tmp_path), [], 60)
    assert result["now"] == result["proposed"] > 0
    assert (result["missed_total"], result["new_total"]) == (0, 0)


def test_confirmed_alerts_stand_first_with_their_ids(tmp_path: Path) -> None:
    case = "one_person_many_tracks"
    present = read(FOLDER / case / "config.yaml")
    recorder = recorded([], tmp_path)
    for one in observations_of(case):
        recorder.on_observation(one)
    for alert, _ in replay(present, observations_of(case)):
        real = replace(alert, alert_id=f"real-{alert.policy.rule}")
        recorder.on_alerts([real], 100 + (alert.at - START).total_seconds())
        if alert.phase == "new":
            action = "ack" if alert.policy.rule == "stays" else "reject"
            block = recorder._block
            assert block is not None
            block.alerts.append(
                RaisedAlert(alert.at, real.alert_id, alert.policy.rule, alert.finding.key, "update", action)
            )
    asyncio.run(recorder.flush())
    raised: list[RaisedAlert] = []
    nothing = present.model_copy(update={"rules": {}})
    result = what_if(present, nothing, kept(tmp_path, raised), raised, 60)
    assert [(one["alert_id"], one["answer"]) for one in result["missed"]] == [
        ("real-stays", "ack"), ("real-comes", "reject"),
    ]  # fmt: skip
    assert (result["missed_confirmed"], result["missed_total"]) == (1, 2)


def test_what_takes_too_long_says_what_it_left_out(tmp_path: Path) -> None:
    case = "false_people_in_the_rain"
    config = read(FOLDER / case / "config.yaml")
    recorded(observations_of(case), tmp_path)
    seconds = iter(range(1000))
    nothing = config.model_copy(update={"rules": {}})
    result = what_if(config, nothing, kept(tmp_path), [], 0.5, lambda: float(next(seconds)))
    assert "what came later is not covered" in result["incomplete"]
    assert result["covered"]["hours"] < 211 / 3600


def test_a_flood_of_alerts_ends_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.replay.what_if.MAX_EPISODES", 2)
    case = "six_people_one_by_one"
    config = read(FOLDER / case / "config.yaml")
    recorded(observations_of(case), tmp_path)
    nothing = config.model_copy(update={"rules": {}})
    assert "incomplete" in what_if(config, nothing, kept(tmp_path), [], 60)


def test_other_cameras_are_left_out(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path)
    recorder.configure(24, 1_000_000)
    for camera in ("cam1", "cam2"):
        for value in (Sighting(frame=1, objects=()), View(zones=("rail",))):
            recorder.on_observation(Observation(camera, START, 100.0, value))
    recorder.on_observation(Observation("board", START, 100.0, Switch(name="panic", on=True)))
    asyncio.run(recorder.flush())
    (block,) = recorder.store.blocks(0, frozenset({"cam1"}))
    assert [source for source, _, _ in block.rows] == ["cam1", "cam1", "board"]


@pytest.mark.parametrize(
    ("wanted", "rules"),
    [
        ({"rules": {"stops": {"dwell": "20s"}}}, {"stops"}),
        ({"rules": {"stops": None}}, {"stops"}),
        ({"rules": {"stops": {"dwell": "10s"}}}, set()),
        ({"camera": "cam1", "zones": {"more": [[0, 0], [1, 0], [1, 1]]}}, {"out", "stops", "two"}),
    ],
)
def test_only_what_may_report_otherwise_is_replayed(wanted: dict[str, Any], rules: set[str]) -> None:
    base = FOLDER / "six_people_one_by_one"
    present = read(base / "config.yaml")
    text = proposal(LOCAL, WhatIf.model_validate({"id": "1", **wanted}), base, present)
    assert affected(present, parse(text, name="", base=base)) == (rules, {"cam1"} if rules else set())


def test_a_restart_begins_anew_and_a_silence_does_not(tmp_path: Path) -> None:
    scene = list(film([(thing(0.5, 0.9, track=1),)] * 20))
    for _ in range(2):
        recorder = recorded(scene, tmp_path)
    later = replace(scene[-1], mono_s=scene[-1].mono_s + 50, at=scene[-1].at + timedelta(seconds=50))
    recorder.on_observation(later)
    asyncio.run(recorder.flush())
    found = [list(stretch) for stretch in kept(tmp_path)]
    assert len(found) == 2
    ticks = [one.mono_s for one in found[1] if isinstance(one.value, Tick)]
    assert len(ticks) == pytest.approx(60, abs=1)
    assert [later - before for before, later in pairwise(ticks)] == pytest.approx([1.0] * (len(ticks) - 1))


def test_readings_and_views_are_thinned_and_statistics_left_out(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path)
    recorder.configure(24, 1_000_000)
    view = View(zones=("rail",))
    for tenth in range(100):
        at = START + timedelta(seconds=tenth / 10)
        for value in (
            Reading(quantity="depth", value=4.0, unit="m"), LineState(good={"nmea": tenth}), view,
            Switch(name="panic", on=False), Tick(),
        ):  # fmt: skip
            recorder.on_observation(Observation("board", at, 100 + tenth / 10, value))
    blind = replace(view, blind=(BlindZone(zone="rail", why="dark", for_s=4.0),))
    recorder.on_observation(Observation("board", START + timedelta(seconds=10), 110.0, blind))
    assert recorder._block is not None
    counts: dict[str, int] = {}
    for _, _, value in recorder._block.rows:
        name = type(value).__name__
        counts[name] = counts.get(name, 0) + 1
    assert counts == {"Reading": 20, "View": 4, "Switch": 100, "Tick": 1}


def test_no_picture_is_held_or_written(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path)
    recorder.configure(24, 1_000_000)
    value = Sighting(frame=1, objects=(), frame_with_people=object())
    recorder.on_observation(Observation("cam1", START, 100.0, value))
    assert recorder._block is not None
    assert recorder._block.rows == [("cam1", 100.0, (1, 0.0, False, ()))]


def test_without_hours_nothing_is_kept(tmp_path: Path) -> None:
    recorder = recorded(film([()] * 10), tmp_path)
    assert list(recorder.store.segments())
    recorder.configure(0, 1_000_000)
    recorder.on_observation(Observation("clock", START, 100.0, Tick()))
    asyncio.run(recorder.flush())
    assert (recorder.store.segments(), recorder._block) == ([], None)


def test_many_rows_make_blocks_and_a_slow_disk_costs_the_oldest(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path)
    recorder.configure(24, 1_000_000)
    for number in range(MAX_ROWS * 6 + 1):
        at = START + timedelta(seconds=number)
        recorder.on_observation(Observation("board", at, float(number), Switch(name="x", on=True)))
    assert len(recorder._waiting) == 4
    assert recorder._waiting[0].mono_s == 2 * MAX_ROWS


def fill(store: HistoryStore, count: int, began_s: float = 0.0) -> None:
    for number in range(count):
        block = Block("run", START + timedelta(seconds=began_s + number), began_s + number)
        block.rows = [("board", block.mono_s, Switch(name=f"s{number}-{n}", on=True)) for n in range(300)]
        store.append(encode_block(block))


def test_the_store_stays_in_its_size_and_drops_the_oldest(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.max_age_s, store.max_bytes = 3600.0, 100_000
    fill(store, 400)
    used = sum(path.stat().st_size for path in store.segments())
    assert 50_000 < used <= 100_000
    starts = [block.mono_s for block in store.blocks(0)]
    assert starts == sorted(starts)
    assert (starts[0] > 100, starts[-1]) == (True, 399)
    assert {path.stat().st_mode & 0o777 for path in store.segments()} == {0o600}


def test_a_full_disk_gets_the_room_of_the_history_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorded(film([()] * 10), tmp_path)
    monkeypatch.setattr("agent.replay.history_store.LEAST_FREE_BYTES", 1 << 60)
    recorder.on_observation(Observation("clock", START, 500.0, Tick()))
    asyncio.run(recorder.flush())
    assert recorder.store.segments() == []
    assert "are free on the disk" in (recorder.trouble or "")
    monkeypatch.undo()
    recorder.on_observation(Observation("clock", START, 600.0, Tick()))
    asyncio.run(recorder.flush())
    assert recorder.trouble is None
    assert len(recorder.store.segments()) == 1


def test_old_segments_go(tmp_path: Path) -> None:
    import os

    store = HistoryStore(tmp_path)
    store.max_age_s, store.max_bytes = 3600.0, 1_000_000
    fill(store, 2)
    (path,) = store.segments()
    long_ago = time.time() - 3700
    os.utime(path, (long_ago, long_ago))
    store.prune()
    assert store.segments() == []


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_damage_costs_its_own_block_and_never_an_exception(junk: bytes, at: int, byte: int) -> None:
    blocks = []
    for number in range(2):
        block = Block("run", START, 10.0 * number)
        block.rows = [("gnss", 10.0 * number, Fix(mode="3d", lat=32.0, lon=118.0, time=START))]
        blocks.append(encode_block(block))
    data = bytearray(blocks[0] + blocks[1] + junk)
    assert len(list(decode_blocks(bytes(data)))) >= 2
    data[at % len(data)] = byte
    assert len(list(decode_blocks(bytes(data)))) <= 3
    assert list(decode_blocks(junk)) == []
    for cut in range(0, len(blocks[0]), 7):
        assert list(decode_blocks(blocks[0][:cut])) == []


def test_a_row_is_what_it_was(tmp_path: Path) -> None:
    values = [
        Fix(mode="3d", lat=32.123456789, lon=118.7, time=START, satellites=9),
        Switch(name="panic", on=True, event=7),
        View(zones=("a", "b"), blind=(BlindZone(zone="b", why="fog", for_s=12.5),)),
        Sighting(frame=77, objects=(thing(0.5, 0.9, track=3),), delay_s=0.25, camera_moves=True),
    ]
    observations = [
        Observation("x", START + timedelta(seconds=number), 100.0 + number, value)
        for number, value in enumerate(values)
    ]
    recorder = recorded(observations, tmp_path)
    (block,) = recorder.store.blocks(0)
    found = [observation_of(block, row) for row in block.rows]
    assert [one.value for one in found[:3]] == values[:3]
    seen = found[3].value
    assert isinstance(seen, Sighting)
    assert (seen.frame, seen.delay_s, seen.camera_moves) == (77, 0.25, True)
    assert seen.objects[0].box == pytest.approx((0.45, 0.6, 0.55, 0.9), abs=1e-3)
    assert [one.at for one in found] == [one.at for one in observations]


@pytest.mark.parametrize(
    ("blind", "expected"),
    [
        ((), {}),
        ((BlindZone(zone="a", why="dark", for_s=5.0),), {"a": "dark"}),
        (
            (BlindZone(zone="a", why="dark", for_s=5.0), BlindZone(zone="b", why="dark", for_s=9.0)),
            {"a": "dark", "new": "dark"},
        ),
    ],
)
def test_a_new_zone_is_blind_where_the_whole_picture_was(
    blind: tuple[BlindZone, ...], expected: dict[str, str]
) -> None:
    corners = "[[0, 0], [1, 0], [1, 1]]"
    config = parse(
        "schema_version: 1\ndevice: d\nkind: metro_post\n"
        "place: {ring: perimeter, domain: ground, site: s, post: p}\nbroker: {url: mqtt://127.0.0.1}\n"
        "sources:\n  cam1: {kind: camera, url: x.mp4, purpose: a test,"
        f" zones: {{a: {corners}, new: {corners}}}}}\n",
        name="", base=Path("/"),
    )  # fmt: skip
    view = View(zones=("a", "b"), blind=blind)
    value = in_zones_of(config, Observation("cam1", START, 1.0, view)).value
    assert isinstance(value, View)
    assert value.zones == ("a", "new")
    assert {zone.zone: zone.why for zone in value.blind} == expected


LOCAL = (FOLDER / "six_people_one_by_one" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"camera": "cam9", "zones": {"x": [[0, 0], [1, 0], [1, 1]]}}, "no camera 'cam9'"),
        ({"camera": "cam1", "zones": {"x": [[0, 0], [1, 1], [1, 0], [0, 1]]}}, "crosses itself"),
        ({"camera": "cam1", "zones": {"table": None}}, "no zone 'table' on cam1"),
        ({"rules": {"out": {"kind": "nonsense"}}}, "unknown kind 'nonsense'"),
        ({"rules": {"stops": {"zone": "chair"}}}, "no zone 'chair' on cam1; known: table"),
        ({"rules": {"stops": {"labels": ["persn"]}}}, "no label 'persn'"),
        ({"rules": {"stops": 7}}, "rules.stops"),
        ({"rules": {"x": {"kind": "silence", "source": "gnss"}}}, "no source 'gnss'"),
    ],
)
def test_a_wrong_proposal_is_refused_with_its_place(wanted: dict[str, Any], error: str) -> None:
    base = FOLDER / "six_people_one_by_one"
    with pytest.raises(ValueError, match=error):
        proposal(LOCAL, WhatIf.model_validate({"id": "1", **wanted}), base, read(base / "config.yaml"))


def test_a_proposal_opens_no_file_of_its_own(tmp_path: Path) -> None:
    base = FOLDER / "six_people_one_by_one"
    wanted = WhatIf(id="1", rules={"r": {"kind": "route", "source": "gnss", "path": "/etc/passwd"}})
    with pytest.raises(ValueError, match=r"rules\.r"):
        proposal(LOCAL, wanted, base, read(base / "config.yaml"))


@pytest.mark.parametrize(
    "wrong", [{}, {"zones": {"a": []}}, {"rules": {"a": None}, "hours": 0}, {"hours": 999}]
)
def test_a_command_without_a_proposal_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WhatIf.model_validate({"id": "1", **wrong})


@pytest.mark.slow
def test_the_command_compares_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: history on disk, child process, result; a second one meanwhile is refused."""
    base = FOLDER / "six_people_one_by_one"
    config = read(base / "config.yaml")
    now = datetime.now(UTC)
    shift = now - observations_of("six_people_one_by_one")[-1].at
    results: list[Mapping[str, Any]] = []

    async def scene() -> None:
        recorder = HistoryRecorder(tmp_path)
        recorder.configure(24, 32_000_000)
        for one in observations_of("six_people_one_by_one"):
            recorder.on_observation(replace(one, at=one.at + shift))
        done = asyncio.Event()

        async def send(result: Mapping[str, Any]) -> None:
            results.append(result)
            done.set()

        monkeypatch.setattr("agent.control.what_if.PAUSE_S", 0.0)
        tasks: list[asyncio.Task[None]] = []
        what_ifs = WhatIfs(
            recorder,
            lambda: config,
            lambda: LOCAL,
            base,
            send,
            lambda work: tasks.append(asyncio.ensure_future(work)),
        )
        wanted = WhatIf(id="1", rules={"stops": None}, hours=1)
        assert await what_ifs.carry_out(wanted, {"command_id": "1"}) == "accepted"
        with pytest.raises(ValueError, match="one at a time"):
            await what_ifs.carry_out(wanted, {"command_id": "2"})
        await asyncio.wait_for(done.wait(), 120)
        await asyncio.gather(*tasks)
        assert await what_ifs.carry_out(wanted, {"command_id": "3"}) == "accepted"
        await asyncio.gather(*tasks)

    asyncio.run(scene())
    result = results[0]
    assert (result["command_id"], result["state"]) == ("1", "succeeded")
    assert result["missed_total"] > 0
    assert json.loads(encode(result)) == result
    assert len(encode(result)) < 7 * 1024


def test_the_process_reports_an_error_in_words(tmp_path: Path) -> None:
    request = Comparison(present="{", proposed="{", base=tmp_path, history=tmp_path, hours=1, within_s=1)
    with pytest.raises(ValueError, match="present:1"):
        compared(request)
