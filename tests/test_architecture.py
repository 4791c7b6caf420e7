"""The borders of ARCHITECTURE.md, enforced: which file imports what, and who may import whom.

``python -m tests.test_architecture`` prints the table.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "firmware_bridge", "models", "simulators")

# Whose import stands in which file, and in no other.
BORDERS = {
    "serial": {"firmware_bridge/serial/port.py"},
    "paho": {"agent/mqtt/connection.py"},
    "sqlite3": {"agent/outbox/sqlite_store.py", "centre/server.py"},
    "onnxruntime": {"models/session.py"},
    "iotcore": {"simulators/broker.py"},
}
# Who may import whom: three floors, no stairs back up.
FLOORS = {
    "firmware_bridge": {"firmware_bridge"},
    "models": {"models"},
    "agent": {"agent", "firmware_bridge", "models"},
    "simulators": set(PACKAGES),
}
# What `ringpost check` must not wait for.
HEAVY = (
    "cv2",
    "numpy",
    "onnxruntime",
    "serial",
    "paho",
    "pynmeagps",
    "pyais",
    "pymavlink",
    "pyubx2",
    "pymodbus",
    "cbor2",
)
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "util", "helper"}
# No code path that identifies anyone: none of these is imported, called or named as a file.
IDENTIFYING = (
    "FaceDetectorYN",
    "FaceRecognizerSF",
    "face_recognition",
    "insightface",
    "CascadeClassifier",
    "easyocr",
    "pytesseract",
    "torchreid",
    "speech_recognition",
    "pyaudio",
    "sounddevice",
)


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Full dotted names that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_environment_is_no_part_of_the_repository() -> None:
    """A link of that name, once taken in, replaces the environment of whoever checks it out."""
    tracked = subprocess.run(
        ["git", "ls-files", ".venv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert tracked.stdout == ""


@pytest.mark.parametrize("library", BORDERS)
def test_a_library_stands_in_its_file_only(library: str) -> None:
    users = {name(path) for path in sources() if any(one.split(".")[0] == library for one in imports(path))}
    assert users <= BORDERS[library]


def test_video_capture_stands_in_one_file() -> None:
    assert [name(path) for path in sources() if "VideoCapture(" in path.read_text()] == [
        "agent/vision/capture.py"
    ]


@pytest.mark.parametrize("path", sources(), ids=name)
def test_no_stairs_back_up(path: Path) -> None:
    ours = {one.split(".")[0] for one in imports(path)} & set(PACKAGES)
    assert ours <= FLOORS[path.relative_to(ROOT).parts[0]]


def test_the_words_of_the_ground_floor_import_nothing_of_ours() -> None:
    for words in ("firmware_bridge/readings.py", "models/detection.py"):
        assert not {one.split(".")[0] for one in imports(ROOT / words)} & set(PACKAGES)


@pytest.mark.parametrize("path", sources(), ids=name)
def test_names(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            assert not node.name.endswith(("Manager", "Handler", "Helper", "Util", "Impl")), node.name
            assert not node.name.startswith("Abstract"), node.name


@pytest.mark.parametrize("path", sources(), ids=name)
def test_nothing_identifies_anyone(path: Path) -> None:
    text = path.read_text()
    assert [word for word in IDENTIFYING if word in text] == []


@pytest.mark.parametrize("path", sources(), ids=name)
def test_nothing_is_executed_that_arrived(path: Path) -> None:
    """No eval, exec, pickle, shell: whatever comes over the wire stays data."""
    tree = ast.parse(path.read_text())
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "__import__"}
    assert not {one.split(".")[0] for one in imports(path)} & {"pickle", "marshal", "shelve"}
    assert not any(
        isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is True
        for node in ast.walk(tree)
    )


def test_check_imports_nothing_heavy() -> None:
    """In a fresh interpreter: validating a configuration with a camera loads neither cv2 nor onnxruntime."""
    script = (
        "import sys; from pathlib import Path; from agent.cli.check import check_command; "
        "code = check_command([Path('configs/checkpoint_camera.yaml')], False, False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def table() -> Iterator[str]:
    """Each file: its lines, and which of ours and of the guarded libraries it imports."""
    for path in sources():
        found = sorted(
            {one for one in imports(path) if one.split(".")[0] in (*PACKAGES, *BORDERS, "cv2", "numpy")}
        )
        yield f"{name(path):42} {len(path.read_text().splitlines()):4}  {', '.join(found)}"


if __name__ == "__main__":
    print("\n".join(table()))
    lengths = sorted(len(path.read_text().splitlines()) for path in sources())
    print(f"{len(lengths)} files, median {lengths[len(lengths) // 2]} lines, largest {lengths[-1]}")
