"""`ringpost init`: what it writes is valid, explained line by line, and made of what is plugged in."""

import itertools
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agent.__main__ import cli
from agent.cli.devices import Device
from agent.cli.init import usual_name
from agent.cli.init_hardware import FoundSource, guess_kind, sources_of
from agent.cli.init_text import Answers, configuration_text
from agent.config.loader import parse
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.readings import Fix
from simulators.wire import Wire

KINDS = ("checkpoint_camera", "patrol_boat", "drone_ground_station", "metro_post", "watch_point")
NUMBERS = itertools.count()
BY_PATH = "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0-port0"


def device(
    *protocols: str,
    values: tuple[str, ...] = (),
    baud: int | None = None,
    kind: str = "serial",
    use: str = "",
) -> Device:
    use = use or BY_PATH.replace("port0", f"port{next(NUMBERS)}")
    return Device(
        kind="camera" if kind == "camera" else "serial", use=use, path=use, description="A thing (067b:2303)",
        protocols=protocols, values=values, baud=baud,
    )  # fmt: skip


PLUGGED: dict[str, tuple[list[Device], list[tuple[str, str | None]], str]] = {
    "nothing": ([], [], "watch_point"),
    "a receiver": ([device("nmea", values=("fix",), baud=9600)], [("gnss", "nmea")], "watch_point"),
    "u-blox with NMEA": (
        [device("nmea", "ubx", values=("fix",), baud=38400)],
        [("gnss", "ubx")],
        "watch_point",
    ),
    "a boat": (
        [device("nmea", values=("fix",)), device("nmea", values=("vessel",), baud=38400),
         device("nmea", values=("reading",), baud=4800), device("vedirect", baud=19200)],
        [("gnss", "nmea"), ("ais", "ais"), ("instruments", "nmea"), ("battery", "vedirect")],
        "patrol_boat",
    ),
    "two boards": ([device("cobs"), device("cobs")], [("board", "sensor_board"), ("board2", "sensor_board")], "watch_point"),
    "a drone station": ([device("mavlink", baud=57600)], [("autopilot", "mavlink")], "drone_ground_station"),
    "cameras": (
        [device(kind="camera", use="/dev/video0"), device(kind="camera", use="/dev/v4l/by-id/usb-A:B-index0")],
        [("cam1", "camera"), ("cam2", "camera")],
        "checkpoint_camera",
    ),
    "a mute port": ([device()], [("port", None)], "watch_point"),
    "all": (
        [device("nmea", values=("fix",)), device("cobs"), device(kind="camera", use="/dev/video0"), device()],
        [("gnss", "nmea"), ("board", "sensor_board"), ("cam1", "camera"), ("port", None)],
        "checkpoint_camera",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLUGGED)
def test_what_is_plugged_in_becomes_a_valid_configuration(case: str, tmp_path: Path) -> None:
    plugged, expected, kind = PLUGGED[case]
    found = sources_of(plugged)
    assert [(source.name, source.kind) for source in found] == expected
    assert guess_kind(found) == kind
    text = configuration_text(Answers(device="post-1", kind=kind), found)
    config = parse(text, name="device.yaml", base=tmp_path)
    assert {name: source.kind for name, source in config.sources.items()} == {
        name: kind for name, kind in expected if kind
    }
    for name, source in config.sources.items():
        assert any(name in rule.sources() for rule in config.rules.values()), name
        assert source.kind != "nmea" or config.rules[f"{name}-silent"].kind == "silence"
    assert config.positioning.receivers == tuple(
        source.name for source in found if source.has_fixes and source.kind
    )


@pytest.mark.parametrize(("kind", "case"), list(itertools.product(KINDS, ("nothing", "all"))))
def test_every_line_is_explained(kind: str, case: str, tmp_path: Path) -> None:
    text = configuration_text(Answers(device="post-1", kind=kind), sources_of(PLUGGED[case][0]))
    lines = text.splitlines()
    assert parse(text, name="device.yaml", base=tmp_path).kind == kind
    for number, line in enumerate(lines):
        above = lines[number - 1].strip() if number else ""
        section = line.rstrip().endswith(":")
        assert not line or "# " in line or above.startswith("#") or section, line
        assert len(line) <= 110
    uncommented = [line.replace("# ", "", 1) if line.startswith("# ") else line for line in lines]
    if case == "nothing":  # its examples are as valid as the rest
        text = "\n".join(
            line for line in uncommented[2:] if not line.startswith(("sources: {}", "rules: {}"))
        )
        text = text.replace("  board:", "sources:\n  board:", 1).replace("  panic:", "rules:\n  panic:", 1)
        config = parse(text, name="device.yaml", base=tmp_path)
        assert (list(config.sources), list(config.rules)) == (["board", "cam1"], ["panic"])


@settings(deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(
    port=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    description=st.text(max_size=40),
    site=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_no_name_of_a_device_breaks_the_file(port: str, description: str, site: str) -> None:
    """Names and descriptions come from the makers of adapters."""
    source = FoundSource("gnss", "nmea", f"/dev/{port}", description)
    other = FoundSource("port", None, f"/dev/{port}", description)
    text = configuration_text(Answers(device="d", kind="watch_point", site=site), [source, other])
    config = parse(text, name="device.yaml", base=Path("/nowhere"))
    assert config.place.site == site
    port_found = config.sources["gnss"].serial_port()
    assert port_found is not None
    assert port_found.address == f"/dev/{port}"


def test_what_somebody_has_answered_is_not_to_change() -> None:
    text = configuration_text(Answers("gate-1", "metro_post", "north bridge", "gate 1", "broker.city"), [])
    assert [line.split(":")[0].strip() for line in text.splitlines() if "# CHANGE" in line] == [
        "device",
        "ring",
    ]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["init", "--listen", "0.5", "-o", str(folder / "device.yaml"), *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_command_ends_with_the_next_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.init.devices", lambda: iter(()))
    code, said = run(tmp_path, "--kind", "metro_post", "--device", "metro-3")
    assert code == 0
    *_, keys, check, start, page = said.splitlines()
    assert keys.startswith(f"  copy roles.json to {tmp_path};"), "the root key is made elsewhere"
    assert check == f"  ringpost check --env {tmp_path}/device.yaml"
    assert start == f"  ringpost run {tmp_path}/device.yaml"
    assert page.startswith(f"  ringpost console {tmp_path}/device.yaml: ")
    config = parse((tmp_path / "device.yaml").read_text(), name="", base=tmp_path)
    assert (config.device, config.kind, config.place.domain) == ("metro-3", "metro_post", "underground")
    assert (tmp_path / "device.yaml").stat().st_mode & 0o007 == 0
    assert CliRunner().invoke(cli, ["check", str(tmp_path / "device.yaml")]).exit_code == 0


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.init.devices", lambda: iter(()))
    file = tmp_path / "device.yaml"
    file.write_text("mine")
    code, said = run(tmp_path)
    assert (code, file.read_text()) == (2, "mine")
    assert "exists already; give another -o FILE, or --force" in said
    assert run(tmp_path, "--force", "--device", "d")[0] == 0
    assert file.read_text() != "mine"
    assert run(tmp_path, "--force", "--device", "host")[0] == 2  # reserved


def test_a_receiver_on_a_pty_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(tmp_path / "gnss") as wire:
        found = Device(kind="serial", use=str(wire.path), path=str(wire.path), description="A receiver")
        monkeypatch.setattr("agent.cli.init.devices", lambda: iter([found]))
        fix = gnss_encoder.encode(Fix(mode="3d", lat=32.1, lon=118.7))
        done = threading.Event()

        def send() -> None:
            while not done.wait(0.1):
                wire.write(fix)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            code, said = run(tmp_path, "--listen", "4", "--device", "d")
        finally:
            done.set()
            sender.join()
    assert code == 0, said
    config = parse((tmp_path / "device.yaml").read_text(), name="", base=tmp_path)
    assert config.sources["gnss"].kind == "nmea"
    assert config.positioning.receivers == ("gnss",)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Bridge_07.local", "bridge-07"),
        ("raspberrypi", "metro-01"),
        ("ringpost-x", "metro-01"),
        ("", "metro-01"),
    ],
)
def test_the_name_of_the_machine(host: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert usual_name("metro_post") == name
