"""What a technician can write, and nothing else: YAML 1.2 with errors as ``FILE:LINE: path: message``."""

import hashlib
import math
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails

from agent.domain.contracts import RulePart, Site
from agent.domain.durations import Duration
from agent.domain.inference_rate import RequiredRate
from agent.domain.references import Channel
from agent.domain.schedule import Hours, Schedule, ZoneName
from agent.domain.yaml_loader import (
    MAX_BYTES,
    BadConfig,
    Problem,
    alternatives,
    line_of,
    load_yaml,
    read_text,
)
from agent.evidence.settings import Evidence
from agent.mqtt.connection import Broker
from agent.positioning.device_position import ANY_SPEED_MPS, PositionSettings
from agent.positioning.fix_quality import Positioning
from agent.positioning.locator import LocatorSettings
from agent.privacy.rescue_grant import Privacy
from agent.rules import Rule
from agent.runtime.atomic_files import words
from agent.vision.camera import Camera
from firmware_bridge.catalogue import Line
from firmware_bridge.secret import CREDENTIAL, BoundPath, NearPath
from firmware_bridge.source import SourcePart
from models.card import Card
from models.tiles import looks

SMALL_BOARD = 5
"""Looks a second of the default model on the smallest board that it is meant for."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
DeviceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,31}$": "small letters, digits, - and _, 32 at most, such as cam1",
    r"^[a-z0-9-]{1,32}$": "small letters, digits and -, 32 at most, such as bridge-07",
    CREDENTIAL: "the name that the unit's LoadCredential= gives, such as mqtt-key",
}
Source = Annotated[Line | Camera, Field(discriminator="kind")]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
RESERVED = re.compile(r"host|technician|centre|ringpost-.*|.*-elsewhere")
"""Names under which others connect or publish, and the second client id of a device."""


class Section(BaseModel):
    """A part of the file; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


TOP_SPEED_MPS = {"patrol_boat": 30.0}
"""How fast a device of this kind can be, or be carried off; any other: `ANY_SPEED_MPS`."""


class Place(Section):
    """Where the post stands. ``lat`` and ``lon`` (WGS-84) are surveyed, for fixed posts."""

    ring: Literal["perimeter", "ring_road", "inner_city"]
    domain: Literal["ground", "underground", "air", "water", "between"]
    site: str
    post: str
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    timezone: ZoneName = "UTC"
    """In which schedules are read, such as Asia/Shanghai."""


class Duty(Section):
    """Who is on duty, as roles: never the names of people."""

    unit: str
    responsible: str
    schedule: Hours | None = None
    route: NearPath | None = None


class Data(Section):
    """Where the agent keeps what it still owes, and how much it may take."""

    directory: BoundPath = Path("/var/lib/ringpost")
    max_mb: int = Field(default=512, ge=32, le=1_000_000)
    video_folder: BoundPath | None = None
    """Below it a push may name files as cameras; without it only those that the local file names itself."""


class Reporting(Section):
    """How often the agent reports when nothing changes."""

    telemetry_every: Duration = Field(default="10s", validate_default=True, ge=SECOND, le=DAY)
    readings_every: Duration = Field(default="5s", validate_default=True, le=DAY)
    """Of each quantity one reading in this time is told, however many come; rules hear all. 0s for all."""
    position_every: Duration = Field(default="5s", validate_default=True, ge=0.2 * SECOND, le=DAY)
    health_every: Duration = Field(default="60s", validate_default=True, ge=SECOND, le=DAY)
    alert_budget: Duration = Field(default="2s", validate_default=True, ge=0.1 * SECOND, le=60 * SECOND)
    """Alerts that take longer than this (p95, without the rule's own waiting) are said in health."""


class Config(Section):
    """One device: what it is, what it hears and sees, and what it raises an alert for."""

    schema_version: Literal[1]
    device: DeviceName
    kind: Literal["checkpoint_camera", "patrol_boat", "drone_ground_station", "metro_post", "watch_point"]
    place: Place
    duty: Duty | None = None
    holidays: tuple[date, ...] = Field(default=(), max_length=1000)
    """The days that PH means in schedules."""
    broker: Broker
    data: Data = Data()
    reporting: Reporting = Reporting()
    evidence: Evidence = Evidence()
    privacy: Privacy = Privacy()
    positioning: Positioning = Positioning()
    sources: dict[Name, Source] = Field(default_factory=dict, max_length=64)
    rules: dict[Name, Rule] = Field(default_factory=dict, max_length=256)

    @field_validator("device")
    @classmethod
    def _nobody_else(cls, device: str) -> str:
        if RESERVED.fullmatch(device):
            raise ValueError(f"{device!r} is the name of somebody else; write one such as bridge-07")
        return device

    def outputs(self) -> dict[str, list[str]]:
        """What may be switched: outputs by source."""
        found = {name: list(source.output_names()) for name, source in self.sources.items()}
        return {name: outputs for name, outputs in found.items() if outputs}

    def disagreements(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """What no part can see alone: rules that name a source, zone or label which is not there."""
        readers: dict[str, str] = {}
        for name, source in self.sources.items():
            port = source.serial_port()
            if port is not None and (first := readers.setdefault(port.address, name)) != name:
                also = f"what else is spoken there stands in its also: [{source.kind}]"
                yield ("sources", name, port.key), f"{first} reads {port.address}; {also}"
        for name, rule in self.rules.items():
            for key, message in (*self._source_of(rule), *self._camera_of(rule)):
                yield ("rules", name, key), message
            for key, message in self._alarm_of(rule):
                yield ("rules", name, "escalate", "output", key), message
            if rule.escalate and rule.escalate.fallbacks and not self.broker.fallbacks:
                yield (
                    ("rules", name, "escalate", "fallbacks"),
                    "needs broker.fallbacks: further brokers' addresses",
                )
        for name, camera in self._cameras().items():
            follows = camera.mount.follows if camera.mount else None
            if follows is not None and follows not in self.sources:
                message = f"no source {follows!r}; {alternatives(follows, self.sources)}"
                yield ("sources", name, "mount", "follows"), message
        if (self.place.lat is None) != (self.place.lon is None):
            yield ("place",), "lat and lon go together"
        fit = [name for name, source in self.sources.items() if _may_say(source, ("fix",))]
        for name in self.positioning.receivers:
            if name not in fit:
                yield ("positioning", "receivers"), f"no receiver {name!r}; {alternatives(name, fit)}"

    def _cameras(self) -> dict[str, Camera]:
        return {name: source for name, source in self.sources.items() if isinstance(source, Camera)}

    def _source_of(self, rule: RulePart) -> Iterator[tuple[str, str]]:
        """Whether each source that the rule refers to is there, and one that tells what the rule hears."""
        for ref in rule.source_references():
            source = self.sources.get(ref.source)
            if source is None:
                yield ref.key, f"no source {ref.source!r}; {alternatives(ref.source, self.sources)}"
            elif not _may_say(source, ref.kinds):
                fit = [name for name, one in self.sources.items() if _may_say(one, ref.kinds)]
                told = f"{ref.source} is a {source.kind} and tells no {' or '.join(ref.kinds)}"
                yield ref.key, f"{told}; {alternatives(ref.source, fit)}"
            elif ref.channel is not None and (never := _never_said(source, ref.channel)) is not None:
                yield ref.channel.key, never

    def _camera_of(self, rule: RulePart) -> Iterator[tuple[str, str]]:
        """Whether the rule's camera is there, with its zones, and watches for what the rule does."""
        ref = rule.camera_reference()
        if ref is None:
            return
        cameras = self._cameras()
        if ref.camera not in cameras:
            yield ref.key, f"no camera {ref.camera!r}; {alternatives(ref.camera, cameras)}"
            return
        zones, detector = cameras[ref.camera].zones, cameras[ref.camera].detector
        if ref.needs_coverage and not cameras[ref.camera].coverage.watch:
            yield (
                ref.key,
                f"{ref.camera} does not watch what it can see; set coverage: {{watch: true}} there",
            )
        for key, zone in ref.zones:
            if zone not in zones:
                yield key, f"no zone {zone!r} on {ref.camera}; {alternatives(zone, zones)}"
        for key, label in ref.labels:
            if detector.labels is not None and label not in detector.labels:
                known = alternatives(label, detector.labels)
                yield key, f"{ref.camera} does not watch for {label!r}; {known}"

    def unseen(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """What no detector here can do: models that have no card, and labels that their cards don't have."""
        cards: dict[str, Card] = {}
        for name, camera in self._cameras().items():
            path = ("sources", name, "detector")
            try:
                card = cards[name] = camera.detector.card()
            except (OSError, ValueError) as error:
                yield (*path, "model"), words(error)
                continue
            for label in camera.detector.labels or ():
                if label not in card.labels:
                    yield (*path, "labels"), _unknown(label, card)
        for name, rule in self.rules.items():
            ref = rule.camera_reference()
            seeing = cards.get(ref.camera) if ref else None
            for key, label in ref.labels if ref and seeing else ():
                if seeing and label not in seeing.labels:
                    yield ("rules", name, key), _unknown(label, seeing)

    def _alarm_of(self, rule: RulePart) -> Iterator[tuple[str, str]]:
        """Whether the siren that an unanswered alert sounds is one that may be switched."""
        alarm = rule.escalate.output if rule.escalate else None
        if alarm is None:
            return
        known = self.outputs()
        if alarm.source not in self.sources:
            yield "source", f"no source {alarm.source!r}; {alternatives(alarm.source, known or self.sources)}"
        elif alarm.source not in known:
            yield "source", f"{alarm.source} lists nothing to switch; write there, say, outputs: [siren]"
        elif alarm.name not in known[alarm.source]:
            names = alternatives(alarm.name, known[alarm.source])
            yield "name", f"{alarm.source} lists no {alarm.name!r} among its outputs; {names}"

    def surroundings(self) -> Site:
        """What rules may take from here."""
        place, duty = self.place, self.duty
        return Site(
            timezone=place.timezone,
            holidays=frozenset(self.holidays),
            post=place.post,
            lat=place.lat,
            lon=place.lon,
            duty=duty.schedule if duty else None,
            route=duty.route if duty else None,
            looks={camera: tuple(needs) for camera, needs in self.looks().items()},
        )

    def locator_settings(self) -> LocatorSettings:
        """How positions of the device and of alerts are found."""
        place, cameras = self.place, self._cameras()
        set_top = self.positioning.top_speed_mps
        return LocatorSettings(
            position=PositionSettings(
                positioning=self.positioning,
                surveyed=None if place.lat is None or place.lon is None else (place.lat, place.lon),
                top_speed_mps=TOP_SPEED_MPS.get(self.kind, ANY_SPEED_MPS) if set_top is None else set_top,
                sources=tuple(self.sources),
            ),
            grounds={name: camera.ground for name, camera in cameras.items() if camera.ground},
            mounts={name: camera.mount for name, camera in cameras.items() if camera.mount},
        )

    def looks(self) -> dict[str, list[RequiredRate]]:
        """By camera: how many looks a second each rule on it needs."""
        needs: dict[str, list[RequiredRate]] = {}
        for name, rule in self.rules.items():
            ref = rule.camera_reference()
            if ref is not None and ref.looks_per_s is not None:
                zones: list[str | None] = [zone for _, zone in ref.zones]
                needs.setdefault(ref.camera, []).extend(
                    RequiredRate(f"{rule.kind} {name}", zone, ref.looks_per_s) for zone in zones or [None]
                )
        return needs

    def urgent(self) -> dict[str, float]:
        """By the url of its camera: the longest time between two looks that its critical rules bear."""
        gaps: dict[str, float] = {}
        for rule in self.rules.values():
            ref = rule.camera_reference()
            camera = self.sources.get(ref.camera) if ref else None
            if ref and ref.looks_per_s and rule.severity == "critical" and isinstance(camera, Camera):
                gaps[camera.url] = min(1 / ref.looks_per_s, gaps.get(camera.url, math.inf))
        return gaps

    def _too_few_looks(self) -> Iterator[str]:
        """Cameras, or all together, that can't be looked at as often as the rules need."""
        cameras, all_looks = self._cameras(), 0.0
        for name, needs in self.looks().items():
            if name not in cameras:
                continue
            most = max(needs, key=lambda need: need.per_s)
            if cameras[name].fps < most.per_s:
                yield (
                    f"sources.{name}.fps: {cameras[name].fps:g} looks a second are too few:"
                    f" {most.rule} needs {most.per_s:g}, and is told as blind"
                )
            all_looks += min(most.per_s, cameras[name].fps) * looks(cameras[name].detector.tiles)
        if all_looks > SMALL_BOARD:
            yield (
                f"the rules need {all_looks:g} looks a second in all; a Raspberry Pi 4 has about"
                f" {SMALL_BOARD}: fewer cameras or tiles, or a faster machine"
            )

    def notes(self) -> Iterator[str]:
        """What is right as far as anybody can tell, but should be said aloud."""
        for name, rule in self.rules.items():
            ref = rule.camera_reference()
            camera = self.sources.get(ref.camera) if ref else None
            if ref and isinstance(camera, Camera):
                if camera.motion.camera_moves and ref.moving_key is not None:
                    yield f"{name}: it judges nothing while its camera moves, unless {ref.moving_key} is true"
                told = camera.detector.score
                if ref.min_score is not None and ref.min_score[1] < told:
                    key, asked = ref.min_score
                    yield f"{name}: {key} {asked:g} is no use: its camera tells nothing below {told:g}"
            yield from (f"{name}: {note}" for note in rule.notes())
        yield from self._too_few_looks()
        for name, source in self._cameras().items():
            cost = source.detector.remark()
            if cost:
                yield f"sources.{name}.detector: {cost}"
            if source.shows_nobody():
                yield f"sources.{name}: its model knows no people to cover: no picture of it leaves"
            remark = source.ground.remark() if source.ground else None
            if remark:
                yield f"sources.{name}.{remark}"
        if "timezone" not in self.place.model_fields_set:
            read = ", ".join(name for name, rule in self.rules.items() if _needs_zone(rule))
            if read:
                yield f"the hours of {read} are read in UTC; set place.timezone, such as Asia/Shanghai"


def _unknown(label: str, card: Card) -> str:
    return f"the model {card.name} knows no {label!r}; {alternatives(label, card.labels)}"


def _may_say(source: SourcePart, kinds: tuple[str, ...]) -> bool:
    """Whether a source can say values of one of ``kinds``, as far as it knows; without kinds, any can."""
    says = source.says()
    return not kinds or says is None or any(kind in says for kind in kinds)


def _never_said(source: SourcePart, channel: Channel) -> str | None:
    """The error where a rule names a quantity or switch that its source can't tell."""
    known = source.tells(channel.kind)
    if known is None or any(re.fullmatch(pattern, channel.name) for pattern in known):
        return None
    plain = [pattern for pattern in known if re.fullmatch(r"[\w.-]+", pattern)]
    what = "quantity" if channel.kind == "reading" else "switch"
    return f"a {source.kind} tells no {what} {channel.name!r}; {alternatives(channel.name, plain)}"


def _needs_zone(rule: RulePart) -> bool:
    """Whether some hours of the rule are others in another time zone."""
    return any(isinstance(value, Schedule) and value.needs_zone() for value in dict(rule).values())


def digest(text: str) -> str:
    """The sha256 by which a configuration is named, over the text as written."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> Config:
    """The configuration in a file. BadConfig where it can't be read, or can't be."""
    try:
        text = read_text(path)
    except OSError as error:
        raise BadConfig([Problem(0, "", error.strerror or str(error))], str(path)) from error
    return parse(text, name=str(path), base=path.resolve().parent)


def parse(
    text: str, *, name: str, base: Path, ran_before: bool = False, only: frozenset[Path] | None = None
) -> Config:
    """The configuration in ``text``; relative paths start at ``base``. BadConfig says all that is wrong.

    One that ``ran_before`` is not refused for what is not in it: a model's card, which may be gone by now.
    With ``only``, as for a push, it names files below ``base`` or in ``only``; others are not even opened.
    """
    if len(text) > MAX_BYTES:
        raise BadConfig([Problem(1, "", f"larger than {MAX_BYTES // 1024} KiB")], name)
    tree = load_yaml(text, name)
    try:
        config = Config.model_validate(tree, context={"base": base, "only": only})
    except ValidationError as error:
        problems = [_problem(detail, tree) for detail in error.errors(include_url=False)]
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name) from error
    wrong = [*config.disagreements(), *([] if ran_before else config.unseen())]
    problems = [Problem(line_of(tree, path), ".".join(path), message) for path, message in wrong]
    rules = {}
    for rule_name, rule in config.rules.items():
        try:
            rules[rule_name] = rule.settled(config.surroundings())
        except ValueError as error:
            path = ("rules", rule_name)
            problems.append(Problem(line_of(tree, path), ".".join(path), str(error)))
    if problems:
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name)
    return config.model_copy(update={"rules": rules})


def _problem(detail: ErrorDetails, tree: Any) -> Problem:
    """A pydantic error in words for a technician, on its line."""
    path: list[str | int] = []
    node = tree
    for step in detail["loc"]:  # the tags of discriminated unions stand in loc, but not in the file
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            if step != detail["loc"][-1] or detail["type"] != "missing":
                continue
        path.append(step)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        message = "is required"
    elif kind == "extra_forbidden":
        known = _keys(Config.model_json_schema(), detail["loc"][:-1])
        message = f"unknown key; {alternatives(str(path[-1]), known)}"
    elif kind == "union_tag_invalid":
        known = re.findall(r"'([^']*)'", str(context["expected_tags"]))
        path.append("kind")
        message = f"unknown kind {context['tag']!r}; {alternatives(str(context['tag']), known)}"
    elif kind == "union_tag_not_found":
        message = "kind is required"
    elif kind == "string_pattern_mismatch":
        message = (
            f"{detail['input']!r} does not fit; write {PATTERNS.get(context['pattern'], context['pattern'])}"
        )
    else:
        message = detail["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
    return Problem(line_of(tree, path), ".".join(str(step) for step in path), message)


def _keys(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at ``loc``, found by walking the JSON Schema."""

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return node

    node = resolve(schema)
    for step in loc:
        mapping = node.get("discriminator", {}).get("mapping", {})
        options = [resolve(option) for option in node.get("anyOf", [])]
        if step in mapping:
            node = resolve({"$ref": mapping[step]})
        elif step in node.get("properties", {}):
            node = resolve(node["properties"][step])
        elif isinstance(node.get("additionalProperties"), dict):
            node = resolve(node["additionalProperties"])
        elif "patternProperties" in node:
            node = resolve(next(iter(node["patternProperties"].values())))
        elif "items" in node:
            node = resolve(node["items"])
        elif options:
            node = next((o for o in options if step in o.get("properties", {})), options[0])
    if "properties" not in node:
        node = next((o for o in map(resolve, node.get("anyOf", [])) if "properties" in o), node)
    return list(node.get("properties", {}))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration, for editors."""
    schema = Config.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ringpost configuration",
        **schema,
    }
