"""Checks that no single entry of a scenario can make: of devices, sources, rules and times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from agent.config.loader import validated
from agent.config.merge_patch import merged
from agent.config.model import Config
from agent.config.simulated_sources import simulated_sources_allowed
from agent.domain.durations import format_duration
from agent.domain.yaml_loader import BadConfig, alternatives
from agent.runtime.error_text import describe_error
from firmware_bridge.sensors.sensor_board import INPUTS
from simulators.checker.check import INVARIANTS
from simulators.faults.fault import Fault
from simulators.faults.overlaps import overlaps
from simulators.scenario.device_config import completed_config
from simulators.scenario.expected import Expectation, Matching
from simulators.scenario.invariants import NOTHING_LOST
from simulators.scenario.model import DeviceSettings, Scenario
from simulators.scenario.step import Step

Place: TypeAlias = tuple[str | int, ...]
"""A path in the file."""
Error: TypeAlias = tuple[Place, str]
"""Where, and what is wrong there."""

TOPICS = (
    "alert", "alerts/active", "audit", "birth", "command/result", "config/reported", "gap", "health",
    "position", "status",
)  # fmt: skip


@dataclass
class CheckedDevice:
    """A device with its valid configuration. ``rules`` also holds those that a push brings."""

    settings: DeviceSettings
    config: Config
    rules: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rules |= set(self.config.rules)


def resolved(scenario: Scenario, devices: Mapping[str, CheckedDevice]) -> tuple[Scenario, list[Error]]:
    """The scenario whose faults name their source: where only one fits, the file need not."""
    errors: list[Error] = []
    steps = list(scenario.timeline)
    for number, step in enumerate(scenario.timeline):
        one = devices.get(step.device or "")
        if one is not None and step.fault and step.fault.subject == "source" and step.source is None:
            fit = fitting_sources(one, step.fault)
            if len(fit) == 1:
                steps[number] = step.model_copy(update={"source": fit[0]}).numbered(number)
            else:
                errors.append((("timeline", number), f"{step.kind} needs a source; {alternatives('', fit)}"))
    return scenario.model_copy(update={"timeline": tuple(steps)}), errors


def fitting_sources(device: CheckedDevice, fault: Fault) -> list[str]:
    """The sources with simulated hardware that a fault can hit."""
    settings = device.settings
    names = [name for name in settings.sources() if settings.hardware_of(name) is not None]
    return [name for name in names if fault.misplaced({"sources": settings.sources()}, name) is None]


def reference_errors(scenario: Scenario, devices: Mapping[str, CheckedDevice]) -> Iterator[Error]:
    """Each name that does not exist, and each time that can't be."""
    if scenario.clock == "real" and scenario.centre.workers > 1:
        yield ("centre", "workers"), "in real time the centre is one process: leave it out, or clock: virtual"
    for name, one in devices.items():
        yield from _device_errors(("devices", name), one, scenario)
    try:
        scenario.make_world()
    except (OSError, ValueError) as error:
        yield ("world",), describe_error(error)
    for number, step in enumerate(scenario.timeline):
        yield from _step_errors(("timeline", number), step, scenario, devices)
        if step.name is not None and step.name in {one.name for one in scenario.timeline[:number]}:
            yield ("timeline", number, "name"), f"an earlier entry has the name {step.name!r}, too"
    for number, why in overlaps(scenario.timeline):
        yield ("timeline", number, "at"), why
    for number, wanted in enumerate(scenario.expect):
        yield from _matching_errors(("expect", number), wanted, devices)
        yield from _cause_errors(("expect", number), wanted, scenario, number)
    for number, never in enumerate(scenario.never):
        yield from _matching_errors(("never", number), never, devices)
        if never.between is not None and never.between[1].total_seconds() > scenario.seconds:
            yield ("never", number, "between"), _ends_before(scenario)
    for key, names in (("only", scenario.invariants.only), ("except", scenario.invariants.excepted)):
        for name in (one if isinstance(one, str) else one.name for one in names):
            if name not in (*INVARIANTS, NOTHING_LOST):
                known = alternatives(name, (*INVARIANTS, NOTHING_LOST))
                yield ("invariants", key), f"no invariant {name!r}; {known}"


def _device_errors(path: Place, one: CheckedDevice, scenario: Scenario) -> Iterator[Error]:
    for source in one.settings.hardware:
        if source not in one.config.sources:
            known = alternatives(source, one.config.sources)
            yield (*path, "hardware", source), f"no source {source!r}; {known}"
    for source, settings in one.settings.sources().items():
        if scenario.clock == "real" and one.settings.hardware_of(source) is None:
            kind = settings.get("kind")
            yield (*path, "config", "sources", source), f"no simulated hardware for the kind {kind}"


def _step_errors(
    path: Place, step: Step, scenario: Scenario, devices: Mapping[str, CheckedDevice]
) -> Iterator[Error]:
    if step.end_s > scenario.seconds:
        until = f"ends {step.end_s:g} s after the start, the run after {format_duration(scenario.duration)}"
        yield (*path, "for" if step.lasts else "at"), until
    fault = step.fault
    if fault is not None and (refusal := fault.refuse_clock(scenario.clock)) is not None:
        yield (*path, "fault"), refusal
    if (step.kind, scenario.clock, scenario.centre.workers) == ("centre.rolling_restart", "virtual", 1):
        yield (*path, "fault"), "centre.rolling_restart needs several workers: centre: {workers: 2} or more"
    one = devices.get(step.device or "")
    if step.device is not None and one is None:
        yield (*path, "device"), f"no device {step.device!r}; {alternatives(step.device, devices)}"
    elif fault is not None:
        yield from _fault_errors(path, step, fault, one, devices)
    elif one is None:
        yield path, f"{step.kind} needs a device; {alternatives('', devices)}"
    else:
        yield from _action_errors(path, step, one)


def _fault_errors(
    path: Place, step: Step, fault: Fault, one: CheckedDevice | None, devices: Mapping[str, CheckedDevice]
) -> Iterator[Error]:
    if one is None:
        if fault.subject in ("source", "device"):
            yield path, f"{step.kind} needs a device; {alternatives('', devices)}"
    elif fault.subject == "source":
        fit = fitting_sources(one, fault)
        if step.source is not None and step.source not in fit:  # without one `resolved` has complained
            known = alternatives(step.source, fit)
            yield (*path, "source"), f"no source {step.source!r} for {step.kind}; {known}"
    elif (refusal := fault.misplaced(one.settings.tree, step.source)) is not None:
        yield path, refusal


def _action_errors(path: Place, step: Step, one: CheckedDevice) -> Iterator[Error]:
    if step.press is not None:
        source, _, button = step.press.partition(".")
        boards = [name for name in one.config.sources if one.settings.hardware_of(name) == "board"]
        if source not in boards:
            yield (*path, "press"), f"no sensor board {source!r}; {alternatives(source, boards)}"
        elif button not in INPUTS.values():
            yield (*path, "press"), f"no button {button!r}; {alternatives(button, INPUTS.values())}"
    if step.ack is not None and step.ack not in one.rules:
        yield (*path, "ack"), f"no rule {step.ack!r}; {alternatives(step.ack, one.rules)}"
    if step.push is not None:
        yield from (((*path, "push"), error) for error in _push_errors(step, one))


def _push_errors(step: Step, one: CheckedDevice) -> Iterator[str]:
    """What the agent would say of the pushed configuration; its rules are known from then on."""
    whole: dict[str, Any] = completed_config(
        one.config.device, merged(one.settings.tree, step.push), broker_url="mqtt://127.0.0.1:1883",
        folder=Path("/nonexistent"),
    )  # fmt: skip
    whole.pop("roles", None)
    try:
        with simulated_sources_allowed():
            one.rules |= set(validated(whole, name="", base=Path("/nonexistent")).rules)
    except BadConfig as error:
        yield from (f"{problem.path}: {problem.message}" for problem in error.problems)


def _matching_errors(path: Place, wanted: Matching, devices: Mapping[str, CheckedDevice]) -> Iterator[Error]:
    if wanted.device is not None and wanted.device not in devices:
        yield (*path, "device"), f"no device {wanted.device!r}; {alternatives(wanted.device, devices)}"
        return
    hit = [devices[wanted.device]] if wanted.device is not None else list(devices.values())
    rules = {rule for one in hit for rule in one.rules}
    if wanted.alert is not None and wanted.alert not in rules:
        yield (*path, "alert"), f"no rule {wanted.alert!r}; {alternatives(wanted.alert, rules)}"
    if wanted.topic is not None:
        sources = {f"telemetry/{source}" for one in hit for source in one.config.sources}
        known = {*TOPICS, *sources}
        if wanted.topic not in known:
            yield (*path, "topic"), f"no topic {wanted.topic!r}; {alternatives(wanted.topic, known)}"


def _cause_errors(path: Place, wanted: Expectation, scenario: Scenario, number: int) -> Iterator[Error]:
    """What an expectation counts from; and a deadline after the end of the run would never be judged."""
    causes = {step.name: step.at_s for step in scenario.timeline if step.name}
    if wanted.after is not None and wanted.after not in causes:
        known = alternatives(wanted.after, causes)
        yield (*path, "after"), f"no entry of the timeline {wanted.after!r}; {known}"
    earlier = [one.title for one in scenario.expect[:number]]
    if wanted.order_after is not None and wanted.order_after not in earlier:
        known = alternatives(wanted.order_after, earlier)
        yield (*path, "order_after"), f"no earlier expectation {wanted.order_after!r}; {known}"
    last = wanted.between[1] if wanted.between else wanted.within
    cause_s = causes.get(wanted.after or "", 0.0)
    if last is not None and cause_s + last.total_seconds() > scenario.seconds:
        key = "between" if wanted.between else "within"
        yield (*path, key), _ends_before(scenario)


def _ends_before(scenario: Scenario) -> str:
    return f"the run ends before, after {format_duration(scenario.duration)}"
