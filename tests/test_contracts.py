"""What a kind of rule or source says of itself: waits, references under which keys, ports, servers, outputs."""

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from agent.domain.contracts import RulePart, SourceRule
from agent.domain.references import CameraReference, Channel, Keyed, SourceReference
from agent.rules import Rule
from agent.rules.blind import Blind
from agent.rules.person_in_water import PersonInWater
from agent.rules.switch import SwitchRule
from agent.rules.threshold import Threshold
from agent.rules.vessel_close import VesselClose
from agent.rules.zone_enter import ZoneEnter
from agent.vision.camera import Camera
from firmware_bridge.catalogue import Line
from firmware_bridge.source import EmitAny, Server, SourcePart, WantedOutputs

KINDS: dict[str, type[RulePart]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(get_args(Rule)[0])
}

# By kind: which of its durations a fresh judge may have to wait for, and their sum in seconds as they come.
PATIENCE: dict[str, tuple[set[str], float]] = {
    "beyond_railing": (set(), 0),
    "blind": ({"after"}, 10),
    "count": ({"hold"}, 10),
    "distress_beacon": ({"over_after"}, 600),
    "drone_battery": ({"hold"}, 5),
    "drone_lost": ({"after"}, 10),
    "geofence": ({"hold", "lost_after"}, 135),
    "interference": ({"hold"}, 3),
    "line_cross": ({"hold"}, 5),
    "moved": ({"hold", "window", "lost_after"}, 1260),
    "on_post": ({"hold", "lost_after"}, 150),
    "person_in_water": ({"dwell"}, 1),
    "route": ({"hold", "lost_after"}, 135),
    "silence": ({"after"}, 10),
    "stationary": ({"after"}, 120),
    "switch": ({"hold"}, 0),
    "threshold": ({"hold", "within"}, 0),
    "vessel_adrift": ({"hold", "forget"}, 960),
    "vessel_close": ({"within", "fresh"}, 480),
    "wrong_way": (set(), 0),
    "zone_dwell": ({"dwell"}, 20),
    "zone_enter": (set(), 0),
}
NO_WAITS = {"ack_within", "cool_down", "grace", "signal_hold", "verify_within"}
"""Durations that are no part of it."""


def as_it_comes(kind: str) -> RulePart:
    """The rule with all defaults; required keys are missing."""
    return KINDS[kind].model_construct(
        **{name: field.get_default() for name, field in KINDS[kind].model_fields.items()}
    )


def durations(kind: str) -> set[str]:
    return {name for name, field in KINDS[kind].model_fields.items() if "timedelta" in str(field)}


def test_every_kind_is_listed_here() -> None:
    assert PATIENCE.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", PATIENCE)
def test_the_patience_of_a_kind_is_the_sum_of_its_waits(kind: str) -> None:
    waits, seconds = PATIENCE[kind]
    rule = as_it_comes(kind)
    assert rule.rediscovery_time == timedelta(seconds=seconds)
    for name in durations(kind):
        before = rule.model_copy(update={name: timedelta(0)}).rediscovery_time
        longer = rule.model_copy(update={name: timedelta(hours=1)}).rediscovery_time - before
        assert longer == timedelta(hours=1 if name in waits else 0), name


@pytest.mark.parametrize("kind", PATIENCE)
def test_each_duration_is_a_wait_or_known_to_be_none(kind: str) -> None:
    assert durations(kind) == PATIENCE[kind][0] | (NO_WAITS & durations(kind))


@pytest.mark.parametrize(
    ("rule", "references"),
    [
        (SwitchRule(source="board", name="panic"), [
            SourceReference("source", "board", ("switch",), Channel("name", "switch", "panic")),
        ]),
        (Threshold(source="board", quantity="depth", below=2), [
            SourceReference("source", "board", ("reading",), Channel("quantity", "reading", "depth")),
        ]),
        (VesselClose(source="ais"), [SourceReference("source", "ais", ("vessel",))]),
        (VesselClose(source="ais", own="gnss"), [
            SourceReference("source", "ais", ("vessel",)), SourceReference("own", "gnss", ("fix", "vessel")),
        ]),
        (ZoneEnter(camera="cam1", zone="rail"), []),
    ],
)  # fmt: skip
def test_the_sources_that_a_rule_refers_to(rule: RulePart, references: list[SourceReference]) -> None:
    assert list(rule.source_references()) == references


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (SwitchRule(source="board", name="panic"), None),
        (Blind(camera="cam1"), CameraReference(camera="cam1", needs_coverage=True)),
        (
            Blind(camera="cam1", zone="rail"),
            CameraReference(camera="cam1", zones=(Keyed("zone", "rail"),), needs_coverage=True),
        ),
        (
            ZoneEnter(camera="cam1", zone="rail"),
            CameraReference(
                camera="cam1", zones=(Keyed("zone", "rail"),), labels=(Keyed("labels", "person"),),
                inferences_per_s=1.0, moving_key="camera_may_move",
            ),
        ),
        (
            PersonInWater(camera="cam1", zone="river", min_score=0.3, camera_may_move=True),
            CameraReference(
                camera="cam1", zones=(Keyed("zone", "river"),),
                labels=(Keyed("labels", "person"), Keyed("vessels", "boat")),
                min_score=("min_score", 0.3), inferences_per_s=0.5,
            ),
        ),
    ],
)  # fmt: skip
def test_the_camera_that_a_rule_refers_to(rule: RulePart, reference: CameraReference | None) -> None:
    assert rule.camera_reference() == reference


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_with_a_source_of_its_own_refers_to_it(kind: str) -> None:
    """A key ``source`` or ``camera`` that no reference names would not be checked."""
    fields: Any = KINDS[kind].model_fields
    assert ("source" in fields) == issubclass(KINDS[kind], SourceRule)
    example = as_it_comes(kind).model_copy(
        update={"camera": "cam1", "labels": ("person",), "zone": "rail", "source": "s"}
    )
    reference = example.camera_reference()
    assert (reference is not None) == ("camera" in fields)
    if reference is not None:
        assert [key for key, _ in reference.zones] == (["zone"] if "zone" in fields else [])
        assert {"labels", "vessels"} & set(fields) == {key for key, _ in reference.labels}


SOURCES: dict[str, type[SourcePart]] = {
    kind.model_fields["kind"].default: kind for kind in (*get_args(get_args(Line)[0]), Camera)
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_is_a_source_part_and_tells_what_it_gives(kind: str) -> None:
    assert issubclass(SOURCES[kind], SourcePart)
    assert SOURCES[kind].value_kinds


def source(kind: str, **more: Any) -> SourcePart:
    return SOURCES[kind].model_validate({"kind": kind} | more)


CONTACT = {"name": "door", "address": 0}


@pytest.mark.parametrize(
    ("it", "port", "server", "waits_s"),
    [
        (source("nmea", port="/dev/ttyUSB0"), ("port", "/dev/ttyUSB0"), None, 0.4),
        (source("modbus", port="/dev/ttyUSB0", contacts=[CONTACT]), ("port", "/dev/ttyUSB0"), None, 2.0),
        (
            source("ais", port="tcp://10.0.0.9:4001"),
            ("port", "tcp://10.0.0.9:4001"), ("port", "10.0.0.9", 4001, False), 30.0,
        ),
        (
            source("modbus", port="tcp://[::1]:502", contacts=[CONTACT]),
            ("port", "tcp://[::1]:502"), ("port", "::1", 502, False), 30.0,
        ),
        (source("gpsd"), None, ("port", "localhost", 2947, True), 30.0),
        (source("gpsd", port=2948), None, ("port", "localhost", 2948, False), 30.0),
        (source("camera", url="/dev/video0", purpose="the gate"), None, None, None),
        (source("camera", url="gate.mp4", purpose="the gate"), None, None, None),
        (
            source("camera", url="rtsp://10.0.0.7/main", purpose="the gate"),
            None, ("url", "10.0.0.7", 554, False), None,
        ),
    ],
)  # fmt: skip
def test_what_a_source_connects_to(
    it: SourcePart, port: tuple[str, str] | None, server: tuple[Any, ...] | None, waits_s: float | None
) -> None:
    assert (it.serial_port(), it.server(), it.longest_wait_s) == (port, server, waits_s)


def test_only_a_source_with_outputs_has_some_to_switch() -> None:
    assert source("sensor_board", port="/dev/ttyACM0", outputs=["siren"]).output_names() == ("siren",)
    assert source("sensor_board", port="/dev/ttyACM0").output_names() == ()
    assert source("nmea", port="/dev/ttyACM0").output_names() == ()


class Weighbridge(SourcePart):
    """A source of another kind, with keys of its own."""

    kind: Literal["weighbridge"] = "weighbridge"
    scale: str = "10.0.0.5:9000"
    token: str = ""

    def server(self) -> Server:
        host, _, port = self.scale.rpartition(":")
        return Server("scale", host, int(port))

    async def run(self, emit: EmitAny, wanted: WantedOutputs = dict) -> None:
        """Never here."""


@pytest.mark.parametrize(
    ("it", "origin"),
    [
        (Weighbridge(), "10.0.0.5:9000"),
        (source("mavlink", port="tcp://10.0.0.9:4001"), ""),
        (source("camera", url="rtsp://10.0.0.7:554/main", purpose="the gate"), "rtsp://10.0.0.7:554"),
        (
            source("camera", url="https://10.0.0.7/main", purpose="the gate", ca="/ca.pem", basic=True),
            "https://10.0.0.7 under /ca.pem in clear text",
        ),
        (source("camera", url="gate.mp4", purpose="the gate"), ""),
    ],
)
def test_where_the_secrets_of_a_source_go(it: SourcePart, origin: str) -> None:
    """By itself: to the server that it connects to."""
    assert it.secret_origin() == origin


# What is looked up by its name, on objects that are not ours: their libraries leave it out where it is absent.
FOREIGN = {
    "agent": {
        "ResponseTopic", "ReceiveMaximum", "MaximumPacketSize", "ServerReference", "SessionExpiryInterval",  # paho's properties of a packet
        "pending",  # a TLS socket's
        "strerror", "sqlite_errorcode",  # of errors
        "CLOCK_BOOTTIME",  # of Linux
    },
    "firmware_bridge": {
        "time_boot_ms",  # pymavlink's messages
        "lat", "alt", "partno", "status", "heading", "turn", "to_bow",  # pyais' messages
        "shipname", "callsign", "ship_type", "mothership_mmsi",
        "errno",
    },
    "models": set(),
}  # fmt: skip


def looked_up(package: str) -> Iterator[str]:
    """Names that code of a package looks up with getattr or hasattr."""
    for path in (Path(__file__).parents[1] / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=name), *_]
                ):
                    yield str(name)


@pytest.mark.parametrize("package", FOREIGN)
def test_our_own_parts_are_asked_by_their_types(package: str) -> None:
    """What a source, a rule or a model format may offer is a member of its base, which mypy checks."""
    assert set(looked_up(package)) == FOREIGN[package]
