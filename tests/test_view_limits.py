"""What check and the page Cameras say of a zone beyond the limits of the default model, and how they say it."""

from pathlib import Path
from typing import Any

import pytest

from agent.config.loader import parse
from agent.config.view_notes import survey_notes, view_notes
from agent.positioning.apparent_size import ZoneView
from agent.vision.view_limits import view_limits
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.proposal import camera_in_force

CONFIG = """
schema_version: 1
device: gate-3
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: bridge, post: north, lat: 32.1, lon: 118.7}}
broker: {{url: "mqtt://127.0.0.1"}}
sources:
  cam1:
    kind: camera
    url: rtsp://192.0.2.10/a
    purpose: entrance of the yard
    detector: {{{detector}}}
    zones: {{yard: [[0.1, {top}], [0.9, {top}], [0.9, 0.95], [0.1, 0.95]]}}
    {view}
rules:
  enters: {{kind: zone_enter, camera: cam1, zone: yard, labels: [{label}]}}
"""
HD = (1280, 720)


def config_text(
    view: str, *, top: float = 0.6, label: str = "person", detector: str = "regions: never"
) -> str:
    return CONFIG.format(view=view, top=top, label=label, detector=detector)


def mount(pitch: float, height: float = 6) -> str:
    return f"mount: {{fov_deg: 70, height_m: {height}, pitch_deg: {pitch}, heading_deg: 0}}"


def noted(text: str) -> list[str]:
    return list(view_notes(parse(text, name="c.yaml", base=Path())))


@pytest.mark.parametrize(
    ("view", "labels", "closer", "said"),
    [
        (ZoneView(300, 80, 20, 30), ["person"], 1.0, []),
        (ZoneView(300, 60, 20, 30), ["person"], 1.0, ["are 26 pixels high at the detector's input"]),
        (ZoneView(300, 60, 20, 30), ["person"], 2.0, []),
        (ZoneView(300, 20, 20, 90), ["person"], None, []),
        (ZoneView(300, 10, 20, 90), ["person"], None, ["are 20 pixels high even in full resolution"]),
        (ZoneView(300, 0, 20, float("inf")), ["person"], None, ["reaches the horizon"]),
        (ZoneView(300, 0, 90, 9), ["person"], 1.0, ["are 0 pixels high"]),
        (ZoneView(300, 10, 20, 90), ["boat"], 1.0, []),
        (ZoneView(300, 200, 70, 9), ["person"], 1.0, []),
        (ZoneView(300, 200, 70, 9), ["car", "truck"], 1.0, ["seen from up to 70° above"]),
        (ZoneView(300, 200, 44, 9), ["car"], 1.0, []),
    ],
)
def test_what_a_view_exceeds(
    view: ZoneView, labels: list[str], closer: float | None, said: list[str]
) -> None:
    found = [str(one) for one in view_limits(view, HD, labels, closer=closer)]
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (config_text(mount(-30)), []),
        (config_text(mount(-8, 4), top=0.5), ["sources.cam1.zones.yard: people at the far end are"]),
        (config_text(mount(-2, 4), top=0.3), ["sources.cam1.zones.yard: the zone reaches the horizon"]),
        (config_text(mount(-60, 12), label="car"), ["sources.cam1.zones.yard: vehicles are seen from up to 80° above"]),
        (config_text("fps: 5"), []),
    ],
)  # fmt: skip
def test_check_says_it_of_surveyed_cameras(text: str, said: list[str]) -> None:
    found = noted(text)
    assert len(found) == len(said), found
    assert all(line.startswith(part) for line, part in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    ("view", "unknown"),
    [("fps: 5", True), (mount(-30), False), ("mount: {fov_deg: 70, gimbal: true}", False)],
)
def test_check_says_how_to_survey_a_camera(view: str, unknown: bool) -> None:
    found = list(survey_notes(parse(config_text(view), name="c.yaml", base=Path())))
    assert [line.startswith("the sizes of people in the zones of cam1 are not known") for line in found] == [
        True
    ] * unknown


@pytest.mark.parametrize(
    ("view", "said"),
    [("fps: 5", None), (mount(-30), []), (mount(-8, 4), ["people at the far end"])],
)
def test_the_page_says_it_of_the_zone_in_hand(view: str, said: list[str] | None) -> None:
    desk: Any = CameraDesk.of(camera_in_force(config_text(view, top=0.5), "cam1"))
    desk.take_size(HD)
    assert desk.limits() == []  # no zone is selected
    desk.select("zone:yard")
    found = desk.limits()
    assert (found is None) == (said is None)
    assert all(str(one).startswith(part) for one, part in zip(found or (), said or (), strict=True))


def test_the_page_says_nothing_of_the_limits_of_another_model() -> None:
    text = config_text(mount(-8, 4), top=0.5, detector="model: cards/better.yaml")
    desk = CameraDesk.of(camera_in_force(text, "cam1"))
    desk.select("zone:yard")
    assert desk.limits() == []
