"""``ringpost detect`` and ``models pull`` as a technician types them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from simulators.scene import Scene


def ringpost(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with one picture of a person."""
    import cv2

    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "rail.png"), Scene(0, 60).picture(20))
    return folder


def test_a_folder_is_looked_through(pictures: Path) -> None:
    done = ringpost("detect", str(pictures), "--json")
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert "person" in [one["label"] for one in json.loads(line)["objects"]]


@pytest.mark.slow
def test_people_are_covered_even_when_others_are_asked_for(pictures: Path, tmp_path: Path) -> None:
    import cv2

    (line,) = ringpost("detect", str(pictures), "--json").stdout.splitlines()
    boxes = [one["box"] for one in json.loads(line)["objects"] if one["label"] == "person"]
    out = tmp_path / "out"
    assert ringpost("detect", str(pictures), "--labels", "boat", "--annotate", str(out)).exit_code == 0
    drawn: Any = cv2.imread(str(out / "rail.jpg"))
    rows, columns = drawn.shape[:2]
    assert boxes
    for left, top, right, bottom in boxes:
        inside = drawn[
            int(top * rows) + 8 : int(bottom * rows) - 8, int(left * columns) + 8 : int(right * columns) - 8
        ]
        assert abs(inside.astype(int) - 60).max() < 12


@pytest.mark.slow
def test_drawn_pictures_lie_as_theirs_do_and_none_replaces_another(pictures: Path, tmp_path: Path) -> None:
    rail = (pictures / "rail.png").read_bytes()
    (pictures / "north").mkdir()
    for name in ("north/rail.png", "rail.bmp"):
        (pictures / name).write_bytes(rail)
    out = tmp_path / "out"
    assert ringpost("detect", str(pictures), "--annotate", str(out)).exit_code == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.jpg"))
    assert found == ["north/rail.jpg", "rail.jpg", "rail.png.jpg"]


def test_a_bad_picture_stops_nothing(pictures: Path) -> None:
    (pictures / "a.png").write_bytes(b"")
    (pictures / "b.jpg").write_bytes((pictures / "rail.png").read_bytes()[:90])
    done = ringpost("detect", str(pictures), "--json")
    assert done.exit_code == 1
    assert [json.loads(line)["input"] for line in done.stdout.splitlines()] == [str(pictures / "rail.png")]
    assert done.stderr.count("not a picture that OpenCV can decode") == 2


@pytest.mark.slow
def test_tiles_and_their_cost(pictures: Path) -> None:
    (pictures / "again.png").write_bytes((pictures / "rail.png").read_bytes())
    done = ringpost("detect", str(pictures), "--tiles", "2x1", "--labels", "person", "--json")
    assert [len(json.loads(line)["objects"]) for line in done.stdout.splitlines()] == [1, 1]
    assert "2 pictures" in done.stderr
    assert "3 inferences each" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text.png", "--tiles", "9x1"], "1x1 to 8x8"),
        (["text.png", "--providers", "gpu"], "unknown provider 'gpu'"),
        (["text.png", "--coco", "o.json", "--annotations", "text.png"], "detect: "),
        (["nowhere.png"], "nowhere.png: not found"),
        (["."], "no pictures or videos"),
        (["text.png"], "not a picture that OpenCV can decode"),
        (["text.png", "--model", "defualt"], "did you mean 'default'"),
        (["text.png", "--labels", "ship"], "unknown labels: ship"),
        (["text.png", "--coco", "o.json"], "go together"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("hello")
    monkeypatch.chdir(tmp_path / "empty" if arguments == ["."] else tmp_path)
    done = ringpost("detect", *arguments)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_a_pulled_model_has_its_name_only_with_the_right_hash(tmp_path: Path) -> None:
    source, to = tmp_path / "m.onnx", tmp_path / "to"
    source.write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    wrong = ringpost("models", "pull", source.as_uri(), "--sha256", "0" * 64, "--to", str(to))
    assert (wrong.exit_code, list(to.iterdir())) == (1, [])
    assert "not kept" in wrong.stderr
    assert ringpost("models", "pull", source.as_uri(), "--sha256", right, "--to", str(to)).exit_code == 0
    assert [path.name for path in to.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("url", ["http://127.0.0.1/m.onnx", "ftp://x/m.onnx", "m.onnx", "https://x/m.txt"])
def test_other_places_are_refused(tmp_path: Path, url: str) -> None:
    done = ringpost("models", "pull", url, "--sha256", "0" * 64, "--to", str(tmp_path))
    assert done.exit_code == 1
    assert "expected " in done.stderr
