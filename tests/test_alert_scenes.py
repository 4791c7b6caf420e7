"""The synthetic scenes, their events, and the measure of alerts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import alerts
from bench.alerts import score
from bench.scenes import VISION, detections, judge
from bench.scenes.render import Renderer
from bench.scenes.script import FRAMES, Script, script
from bench.scenes.truth import Event, configuration, events

needs_pictures = pytest.mark.skipif(not VISION.is_dir(), reason="../shared is not here")


def perfect(scene: Script) -> list[list[Any]]:
    """Detections without any error."""
    frames: list[list[Any]] = []
    for number in range(FRAMES):
        rows = []
        for actor in scene.actors:
            if (at := actor.path[number]) is not None and 0 < at.x < 1:
                tall = actor.height(scene.place, at)
                wide = tall * 0.3 * 9 / 16
                rows.append([actor.label, 0.8, [at.x - wide, at.y - tall, at.x + wide, at.y]])
        frames.append(rows)
    return frames


def of_plot(plot: str) -> Script:
    return next(scene for seed in range(60) if (scene := script(seed)).plot == plot)


def test_a_seed_is_always_the_same_scene() -> None:
    one, other = script(5), script(5)
    assert (one.actors, one.content()) == (other.actors, other.content())
    assert one.actors != script(33).actors


@pytest.mark.parametrize("seed", [2, 3, 25])
def test_a_still_stretch_shows_few_frames_again(seed: int) -> None:
    shown = script(seed).content()
    assert len(shown) == FRAMES
    assert len(set(shown)) < FRAMES / 2
    assert all(content <= number for number, content in enumerate(shown))


@pytest.mark.parametrize(
    ("plot", "rules"),
    [
        ("passes by", {"enter", "beyond", "line"}),
        ("edge", set()),
        ("loiter", {"enter", "dwell"}),
        ("group", {"enter", "dwell", "crowd"}),
        ("treads", {"water"}),
        ("people aboard", {"boat", "boat-line"}),
        ("animal", set()),
    ],
)
def test_the_events_of_a_plot(plot: str, rules: set[str]) -> None:
    scene = of_plot(plot)
    del scene.actors[{"group": 5, "people aboard": 2}.get(plot, 1) :]  # without bystanders
    told = {event.rule for event in events(scene) if event.must}
    assert rules <= told <= rules | {"wrong-way"}


def test_dwell_is_due_twenty_seconds_after_the_arrival() -> None:
    found = {event.rule: event for event in events(of_plot("loiter")) if event.must}
    assert found["dwell"].at_s == pytest.approx(found["enter"].at_s + 20, abs=0.5)


def test_perfect_detections_miss_nothing_in_simple_scenes() -> None:
    for plot in ("passes by", "loiter"):
        scene = of_plot(plot)
        job = {"configuration": configuration(scene), "frames": perfect(scene), "score": 0.4, "fps": 5}
        for kind, tally in alerts.scene_tallies(scene, judge.run(job)).items():
            if kind != "wrong_way":
                assert (tally.found, tally.false) == (tally.events, 0), (plot, kind)


def test_settings_replace_those_of_the_rules() -> None:
    text = configuration(script(0), {"zone_dwell": {"dwell": "8s"}, "*": {"frames": 3}})
    assert "zone: floor, frames: 3, dwell: 8s}" in text
    assert text.count("frames: 3") == 7


def raised(*rows: tuple[float, str]) -> list[dict[str, Any]]:
    return [{"at_s": at_s, "phase": phase, "rule": "r", "id": "1", "count": 1} for at_s, phase in rows]


@pytest.mark.parametrize(
    ("told", "found", "late", "false", "doubles"),
    [
        (raised((21.0, "new"), (40.0, "end")), 1, 0, 0, 0),
        (raised((31.0, "new"), (40.0, "end")), 0, 1, 0, 0),
        (raised((5.0, "new"), (8.0, "end")), 0, 0, 1, 0),
        (raised((21.0, "new"), (25.0, "end"), (28.0, "new"), (35.0, "end")), 1, 0, 0, 1),
        (raised((70.0, "new")), 0, 0, 1, 0),
        ([], 0, 0, 0, 0),
    ],
)
def test_an_event_is_found_within_ten_seconds(
    told: list[dict[str, Any]], found: int, late: int, false: int, doubles: int
) -> None:
    tally = score([Event("r", "zone_enter", 20.0, 35.0, 20.0)], told, 120.0)
    assert (tally.events, tally.found, tally.late) == (1, found, late)
    assert (tally.false, tally.doubles) == (false, doubles)


def test_a_short_visit_may_be_told_or_not() -> None:
    visit = Event("r", "zone_enter", 20.0, 20.4, 20.0, must=False)
    assert score([visit], raised((20.4, "new")), 120.0).false == 0
    assert score([visit], [], 120.0).events == 0


def test_without_the_pictures_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alerts, "VISION", Path("/nowhere"))
    assert alerts.main([]) == 2
    assert capsys.readouterr().err == "bench.alerts: the pictures and clips are not here: /nowhere\n"


@needs_pictures
def test_the_cache_holds_what_a_live_run_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Mean:
        def __call__(self, frame: Any) -> list[Any]:
            assert frame.shape == (720, 1280, 3)
            return [["person", round(float(np.mean(frame)), 3), [0.1, 0.1, 0.2, 0.2]]]

    monkeypatch.setattr(detections, "BUILD", tmp_path)
    scene: Any = script(1008)
    scene.actors.clear()  # the cut-outs take long to make
    monkeypatch.setattr(detections, "script", lambda _: scene)
    detector: Any = Mean()
    detections.fill([1008], {"mean": detector})
    kept = detections.cached(1008, "mean")
    assert kept is not None
    assert kept[:16] == detections.live(scene, detector, range(16))


@needs_pictures
def test_a_frame_depends_on_its_number_only() -> None:
    scene = script(1008)
    scene.actors.clear()
    one, other = Renderer(scene), Renderer(scene)
    one.frame(3)
    assert np.array_equal(one.frame(7), other.frame(7))
