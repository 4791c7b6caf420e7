"""A rule and a source with keys of their own: one file, one test, one name in a list each.

They are carried out in a copy of the project. Nothing else there is changed, so that whatever the agent asks of a
kind, it must ask through the kind's contract.
"""

import shutil
from pathlib import Path

import pytest

from tests.test_recipes import ROOT, enlist, run

pytestmark = pytest.mark.slow

RULE = '''
"""Somebody lingers where a weighbridge says that nothing waits."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Literal

from agent.domain.contracts import RulePart
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.durations import Duration
from agent.domain.observations import Observation, Sighting
from agent.domain.references import CameraReference, Channel, Keyed, SourceReference
from agent.rules.hold_timer import hold_timer


class Lingering(RulePart):
    kind: Literal["lingering"] = "lingering"
    eye: str
    areas: tuple[str, ...]
    beings: tuple[str, ...] = ("person",)
    sure: float = 0.5
    scale: str
    load: str = "load"
    linger: Duration = timedelta(seconds=30)
    sways: bool = False

    @property
    def rediscovery_time(self) -> timedelta:
        return self.linger

    def source_references(self) -> tuple[SourceReference, ...]:
        return (SourceReference("scale", self.scale, ("reading",), Channel("load", "reading", self.load)),)

    def camera_reference(self) -> CameraReference:
        return CameraReference(
            key="eye",
            camera=self.eye,
            zones=tuple(Keyed("areas", area) for area in self.areas),
            labels=tuple(Keyed("beings", being) for being in self.beings),
            min_score=("sure", self.sure),
            inferences_per_s=2.0,
            moving_key=None if self.sways else "sways",
        )

    def notes(self) -> Iterator[str]:
        if self.linger < timedelta(seconds=5):
            yield "who only passes lingers too"

    def start(self) -> Evaluator:
        held = hold_timer(self.linger)

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            if observation.source != self.eye or not isinstance(observation.value, Sighting):
                return
            there = [one for one in observation.value.objects if set(one.zones) & set(self.areas)]
            since = held(bool(there), observation)
            if since is not None:
                yield Finding(key=self.eye, text="somebody lingers", since=since[0], since_s=since[1])
            elif not there:
                yield Cleared(self.eye)

        return evaluate
'''

SOURCE = '''
"""A weighbridge with a siren of its own, on the network."""

from typing import ClassVar, Literal

from firmware_bridge.readings import Reading
from firmware_bridge.secret import Secret
from firmware_bridge.source import EmitAny, Server, SourcePart, WantedOutputs


class Weighbridge(SourcePart):
    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"reading"})

    kind: Literal["weighbridge"] = "weighbridge"
    scale: str = "10.0.0.5:9000"
    pin: Secret | None = None
    horns: tuple[str, ...] = ()

    def value_names(self, kind: str) -> tuple[str, ...]:
        return ("load", "axle_[1-5]")

    def output_names(self) -> tuple[str, ...]:
        return self.horns

    def server(self) -> Server:
        host, _, port = self.scale.rpartition(":")
        return Server("scale", host, int(port))

    async def run(self, emit: EmitAny, wanted: WantedOutputs = dict) -> None:
        for horn, seconds in wanted().items():
            emit(Reading(quantity=horn, value=seconds, unit="s"))
'''

DEVICE = """\
schema_version: 1
device: post-1
kind: watch_point
place: {ring: inner_city, domain: ground, site: yard, post: one, timezone: Asia/Shanghai}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  cam1:
    kind: camera
    url: rtsp://10.0.0.7/main
    purpose: the yard
    detector: {score: 0.4, labels: [person, truck]}
    zones: {yard: [[0, 0], [1, 0], [1, 1]], ramp: [[0, 0], [1, 0], [1, 1]]}
  bridge: {kind: weighbridge, horns: [hooter]}
rules:
  idler:
    kind: lingering
    eye: cam1
    areas: [yard, ramp]
    beings: [person]
    scale: bridge
    load: axle_2
    need_ack: true
    escalate: {output: {source: bridge, name: hooter}}
"""

TEST = """
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.config.loader import read
from agent.config.notes import config_notes
from agent.config.push_policy import policy_violations
from agent.config.secret_policy import secret_violations
from agent.domain.observations import Observation, SeenObject, Sighting

START = datetime(2026, 11, 28, 6, tzinfo=UTC)
TEXT = Path("device.yaml").read_text()


def config(old="", new=""):
    assert old in TEXT
    Path("changed.yaml").write_text(TEXT.replace(old, new, 1))
    return read(Path("changed.yaml"))


def test_it_fires_and_ends():
    rules = config().rules
    engine = RuleEngine(lambda: "a1")
    engine.apply(rules, START, 0.0)
    told = []
    for second in range(60):
        person = SeenObject(track=1, label="person", score=0.9, box=(0.4, 0.4, 0.5, 0.9), zones=("ramp",), sure=True)
        value = Sighting(frame=second, objects=(person,) if second < 50 else ())
        at = START + timedelta(seconds=second)
        for alert in engine.on_observation(Observation("cam1", at, float(second), value), at, float(second)):
            told.append((second, alert.phase))
    assert told[0] == (30, "new")
    assert policy_of("idler", rules["idler"]).rediscovery_time == timedelta(seconds=30)
    assert policy_of("idler", config("load: axle_2", "linger: 2m").rules["idler"]).rediscovery_time == timedelta(minutes=2)


def test_the_camera_is_looked_at_as_often_as_it_needs():
    assert [(need.zone, need.per_s) for need in config().required_rates()["cam1"]] == [("yard", 2.0), ("ramp", 2.0)]
    urgent = config("need_ack: true", "need_ack: true\\n    severity: critical").longest_gaps_s()
    assert urgent == {"rtsp://10.0.0.7/main": 0.5}


def test_notes_name_its_own_keys():
    assert not [note for note in config_notes(config()) if note.startswith("idler")]
    notes = list(config_notes(config("load: axle_2", "sure: 0.3\\n    linger: 1s")))
    assert "idler: sure 0.3 has no effect: its camera reports nothing below 0.4" in notes
    assert "idler: who only passes lingers too" in notes
    moving = list(config_notes(config("purpose: the yard", "purpose: the yard\\n    motion: {camera_moves: true}")))
    assert "idler: it is suspended while its camera moves, unless sways is true" in moving


def test_its_outputs_can_be_switched():
    assert config().outputs() == {"bridge": ["hooter"]}
    said = []
    asyncio.run(config().sources["bridge"].run(said.append, lambda: {"hooter": 9.0}))
    assert [(one.quantity, one.value) for one in said] == [("hooter", 9.0)]


def test_a_push_sends_it_to_no_service_of_this_machine_and_its_secret_nowhere_else():
    now = config("horns:", "pin: {file: /etc/pin}, horns:")
    there = config("horns: [hooter]", "pin: {file: /etc/pin}, horns: [hooter], scale: '127.0.0.1:9000'")
    assert [path for path, _ in policy_violations(there, now, now)] == ["sources.bridge.scale"]
    assert [path for path, _ in secret_violations(there, now, Path("."))] == ["sources.bridge.pin"]
    assert not [*policy_violations(now, now, now), *secret_violations(now, now, Path("."))]
"""

# What is changed in the configuration, to what, and what `ringpost check` says of it.
MISTAKES = {
    "no such camera": ("eye: cam1", "eye: cam2", "rules.idler.eye: no camera 'cam2'"),
    "no such zone": (
        "[yard, ramp]",
        "[yard, ram]",
        "rules.idler.areas: no zone 'ram' on cam1; did you mean 'ramp'",
    ),
    "not watched for": (
        "beings: [person]",
        "beings: [boat]",
        "rules.idler.beings: cam1 does not detect 'boat'",
    ),
    "not known to the model": (
        "labels: [person, truck]}",
        "labels: [person, unicorn]}",
        "the model nanodet-g has no label 'unicorn'",
    ),
    "no such source": ("scale: bridge", "scale: brigde", "rules.idler.scale: no source 'brigde'"),
    "another kind of source": (
        "scale: bridge",
        "scale: cam1",
        "cam1 is a camera source and gives no reading",
    ),
    "no such quantity": (
        "axle_2",
        "axle_7",
        "rules.idler.load: a weighbridge source gives no quantity 'axle_7'",
    ),
    "no such output": ("name: hooter", "name: siren", "bridge lists no output 'siren'"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the two new kinds, each one file and one name in a list."""
    folder = tmp_path_factory.mktemp("own_words")
    for package in ("agent", "firmware_bridge", "models"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "agent/rules/lingering.py").write_text(RULE)
    enlist(folder / "agent/rules/__init__.py", "agent.rules.lingering", "Rule", "Lingering")
    (folder / "firmware_bridge/weighbridge.py").write_text(SOURCE)
    enlist(folder / "firmware_bridge/catalogue.py", "firmware_bridge.weighbridge", "Line", "Weighbridge")
    (folder / "device.yaml").write_text(DEVICE)
    return folder


def test_both_pass_check(project: Path) -> None:
    done = run(project, "agent", "check", "device.yaml")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 sources, 1 rules" in done.stdout


def test_they_work_through_their_contracts_alone(project: Path) -> None:
    (project / "test_both.py").write_text(TEST)
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "test_both.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.fixture(scope="module")
def check(project: Path) -> str:
    """What `ringpost check` says of all mistakes, each in a file of its own."""
    for number, (old, new, _) in enumerate(MISTAKES.values()):
        assert old in DEVICE
        (project / f"{number}.yaml").write_text(DEVICE.replace(old, new, 1))
    done = run(project, "agent", "check", *[f"{number}.yaml" for number in range(len(MISTAKES))])
    assert done.returncode == 78, done.stderr + done.stdout
    return done.stderr


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_under_its_own_key(mistake: str, check: str) -> None:
    said = [line for line in check.splitlines() if line.startswith(f"{list(MISTAKES).index(mistake)}.yaml:")]
    assert len(said) == 1
    assert MISTAKES[mistake][2] in said[0]
