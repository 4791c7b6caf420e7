"""Pictures where no browser is: zones drawn into annotated pictures and snapshots, the plot of a track."""

import math
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.cli.read_plot import Plot, blocks, braille
from agent.cli.zone_drawing import Drawn, draw_zones, read_camera, save_with_zones
from firmware_bridge.readings import Fix, Reading
from tests.test_zone_drawing import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "device.yaml"
    file.write_text(CONFIG)
    return file


def test_zones_lines_and_rules_of_a_camera_are_read(config: Path) -> None:
    assert [one.label for one in read_camera(config, "cam1")] == [
        "gate: at-gate (zone_dwell)",
        "over (line_cross)",
    ]


@pytest.mark.parametrize("camera", [None, "cam9"])
def test_an_unknown_camera_or_several_are_told_with_their_names(config: Path, camera: str | None) -> None:
    with pytest.raises(ValueError, match=r"cameras: cam1, cam2"):
        read_camera(config, camera)


def test_the_outline_is_drawn_and_nothing_far_from_it_is_changed() -> None:
    picture = np.full((360, 640, 3), 90, np.uint8)
    corners = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    drawn = draw_zones(picture, [Drawn("大门", corners, closed=True, rules=())])
    changed = (drawn != picture).any(axis=2)
    assert changed[90, 160:480].all()
    assert not changed[200:240, 300:340].any()
    assert not changed[:60].any()
    assert (picture == 90).all()


def test_a_snapshot_is_saved_once_more_with_its_zones(tmp_path: Path) -> None:
    _, jpeg = cv2.imencode(".jpg", np.zeros((180, 320, 3), np.uint8))
    shapes = [Drawn("gate", ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9)), closed=True, rules=("a (zone_enter)",))]
    path = save_with_zones(bytes(jpeg), shapes, tmp_path / "snapshot-1-zones.jpg")
    picture: Any = cv2.imread(str(path))
    assert picture[18, 40:280].max() > 100
    with pytest.raises(ValueError, match="no picture"):
        save_with_zones(b"GIF89a", shapes, tmp_path / "x.jpg")


def circle(radius_m: float = 50, count: int = 40) -> Plot:
    plot = Plot()
    for number in range(count):
        angle = 2 * math.pi * number / (count - 1)
        plot.add(
            Fix(
                mode="3d", lat=32.0 + radius_m * math.cos(angle) / 111_000,
                lon=118.0 + radius_m * math.sin(angle) / 94_500, satellites=8 + number % 3, hdop=0.9,
            )
        )  # fmt: skip
    plot.add(Reading(quantity="depth", value=1.0, unit="m"))
    plot.add(Fix(mode="none"))
    return plot


def test_a_track_is_plotted_into_a_png(tmp_path: Path) -> None:
    target = tmp_path / "track.png"
    assert circle().save(str(target)) is None
    picture: Any = cv2.imread(str(target))
    assert picture.shape == (720, 960, 3)
    blue = (picture[:, :, 0] > 150) & (picture[:, :, 2] < 60)
    rows, columns = np.nonzero(blue[:560])
    assert 440 <= np.ptp(rows) <= 500  # a circle, as wide as it is high
    assert abs(np.ptp(rows) - np.ptp(columns)) < 12


def test_a_track_is_plotted_into_the_terminal() -> None:
    text = circle().save("-")
    assert text is not None
    lines = text.splitlines()
    assert sum("⠀" < sign <= "⣿" for sign in text) > 60
    assert "40 fixes over 100 x 100 m" in text
    assert any(line.startswith("satellites used") and line.endswith("8 to 10") for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_nothing_to_draw_is_told() -> None:
    plot = Plot()
    plot.add(Fix(mode="none"))
    with pytest.raises(ValueError, match="no fix has a position"):
        plot.save("-")


def test_one_place_and_gaps_draw_as_well() -> None:
    plot = Plot()
    plot.add(Fix(mode="2d", lat=1.0, lon=2.0))
    assert plot.save("-") is not None
    assert blocks([None, 1.0, None, 4.0], 4) == " ▂ █"
    assert braille([(0.0, 0.0)], 1.0, 2, 1) != ["⠀⠀"]


def test_a_long_track_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.read_plot.MOST_FIXES", 100)
    plot = circle(count=1000)
    assert 40 < len(plot.fixes) < 100
    assert len({fix.satellites for fix in plot.fixes}) == 3


FIELDS = tuple(
    f"GNRMC,12000{second}.00,A,3203.60{second}0,N,11847.40{second}0,E,1.0,90.0,281126,,,A"
    for second in range(5)
)


def sentence(fields: str) -> bytes:
    """An NMEA 0183 sentence with its checksum."""
    return f"${fields}*{reduce(xor, fields.encode()):02X}\r\n".encode()


def test_read_plots_a_file_into_the_terminal_and_into_a_picture(tmp_path: Path) -> None:
    recorded = tmp_path / "gnss.nmea"
    recorded.write_bytes(b"".join(sentence(fields) for fields in FIELDS))
    target = tmp_path / "track.png"
    done = CliRunner().invoke(cli, ["read", str(recorded), "--plot", "-"])
    assert done.exit_code == 0, done.output
    assert "north is up" in done.output
    assert CliRunner().invoke(cli, ["read", str(recorded), "--plot", str(target)]).exit_code == 0
    assert cv2.imread(str(target)) is not None
    wrong = CliRunner().invoke(cli, ["read", str(recorded), "--plot", "track.svg"])
    assert (wrong.exit_code, "write to a .png" in wrong.output) == (2, True)


def test_detect_annotates_one_picture_with_the_zones_of_a_camera(config: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(source), np.full((360, 640, 3), 90, np.uint8))
    zones = ["--config", str(config), "--camera", "cam1"]
    done = CliRunner().invoke(cli, ["detect", str(source), "--annotate", str(target), *zones])
    assert done.exit_code == 0, done.output
    drawn: Any = cv2.imread(str(target))
    assert (drawn[72, 160:380] != 90).any(axis=1).mean() > 0.9
    several = CliRunner().invoke(cli, ["detect", str(source), str(source), "--annotate", str(target)])
    assert "name a directory for several" in several.output
    assert "needs --annotate" in CliRunner().invoke(cli, ["detect", str(source), *zones]).output
