"""Faults are refused outside simulation, and what is simulated can't look real. Both directions of each."""

import asyncio
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from agent.app import run
from agent.config.loader import parse
from agent.config.simulated_sources import allow_simulated_sources, is_simulated, simulated_sources_allowed
from agent.domain.message import ROOT, SIMULATED_ROOT
from agent.domain.yaml_loader import BadConfig
from agent.runtime.simulated_data import claim_folder
from simulators.faults.simulation_only import NotSimulatedError, refuse_outside_simulation
from simulators.scenario.device_config import completed_config
from simulators.scenario.loader import find_scenario
from simulators.scenario.session import RunOptions, run_scenario

CONFIG = """
schema_version: 1
device: post-1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: demo, post: square, lat: 32.1162, lon: 118.7404}}
broker: {{url: "mqtt://127.0.0.1:1883"}}
sources:
  gnss: {{kind: nmea, port: {port}}}
  cam1: {{kind: camera, url: "{url}", purpose: a test}}
"""
REAL = CONFIG.format(port="/dev/ttyUSB0", url="rtsp://10.0.0.5/stream")


@pytest.mark.parametrize(
    ("root", "url", "own", "error"),
    [
        (SIMULATED_ROOT, "mqtt://127.0.0.1:1883", False, None),
        (SIMULATED_ROOT, "mqtt://127.9.9.9:1883", False, None),
        (SIMULATED_ROOT, "mqtt://[::1]:1883", False, None),
        (SIMULATED_ROOT, "mqtt://localhost:1883", False, None),
        (SIMULATED_ROOT, "mqtt://10.0.0.5:1883", True, None),
        (ROOT, "mqtt://127.0.0.1:1883", False, "topics below ringpost-sim/v1, not ringpost/v1"),
        (ROOT, "mqtt://127.0.0.1:1883", True, "topics below ringpost-sim/v1, not ringpost/v1"),
        (f"{SIMULATED_ROOT}/more", "mqtt://127.0.0.1:1883", False, "topics below"),
        ("", "mqtt://127.0.0.1:1883", True, "topics below"),
        (SIMULATED_ROOT, "mqtt://10.0.0.5:1883", False, "not 10.0.0.5"),
        (SIMULATED_ROOT, "mqtts://broker.example:8884", False, "not broker.example"),
        (SIMULATED_ROOT, "mqtt://localhost.example:1883", False, "not localhost.example"),
        (SIMULATED_ROOT, "mqtt://127.0.0.1.example:1883", False, "not 127.0.0.1.example"),
        (SIMULATED_ROOT, "mqtt://127.0.0.1@broker.example:1883", False, "not broker.example"),
        (SIMULATED_ROOT, "mqtt://0.0.0.0:1883", False, "not 0.0.0.0"),
        (SIMULATED_ROOT, "", False, "not "),
    ],
)
def test_faults_are_for_simulations(root: str, url: str, own: bool, error: str | None) -> None:
    if error is None:
        refuse_outside_simulation(root, url, own_broker=own)
        return
    with pytest.raises(NotSimulatedError, match="faults are for simulations") as refused:
        refuse_outside_simulation(root, url, own_broker=own)
    assert error in str(refused.value)


@pytest.mark.parametrize(
    ("address", "simulated"),
    [
        ("/tmp/run/post-1/ringpost-sim/gnss", True),
        ("http://127.0.0.1:8554/ringpost-sim/camera.mjpg", True),
        ("/dev/ttyUSB0", False),
        ("/dev/serial/by-id/usb-ringpost-simple-if00", False),
        ("tcp://10.0.0.5:4001", False),
        ("", False),
    ],
)
def test_a_source_of_a_simulation_is_known_by_its_address(address: str, simulated: bool) -> None:
    assert is_simulated(address) is simulated


def test_a_device_in_the_field_refuses_sources_of_a_simulation(tmp_path: Path) -> None:
    parse(REAL, name="real", base=tmp_path)
    text = CONFIG.format(port="/tmp/x/ringpost-sim/gnss", url="http://127.0.0.1:1/ringpost-sim/cam1")
    with pytest.raises(BadConfig) as refused:
        parse(text, name="copied", base=tmp_path)
    assert [problem.path for problem in refused.value.problems] == ["sources.gnss.port", "sources.cam1.url"]
    assert "is simulated hardware" in refused.value.problems[0].message
    with simulated_sources_allowed():
        parse(text, name="simulated", base=tmp_path)


def test_a_simulation_takes_no_real_source_whatever_its_configuration_names() -> None:
    tree: dict[str, Any] = {
        "sources": {
            "gnss": {"kind": "nmea", "port": "/dev/ttyUSB0"},
            "cam1": {"kind": "camera", "url": "rtsp://10.0.0.5/stream"},
        }
    }
    whole = completed_config("post-1", tree, broker_url="mqtt://127.0.0.1:1", folder=Path("/tmp/run"))
    for source in whole["sources"].values():
        assert is_simulated(source.get("port") or source["url"])


def test_what_is_allowed_stays_in_its_context(tmp_path: Path) -> None:
    copy_context().run(allow_simulated_sources)
    with pytest.raises(BadConfig):
        parse(CONFIG.format(port="/tmp/ringpost-sim/gnss", url="rtsp://10.0.0.5/x"), name="", base=tmp_path)


def test_a_data_folder_of_a_simulation_stays_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    claim_folder(folder, SIMULATED_ROOT)
    claim_folder(folder, SIMULATED_ROOT)
    with pytest.raises(OSError, match="has the data of a simulation"):
        claim_folder(folder, ROOT)


def test_a_data_folder_of_the_field_stays_one(tmp_path: Path) -> None:
    claim_folder(tmp_path, ROOT)
    (tmp_path / "alerts.db").touch()
    claim_folder(tmp_path, ROOT)
    with pytest.raises(OSError, match="has the data of a device in the field"):
        claim_folder(tmp_path, SIMULATED_ROOT)


@pytest.mark.parametrize(("mine", "theirs"), [(ROOT, SIMULATED_ROOT), (SIMULATED_ROOT, ROOT)])
def test_the_agent_itself_refuses_the_folder_of_the_other_kind(
    mine: str, theirs: str, tmp_path: Path
) -> None:
    claim_folder(tmp_path / "data", theirs)
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data/alerts.db").touch()
    with pytest.raises(OSError, match="has the data of"):
        asyncio.run(run(tmp_path / "config.yaml", tmp_path / "data", mine))


def test_a_scenario_with_faults_is_refused_at_the_broker_of_others(tmp_path: Path) -> None:
    """Before anything runs: nobody answers at that address."""
    options = RunOptions(broker_url="mqtt://192.0.2.1:1883")
    with pytest.raises(NotSimulatedError, match=r"not 192\.0\.2\.1"):
        run_scenario(find_scenario("bad_lines"), tmp_path, options)
