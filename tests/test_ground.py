"""Pixels of a synthetic camera, whose ground points are known, come back within the stated error."""

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.positioning.ground_plane import ControlPoint, GroundPlane
from firmware_bridge.wgs84 import EQUATORIAL_RADIUS_M
from tests.full_disk import room_for

LAT, LON = 32.1162, 118.7404


def world(x_m: float, y_m: float) -> tuple[float, float]:
    """East and north of the camera's foot as latitude and longitude, by the radii of WGS-84 at this place."""
    bend = 1 - 0.00669437999014 * math.sin(math.radians(LAT)) ** 2
    north = EQUATORIAL_RADIUS_M * (1 - 0.00669437999014) / bend**1.5
    east = EQUATORIAL_RADIUS_M / math.sqrt(bend) * math.cos(math.radians(LAT))
    return LAT + math.degrees(y_m / north), LON + math.degrees(x_m / east)


def seen(x_m: float, y_m: float) -> tuple[float, float]:
    """The pixel of a ground point for a camera 12 m up that looks north, 20 degrees down, f = 1000 px."""
    down = math.radians(20)
    depth = y_m * math.cos(down) + 12 * math.sin(down)
    low = 12 * math.cos(down) - y_m * math.sin(down)
    return 960 + 1000 * x_m / depth, 540 + 1000 * low / depth


GRID = [(x, y) for x in (-12.0, 0.0, 14.0) for y in (20.0, 35.0, 60.0)]


def marks(places: list[tuple[float, float]], noise: np.random.Generator | None = None) -> list[ControlPoint]:
    off = noise.normal(0, 2, (len(places), 2)) if noise else np.zeros((len(places), 2))
    return [
        ControlPoint(seen(x, y)[0] + float(dx), seen(x, y)[1] + float(dy), *world(x, y))
        for (x, y), (dx, dy) in zip(places, off, strict=True)
    ]


def away(ground: GroundPlane, pixel: tuple[float, float], truth: tuple[float, float]) -> tuple[float, float]:
    place = ground.locate(*pixel)
    assert place is not None
    lat, lon = world(*truth)
    east = math.radians(place.lon - lon) * EQUATORIAL_RADIUS_M * math.cos(math.radians(LAT))
    return math.hypot(east, math.radians(place.lat - lat) * EQUATORIAL_RADIUS_M), place.error_m


def test_without_noise_it_is_exact() -> None:
    ground = GroundPlane(marks([(-12, 20), (14, 20), (-12, 60), (14, 60)]))
    assert away(ground, seen(3, 40), (3, 40))[0] < 0.01
    assert max(ground.residuals_px) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 9])
def test_the_stated_radius_holds_for_95_percent(count: int) -> None:
    noise = np.random.default_rng(7)
    places = GRID if count == 9 else [GRID[index] for index in (0, 2, 6, 8)]
    offs = []
    for _ in range(150):
        ground = GroundPlane(marks(places, noise))
        for _ in range(4):
            truth = (float(noise.uniform(-12, 14)), float(noise.uniform(20, 60)))
            x, y = seen(*truth)
            dx, dy = noise.normal(0, 2, 2)
            offs.append(away(ground, (x + float(dx), y + float(dy)), truth))
    inside = sum(off <= radius for off, radius in offs) / len(offs)
    print(f"{count} marks: median {np.median([off for off, _ in offs]):.2f} m, inside {inside:.3f}")
    assert inside >= 0.95
    assert np.median([off for off, _ in offs]) < 1.5


def test_the_sky_has_no_ground() -> None:
    assert GroundPlane(marks(GRID)).locate(960, 100) is None


def test_too_few_points_or_a_line_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        GroundPlane(marks(GRID[:3]))
    with pytest.raises(ValueError, match="in a line"):
        GroundPlane(marks([(0, 20), (0, 30), (0, 40), (0, 60)]))


def test_a_wrong_mark_shows_in_the_residuals() -> None:
    spoiled = marks(GRID)
    spoiled[4] = ControlPoint(spoiled[4].x + 60, spoiled[4].y, spoiled[4].lat, spoiled[4].lon)
    ground = GroundPlane(spoiled)
    assert ground.residuals_px.index(max(ground.residuals_px)) == 4
    assert ground.sigma_px > 5


def survey(folder: Path, lines: list[str]) -> tuple[int, str]:
    import cv2

    cv2.imwrite(str(folder / "p.png"), np.zeros((1080, 1920, 3), np.uint8))
    (folder / "p.csv").write_text("\n".join(["x,y,lat,lon", *lines]))
    done = CliRunner().invoke(cli, ["ground", str(folder / "p.png"), "--points", str(folder / "p.csv")])
    return done.exit_code, done.output


def test_a_technician_sees_the_fit_and_the_bad_point(tmp_path: Path) -> None:
    lines = [f"{m.x},{m.y},{m.lat},{m.lon}" for m in marks(GRID)]
    code, text = survey(tmp_path, lines)
    assert (code, text.count("residual   0.0 px")) == (0, 9)
    x, rest = lines[4].split(",", 1)
    code, text = survey(tmp_path, [*lines[:4], f"{float(x) + 60},{rest}", *lines[5:]])
    assert code == 1
    assert "check point 5 first" in text


@pytest.mark.slow
def test_the_drawn_picture_shows_points_grid_and_nobody(tmp_path: Path) -> None:
    import cv2

    from simulators.scene import Scene

    cv2.imwrite(str(tmp_path / "p.png"), cv2.resize(Scene(0, 60).picture(20), (1920, 1080)))
    lines = [f"{m.x},{m.y},{m.lat},{m.lon}" for m in marks(GRID)]
    (tmp_path / "p.csv").write_text("\n".join(["x,y,lat,lon", *lines]))
    arguments = ["ground", str(tmp_path / "p.png"), "--points", str(tmp_path / "p.csv"), "--annotate"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "out" / "drawn.png")])
    assert done.exit_code == 0, done.output
    assert f"ground: {{picture: [1920, 1080], points: {tmp_path / 'p.csv'}}}" in done.output
    drawn = cv2.imread(str(tmp_path / "out" / "drawn.png"))
    assert drawn is not None
    for mark in marks(GRID):
        spot = drawn[int(mark.y) - 14 : int(mark.y) + 14, int(mark.x) - 14 : int(mark.x) + 14].reshape(-1, 3)
        assert (abs(spot.astype(int) - (0, 200, 255)).max(axis=1) < 40).sum() > 20
    assert (abs(drawn.astype(int) - (255, 160, 60)).max(axis=2) < 20).sum() > 5000
    man = drawn[600:1000, 860:1060]
    assert (abs(man.astype(int) - 60).max(axis=2) < 3).mean() > 0.6
    for full in (
        [*arguments, str(tmp_path / "full.png")],
        ["detect", str(tmp_path / "p.png"), "--annotate", str(tmp_path / "full")],
    ):
        with room_for(2000):
            done = CliRunner().invoke(cli, full)
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1].endswith(": File too large")
        assert "Errno" not in done.stderr
    assert list(tmp_path.glob("full*")) in ([], [tmp_path / "full"])
    assert list(tmp_path.glob("full/*")) == []
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "drawn.txt")])
    assert (done.exit_code, done.output) == (
        1,
        f"ground: {tmp_path / 'drawn.txt'}: write to a .jpg or .png file\n",
    )


def test_a_place_and_its_pixel_go_both_ways() -> None:
    ground = GroundPlane(marks(GRID))
    for x, y in GRID:
        assert ground.pixel(*world(x, y)) == pytest.approx(seen(x, y), abs=0.1)
    assert ground.pixel(*world(0, -30)) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [(["1,2,3"], "p.csv:2"), (["9999,1,32,118"], "outside the picture"), ([], "at least 4")],
)
def test_a_bad_file_of_points_is_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    code, text = survey(tmp_path, lines)
    assert code == 1
    assert message in text
    assert text.count("\n") == 1


def test_a_place_that_is_nowhere_is_none() -> None:
    """One of the planes that it could be as well has its horizon exactly there."""
    ground = GroundPlane(marks(GRID))
    assert ground.locate(*seen(0, 30)) is not None
    ground._disturbed = [np.zeros((3, 3))]
    with np.errstate(all="ignore"):
        assert ground.locate(*seen(0, 30)) is None
