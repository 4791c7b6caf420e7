"""A scenario: a timeline with faults, and the expected and forbidden messages at the broker."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.domain.durations import Duration
from simulators.line_faults import LINE_FAULTS
from simulators.receiver import FAULTS

SCENARIOS = Path(__file__).parent / "scenarios"
LINES = {
    "gnss": "receiver",
    "board": "sensor board",
    "radio": "drone's radio",
    "ais": "AIS receiver",
    "camera": "camera",
}
"""The hardware on each wire, for people."""


class FrozenModel(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SceneTimes(FrozenModel):
    comes: Duration
    leaves: Duration


class Step(FrozenModel):
    """An event at a time, undone after ``for``."""

    at: Duration
    unplug: Literal["gnss", "board", "radio", "ais", "camera"] | None = None
    garble: Literal["gnss", "board", "radio", "ais"] | None = None
    by: str = "noise"
    """One of `simulators.line_faults.LINE_FAULTS`, or ``mute``: open without data, as after a reset of the
    bus."""
    press: str | None = None
    out_of_reach: Literal["drone"] | None = None
    receiver: str | None = None
    """One of `simulators.receiver.FAULTS`, of the receiver on the wire ``gnss``."""
    lasts: Duration = Field(alias="for")

    @model_validator(mode="after")
    def _one(self) -> Self:
        things = (self.unplug, self.garble, self.press, self.out_of_reach, self.receiver)
        if sum(thing is not None for thing in things) != 1:
            raise ValueError("a step does one thing: unplug, garble, press, out_of_reach or receiver")
        if self.by not in (*LINE_FAULTS, "mute"):
            raise ValueError(f"unknown line fault {self.by!r}; known: {', '.join(LINE_FAULTS)}, mute")
        if self.receiver is not None and self.receiver not in FAULTS:
            raise ValueError(f"unknown receiver fault {self.receiver!r}; known: {', '.join(FAULTS)}")
        return self

    def describe(self) -> str:
        """What happens, for people: ``the receiver's cable is pulled, for 14 s``."""
        if self.unplug is not None:
            event = f"the cable of the {LINES[self.unplug]} is pulled"
        elif self.garble is not None:
            event = f"the line of the {LINES[self.garble]} has the fault {self.by}"
        elif self.press is not None:
            event = f"an officer presses the {self.press.replace('_', ' ')}"
        elif self.receiver is not None:
            event = f"the receiver has the fault {self.receiver.replace('_', ' ')}"
        else:
            event = f"the {self.out_of_reach} is out of reach"
        return f"{event}, for {self.lasts.total_seconds():g} s"


class Expectation(FrozenModel):
    """An alert's phases in order, or at least one message of a topic ``having`` these fields."""

    rule: str | None = None
    topic: str = "alert"
    having: dict[str, Any] = Field(default_factory=dict)
    phases: tuple[str, ...] = ("new",)
    within: Duration | None = None


class Never(FrozenModel):
    rule: str


class Start(FrozenModel):
    """A boat's first position; a post is at its configured place."""

    lat: float
    lon: float
    speed_mps: float = 0.0


class Scenario(FrozenModel):
    """One file of ``simulators/scenarios``."""

    name: str
    seed: int = 0
    duration: Duration
    scene: SceneTimes
    start: Start | None = None
    timeline: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...]
    never: tuple[Never, ...] = ()
    config: dict[str, Any]

    def start_position(self) -> Start:
        """The device's first position. ValueError where neither the scenario nor its place gives one."""
        place = self.config["place"]
        if self.start is None and "lat" not in place:
            raise ValueError(f"{self.name}: its place has no lat and lon; add a start")
        return self.start or Start(lat=place["lat"], lon=place["lon"])

    def source_kind(self, source: str) -> str | None:
        """The kind of a source in the configuration."""
        kind: str | None = self.config.get("sources", {}).get(source, {}).get("kind")
        return kind


@dataclass(frozen=True, slots=True)
class DeliveryProof:
    """Alert messages of a run: ``raised`` by the agent, ``committed`` by the centre, ``owed``: still in the
    agent's outbox, ``lost``: in neither."""

    raised: int
    committed: int
    owed: int

    @property
    def lost(self) -> int:
        return self.raised - self.committed - self.owed

    def __str__(self) -> str:
        return f"raised {self.raised}, committed {self.committed}, owed {self.owed}, lost {self.lost}"


@dataclass
class ReceivedMessages:
    """The messages from the broker, with their times."""

    messages: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    proof: DeliveryProof | None = None
    """Counted at the end, on both disks."""

    def phases(self, rule: str) -> list[tuple[float, str]]:
        """(second, phase) of a rule's alerts, in order of arrival."""
        return [
            (second, body["alert"]["phase"])
            for second, topic, body in self.messages
            if topic == "alert" and body["alert"]["rule"] == rule
        ]


def find_scenario(name: str) -> Scenario:
    """A scenario by its name, or by the path of a file. OSError or ValueError in one line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path(name) if name.endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in SCENARIOS.glob("*.yaml")))
        raise FileNotFoundError(f"unknown scenario {name!r}; known: {known}, or the path of a file")
    try:
        return Scenario.model_validate(YAML(typ="safe").load(path.read_text()))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = "".join(f"{step}: " for step in detail["loc"])
        raise ValueError(f"{path}: {where}{detail['msg']}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no YAML: {str(error).splitlines()[0]}") from error


def unmet_expectations(scenario: Scenario, received: ReceivedMessages) -> list[str]:
    """The unmet expectations and the forbidden alerts; empty when the scenario passed."""
    wrong = []
    for wanted in scenario.expect:
        limit_s = (wanted.within or scenario.duration).total_seconds() + 5
        if wanted.rule is None:
            if not any(
                topic == wanted.topic and wanted.having.items() <= body.items() and second <= limit_s
                for second, topic, body in received.messages
            ):
                wrong.append(
                    f"no message on {wanted.topic} within {limit_s:g} s {wanted.having or ''}".strip()
                )
            continue
        rest = iter(phase for second, phase in received.phases(wanted.rule) if second <= limit_s)
        lacking = [phase for phase in wanted.phases if phase not in rest]
        if lacking:
            wrong.append(f"{wanted.rule}: {', '.join(lacking)} did not come within {limit_s:g} s")
    wrong += [
        f"{never.rule}: raised, but must never be" for never in scenario.never if received.phases(never.rule)
    ]
    return wrong
