"""The three recipes of CONTRIBUTING.md, taken from the page and carried out in a copy of the project."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGES, layer, package

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES: dict[str, str] = dict(BLOCK.findall(PAGE))

# each recipe: its file, the list, the union in it, and the kind's class
RECIPES = {
    "a sensor": (
        "firmware_bridge/sensors/water_gauge.py",
        "firmware_bridge/catalogue.py",
        "Line",
        "WaterGauge",
    ),
    "a rule": ("agent/rules/too_fast.py", "agent/rules/__init__.py", "Rule", "TooFast"),
    "a model format": ("models/unit_boxes.py", "models/__init__.py", "Format", "UnitBoxes"),
}
CONFIG = """\
schema_version: 1
device: recipe-1
kind: watch_point
place: {ring: inner_city, domain: ground, site: river, post: one}
broker: {url: "mqtt://127.0.0.1:1883"}
"""


def its_test(path: str) -> str:
    """Where the page puts the test of the file at ``path``."""
    return f"tests/test_{Path(path).name}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's packages, to be changed."""
    for name in ("agent", "firmware_bridge", "models"):
        ignore = shutil.ignore_patterns("__pycache__", "*.onnx")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    (tmp_path / "tests").mkdir()
    return tmp_path


def enlist(path: Path, module: str, union: str, kind: str) -> None:
    """One import, and the kind's name in the list."""
    text = path.read_text()
    listed, count = re.subn(rf"^{union} = (Annotated\[)?\(?", rf"\g<0>{kind} | ", text, flags=re.MULTILINE)
    assert count == 1
    first = re.search(r"^from (firmware_bridge|agent|models)\.", listed, re.MULTILINE)
    assert first is not None
    line = f"from {module} import {kind}\n"
    path.write_text(listed[: first.start()] + line + listed[first.start() :])


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipe_works_as_the_page_says(recipe: str, copy: Path) -> None:
    path, list_path, union, kind = RECIPES[recipe]
    if recipe == "a model format":
        pytest.importorskip("onnx", reason="needs the extra dev: pip install -e .[dev]")
    for name in (path, its_test(path)):
        (copy / name).write_text(FILES[name])
    enlist(copy / list_path, path.removesuffix(".py").replace("/", "."), union, kind)
    tested = run(copy, "pytest", "-q", "-p", "no:cacheprovider", its_test(path))
    assert tested.returncode == 0, tested.stdout
    assert "passed" in tested.stdout


@pytest.mark.parametrize("recipe", ["a sensor", "a rule"])
def test_the_new_kind_is_known_to_check_and_its_mistakes_are_told(recipe: str, copy: Path) -> None:
    entries = {
        "a sensor": "sources:\n  river: {kind: water_gauge, port: /dev/ttyUSB0, baud: 9600}\n",
        "a rule": "sources:\n  gnss: {kind: nmea, port: /dev/ttyUSB1}\n"
        "rules:\n  speed: {kind: too_fast, source: gnss, speed_mps: 15}\n",
    }
    for line in entries[recipe].splitlines()[-1:]:
        assert line in PAGE
    (copy / "device.yaml").write_text(CONFIG + entries[recipe])
    path, list_path, union, kind = RECIPES[recipe]
    before = run(copy, "agent", "check", "device.yaml")
    assert before.returncode == 78
    assert "kind" in before.stderr + before.stdout
    (copy / path).write_text(FILES[path])
    enlist(copy / list_path, path.removesuffix(".py").replace("/", "."), union, kind)
    after = run(copy, "agent", "check", "device.yaml")
    assert after.returncode == 0, after.stderr + after.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_says_how_large_each_recipe_is(recipe: str) -> None:
    path = RECIPES[recipe][0]
    sizes = [len(FILES[name].splitlines()) for name in (path, its_test(path))]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {recipe} "))
    assert [int(number) for number in re.findall(r"(\d+) lines \|", row)] == sizes


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipe_keeps_the_layers(recipe: str) -> None:
    """`tests/test_architecture.py` holds for the new file where the page puts it."""
    path = RECIPES[recipe][0]
    module = path.removesuffix(".py").replace("/", ".")
    imported = [
        str(node.module) for node in ast.walk(ast.parse(FILES[path])) if isinstance(node, ast.ImportFrom)
    ]
    ours = [one for one in imported if one.split(".")[0] in PACKAGES and package(one) != package(module)]
    assert [one for one in ours if layer(one) <= layer(module)] == []
