"""The borders between packages, enforced: which file imports what, and who may import whom.

``python -m tests.test_architecture`` prints the table.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "centre", "console", "firmware_bridge", "models", "simulators")

# Whose import stands in which file, and in no other.
BORDERS = {
    "serial": {"firmware_bridge/serial/port.py"},
    "paho": {"agent/mqtt/connection.py", "agent/mqtt/paho_packets.py"},
    "sqlite3": {
        "agent/audit/checkpoint_store.py",
        "agent/outbox/database.py",
        "agent/outbox/salvage.py",
        "centre/map/action_store.py",
        "centre/map/store_reader.py",
        "centre/sqlite_database.py",
        "simulators/checker/disks.py",
    },
    "psycopg": {"centre/postgres_database.py"},
    "onnxruntime": {"models/session.py"},
    "iotcore": {"simulators/broker.py"},
}
# The libraries of the pages stand in these folders only; the agent runs without them.
PAGE_LIBRARIES = frozenset({"nicegui", "fastapi", "starlette", "uvicorn", "socketio"})
PAGE_FOLDERS = ("console/", "centre/map/", "simulators/first_minute/")
# Layers from the top down. A module imports from its own package and from lower layers only; packages of one
# layer do not import each other. docs/architecture.md says what each one owns.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("simulators",),
    ("centre",),
    ("console",),
    ("agent.__main__",),
    ("agent.cli",),
    ("agent.app",),
    ("agent.local_api",),
    ("agent.inbound", "agent.push_trial"),
    ("agent.control",),
    ("agent.pipeline",),
    ("agent.replay", "agent.reporting"),
    ("agent.config",),
    ("agent.rules",),
    ("agent.evidence",),
    ("agent.vision",),
    ("agent.privacy",),
    ("agent.mqtt", "agent.positioning", "agent.commands"),
    ("agent.alerts", "agent.outbox"),
    ("agent.audit",),
    ("agent.trust",),
    ("agent.runtime",),
    ("agent.domain",),
    ("agent.host",),
    ("firmware_bridge.catalogue",),
    ("firmware_bridge.gnss",),
    ("firmware_bridge.nmea",),
    ("firmware_bridge.ais", "firmware_bridge.mavlink", "firmware_bridge.sensors"),
    ("firmware_bridge.serial",),
    ("firmware_bridge", "models"),
)
"""The last: modules directly in the package."""
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
    *sorted(PAGE_LIBRARIES),
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


@cache
def sources() -> tuple[Path, ...]:
    return tuple(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


@cache
def text(path: Path) -> str:
    return path.read_text()


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of the file's syntax tree."""
    return tuple(ast.walk(ast.parse(text(path))))


def imports(path: Path, names: bool = False) -> Iterator[str]:
    """Full dotted names that the file imports, wherever in it; with ``names`` also each name of a module."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if not names or len(node.names) != sum(is_module(node, alias) for alias in node.names):
                yield str(node.module)
            if names:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_module(node: ast.ImportFrom, alias: ast.alias) -> bool:
    """Whether ``from package import name`` names a module of ours, and no name in one."""
    place = ROOT.joinpath(*f"{node.module}.{alias.name}".split("."))
    return {place.with_suffix(".py"), place / "__init__.py"} & files() != set()


@cache
def files() -> frozenset[Path]:
    return frozenset(sources())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git: apt-get install git")
def test_the_environment_is_no_part_of_the_repository() -> None:
    """A link of that name, once taken in, replaces the environment of whoever checks it out."""
    tracked = subprocess.run(
        ["git", "ls-files", ".venv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert tracked.stdout == ""


CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "monotonic_ns"),
    ("time", "perf_counter"),
    ("time", "clock_gettime"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
}
RANDOMNESS = {
    ("random", "uniform"),
    ("random", "random"),
    ("random", "randrange"),
    ("random", "randint"),
    ("random", "choice"),
    ("secrets", "token_hex"),
    ("secrets", "token_bytes"),
}
SYSTEM_THREADS = {
    "agent/app.py": "the default executor of the process",
    "agent/cli/detect.py": "a command, not the agent",
    "agent/runtime/name_resolution.py": "a name that hangs holds its thread",
    "agent/runtime/native_calls.py": "ends the process",
    "agent/vision/frame_reader.py": "blocks in a camera's driver",
    "agent/vision/inference_pool.py": "blocks in the inference",
    "agent/vision/rtsp_relay.py": "blocks in a socket",
    "firmware_bridge/regular_files.py": "a disk that hangs holds its thread",
}
"""Threads that no simulation replaces, and why; all others are started by `agent.host.threads`."""


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """Each ``name.attribute`` in the file."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_clocks_and_randomness_stand_behind_the_border_of_the_host() -> None:
    """Else the simulation, which replaces that border, is neither exact nor repeatable."""
    beside = {
        f"{name(path)}: {'.'.join(call)}"
        for path in sources()
        if name(path).startswith(("agent/", "centre/", "firmware_bridge/"))
        and not name(path).startswith("agent/host/")
        for call in calls(path)
        if call in CLOCKS | RANDOMNESS
    }
    assert beside == set()


def test_threads_are_started_at_the_border_of_the_host() -> None:
    users = {
        name(path)
        for path in sources()
        if name(path).startswith(("agent/", "firmware_bridge/")) and not name(path).startswith("agent/host/")
        if "threading.Thread(" in text(path) or "ThreadPoolExecutor(" in text(path)
    }
    assert users == set(SYSTEM_THREADS)


@pytest.mark.parametrize("library", BORDERS)
def test_a_library_stands_in_its_file_only(library: str) -> None:
    users = {name(path) for path in sources() if any(one.split(".")[0] == library for one in imports(path))}
    assert users <= BORDERS[library]


def test_the_libraries_of_the_pages_stand_in_their_folders_only() -> None:
    users = {
        name(path) for path in sources() if {one.split(".")[0] for one in imports(path)} & PAGE_LIBRARIES
    }
    assert [path for path in sorted(users) if not path.startswith(PAGE_FOLDERS)] == []


@pytest.mark.parametrize("module", ["console.cli", "centre.cli", "simulators.verbs", "agent.__main__"])
def test_a_verb_loads_no_page_before_it_is_called(module: str) -> None:
    """The agent and the help of all verbs run where the extra ``console`` is not installed."""
    script = (
        f"import sys, {module}; print([name for name in {sorted(PAGE_LIBRARIES)!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_video_capture_stands_in_one_file() -> None:
    assert [name(path) for path in sources() if "VideoCapture(" in text(path)] == ["agent/vision/capture.py"]


def layer(module: str) -> int:
    """The number of a module's layer, 0 at the top; the longest listed name that it begins with counts."""
    listed = [(package, number) for number, packages in enumerate(LAYERS) for package in packages]
    matching = [one for one in listed if module == one[0] or module.startswith(f"{one[0]}.")]
    assert matching or module == "agent", f"{module} is in no layer: list its package in LAYERS"
    return max(matching, key=lambda one: len(one[0]))[1] if matching else len(LAYERS) - 1


def package(module: str) -> str:
    """The listed package that a module belongs to, such as ``agent.outbox``."""
    listed = [one for packages in LAYERS for one in packages if module == one or module.startswith(f"{one}.")]
    return max(listed, key=len, default=module)


@cache  # and nothing at import: each process that collects the tests would parse all files
def graph() -> dict[str, set[str]]:
    """Each module of ours, and the modules of ours that it imports; lazily or for types only, too."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources()}
    modules = {module.removesuffix(".__init__"): path for module, path in paths.items()}
    return {
        module: {one for one in imports(path, names=True) if one in modules} - {module}
        for module, path in modules.items()
    }


def test_imports_point_downward() -> None:
    """Within a package anything goes but circles; else down to a lower layer only."""
    upward = [
        f"{module} imports {one}"
        for module, imported in graph().items()
        for one in imported
        if package(one) != package(module) and layer(one) <= layer(module) and one != "agent"
    ]
    assert upward == []


def cycles() -> list[list[str]]:
    """Groups of modules that import each other in a circle (strongly connected components of two or more)."""
    reach: dict[str, set[str]] = {}
    for module in graph():
        seen, waiting = set[str](), [module]
        while waiting:
            new = graph()[waiting.pop()] - seen
            seen |= new
            waiting += new
        reach[module] = seen
    found = {tuple(sorted(one for one in reach[module] if module in reach[one])) for module in graph()}
    return [list(group) for group in found if len(group) > 1]


def test_no_module_imports_itself_in_a_circle() -> None:
    assert cycles() == []


def test_each_package_is_in_one_layer_and_exists() -> None:
    listed = [one for packages in LAYERS for one in packages]
    assert len(listed) == len(set(listed))
    assert [one for one in listed if not any(package(module) == one for module in graph())] == []


def test_the_modules_at_the_bottom_import_nothing_of_ours() -> None:
    for words in ("firmware_bridge/readings.py", "firmware_bridge/drone_readings.py", "models/detection.py"):
        ours = {one for one in imports(ROOT / words) if one.split(".")[0] in PACKAGES}
        assert ours <= {"firmware_bridge.drone_readings"}  # the rest of the same vocabulary


def test_the_checker_shares_nothing_with_what_it_judges() -> None:
    judged = [
        f"{name(path)} imports {module}"
        for path in sources()
        if name(path).startswith("simulators/checker/")
        for module in imports(path)
        if module.partition(".")[0] in {"agent", "centre", "firmware_bridge"}
    ]
    assert judged == []


def test_names() -> None:
    forbidden = [name(path) for path in sources() if path.stem in FORBIDDEN_NAMES]
    forbidden += [
        f"{name(path)}: class {node.name}"
        for path in sources()
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        and (
            node.name.endswith(("Manager", "Handler", "Helper", "Util", "Impl"))
            or node.name.startswith("Abstract")
        )
    ]
    assert forbidden == []


def test_nothing_identifies_anyone() -> None:
    found = [f"{name(path)}: {word}" for path in sources() for word in IDENTIFYING if word in text(path)]
    assert found == []


def executes(node: ast.AST) -> bool:
    """Whether the node calls eval, exec or __import__, or asks for a shell."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"eval", "exec", "__import__"}
    return (
        isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is True
    )


def test_nothing_is_executed_that_arrived() -> None:
    """No eval, exec, pickle, shell: whatever comes over the wire stays data."""
    found = [name(path) for path in sources() if any(executes(node) for node in nodes(path))]
    found += [
        f"{name(path)} imports {one}"
        for path in sources()
        for one in imports(path)
        if one.split(".")[0] in {"pickle", "marshal", "shelve"}
    ]
    assert found == []


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


def layers() -> Iterator[str]:
    """Each package from the top down: modules, lines, and the packages that it imports."""
    for number, packages in enumerate(LAYERS, 1):
        for one in packages:
            modules = [module for module in graph() if package(module) == one]
            used = {package(other) for module in modules for other in graph()[module]} - {one}
            yield f"{number:2}  {one:26} {len(modules):3} modules  imports {', '.join(sorted(used, key=layer)) or '-'}"


def table() -> Iterator[str]:
    """Each file: its lines, and which of ours and of the guarded libraries it imports."""
    for path in sources():
        found = sorted(
            {one for one in imports(path) if one.split(".")[0] in (*PACKAGES, *BORDERS, "cv2", "numpy")}
        )
        yield f"{name(path):42} {len(text(path).splitlines()):4}  {', '.join(found)}"


if __name__ == "__main__":
    print("\n".join(table()))
    print("\n".join(layers()))
    print(
        f"{sum(map(len, graph().values()))} imports between {len(graph())} modules, {len(cycles())} circles"
    )
    lengths = sorted(len(text(path).splitlines()) for path in sources())
    print(f"{len(lengths)} files, median {lengths[len(lengths) // 2]} lines, largest {lengths[-1]}")
