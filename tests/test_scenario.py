"""A scenario file: what it may say, and what is refused before anything runs."""

import json
from functools import cache

import jsonschema
import pytest
from ruamel.yaml import YAML

from agent.domain.yaml_loader import BadConfig
from simulators.faults.catalogue import CATALOGUE
from simulators.scenario.loader import SCENARIOS, find_scenario, json_schema, parse, scenario_names
from simulators.scenario.scenario_text import scenario_text
from tests.scenario_rig import POST, scenario_of


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", scenario_names())
def test_each_scenario_is_valid_and_says_what_happens(name: str) -> None:
    scenario = find_scenario(name)
    for step in scenario.timeline:
        text = step.describe()
        assert text[0].islower(), text
        assert "{" not in text
        assert step.at_s + step.for_s <= scenario.seconds
    tree = YAML(typ="safe", pure=True).load((SCENARIOS / f"{name}.yaml").read_text())
    assert list(validator().iter_errors(json.loads(json.dumps(tree, default=str)))) == []


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_is_written_as_it_is_read(name: str) -> None:
    scenario = find_scenario(name)
    assert parse(scenario_text(scenario), name="again", base=SCENARIOS) == scenario


# What stands below the post, and the complaint.
WRONG = {
    "a button": (
        "timeline: [{at: 1s, press: board.panik_button, for: 2s}]",
        "s.yaml:17: timeline.0.press: no button 'panik_button'; did you mean 'panic_button'? known: ",
    ),
    "a cable": (
        "timeline: [{at: 1s, fault: line.unplug, source: ais, for: 2s}]",
        "s.yaml:17: timeline.0.source: no source 'ais' for line.unplug; known: board, gnss",
    ),
    "a board": (
        "timeline: [{at: 1s, press: gnss.panic_button, for: 2s}]",
        "timeline.0.press: no sensor board 'gnss'; known: board",
    ),
    "a fault": (
        "timeline: [{at: 1s, fault: line.unplugg, source: gnss, for: 2s}]",
        "timeline.0: unknown fault 'line.unplugg'; did you mean 'line.unplug'? known: ",
    ),
    "a field of a fault": (
        "timeline: [{at: 1s, fault: line.noise, chanse: 0.5, source: gnss, for: 2s}]",
        "line.noise has no field 'chanse'; did you mean 'chance'?",
    ),
    "a value of a fault": (
        "timeline: [{at: 1s, fault: line.noise, chance: 2, source: gnss, for: 2s}]",
        "line.noise: chance: Input should be less than or equal to 1",
    ),
    "a fault of another source": (
        "timeline: [{at: 1s, fault: receiver.jam, source: board, for: 2s}]",
        "no source 'board' for receiver.jam; known: gnss",
    ),
    "no source where two fit": (
        "timeline: [{at: 1s, fault: line.unplug, for: 2s}]",
        "line.unplug needs a source; known: board, gnss",
    ),
    "a fault of a camera that is not there": (
        "timeline: [{at: 1s, fault: camera.cut, for: 2s}]",
        "camera.cut needs a source; there is none",
    ),
    "several workers in real time": ("centre: {workers: 3}", "in real time the centre is one process"),
    "a fault that needs the other clock": (
        "timeline: [{at: 1s, fault: clock.step, for: 2s}]",
        "timeline.0.fault: clock.step needs `clock: virtual`: ",
    ),
    "the broker's fault at a device": (
        "timeline: [{at: 1s, fault: broker.down, device: post-1, for: 2s}]",
        "broker.down hits the broker: leave the device out",
    ),
    "a fault without an end": (
        "timeline: [{at: 1s, fault: line.unplug, source: gnss}]",
        "line.unplug needs its duration, such as for: 3s",
    ),
    "a press without an end": ("timeline: [{at: 1s, press: board.tamper}]", "press needs its duration"),
    "a fault that outlasts the run": (
        "timeline: [{at: 50s, fault: line.unplug, source: gnss, for: 20s}]",
        "timeline.0.for: ends 70 s after the start, the run after 1m",
    ),
    "two things at once": (
        "timeline: [{at: 1s, press: board.tamper, ack: panic, for: 1s}]",
        "one thing at a time: fault, press, push, ack, command; here: press, ack",
    ),
    "nothing": ("timeline: [{at: 1s}]", "here: none"),
    "an unknown key": (
        "timeline: [{at: 1s, pres: board.tamper}]",
        "timeline.0.pres: unknown key; did you mean 'press'?",
    ),
    "a time": ("timeline: [{at: soon, ack: panic}]", "timeline.0.at: 'soon' is not a duration"),
    "a device of a step": (
        "timeline: [{at: 1s, device: post-2, ack: panic}]",
        "timeline.0.device: no device 'post-2'; did you mean 'post-1'?",
    ),
    "a rule that is answered": (
        "timeline: [{at: 1s, ack: panik}]",
        "timeline.0.ack: no rule 'panik'; did you mean 'panic'? known: panic, quiet",
    ),
    "a push": (
        "timeline: [{at: 1s, push: {rules: {panic: {source: bord}}}}]",
        "timeline.0.push: rules.panic.source: no source 'bord'; did you mean 'board'?",
    ),
    "a rule": (
        "expect: [{alert: panik}]",
        "expect.0.alert: no rule 'panik'; did you mean 'panic'? known: panic, quiet",
    ),
    "a rule that never comes": (
        "never: [{alert: qiet}]",
        "never.0.alert: no rule 'qiet'; did you mean 'quiet'?",
    ),
    "a never after the run": (
        "never: [{topic: gap, between: [50s, 70s]}]",
        "never.0.between: the run ends before, after 1m",
    ),
    "a topic of pictures": ("never: [{topic: media/cam1/1}]", "never.0.topic: no topic 'media/cam1/1'"),
    "one name for two entries": (
        "timeline: [{at: 1s, name: a, fault: link.down, for: 2s}, {at: 5s, name: a, fault: link.down, for: 2s}]",
        "timeline.1.name: an earlier entry has the name 'a', too",
    ),
    "a topic": ("expect: [{topic: telemetry/gps}]", "expect.0.topic: no topic 'telemetry/gps'; did you mean"),
    "a cause": ("expect: [{alert: panic, after: press}]", "expect.0.after: no entry of the timeline 'press'"),
    "an order": (
        "expect: [{alert: panic, order_after: that}]",
        "expect.0.order_after: no earlier expectation 'that'",
    ),
    "a deadline after the end": (
        "expect: [{alert: panic, within: 2m}]",
        "expect.0.within: the run ends before, after 1m",
    ),
    "no alert and no topic": (
        "expect: [{within: 2s}]",
        "expect.0: names either an alert (its rule) or a topic",
    ),
    "a receipt of a position": ("expect: [{topic: position, receipt: true}]", "position gets no receipt"),
    "a person in no zone": (
        "world: {people: [{zone: railing, camera: cam1, comes: 1s}]}",
        "s.yaml:17: world: man: camera 'cam1': no device has it",
    ),
    "an invariant": (
        "invariants: [nothing_losst]",
        "invariants.only: no invariant 'nothing_losst'; did you mean",
    ),
}


def test_a_rolling_restart_needs_several_workers() -> None:
    step = "timeline: [{at: 1s, fault: centre.rolling_restart, for: 2s}]"
    with pytest.raises(BadConfig, match=r"needs several workers: centre: \{workers: 2\} or more"):
        scenario_of(step, clock="virtual")
    scenario_of(f"centre: {{workers: 2}}\n{step}", clock="virtual")


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_scenario_is_refused_with_its_line(what: str) -> None:
    more, complaint = WRONG[what]
    with pytest.raises(BadConfig) as refused:
        scenario_of(more)
    (line,) = refused.value.lines()
    assert line.startswith("s.yaml:")
    assert complaint in line


def test_a_wrong_configuration_is_refused_with_its_line() -> None:
    text = POST.format(clock="real").replace("source: gnss, after", "source: gns, after")
    with pytest.raises(
        BadConfig,
        match=r"^s.yaml:16: devices\.post-1\.config\.rules\.quiet\.source: no source 'gns'; did you",
    ):
        parse(text, name="s.yaml", base=SCENARIOS)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadConfig) as refused:
        scenario_of("never: [{alert: a}, {alert: b}]")
    assert len(refused.value.problems) == 2


def test_where_one_source_fits_it_need_not_be_named() -> None:
    scenario = scenario_of("timeline: [{at: 1s, fault: receiver.jam, for: 2s}]")
    assert (scenario.timeline[0].source, scenario.timeline[0].device) == ("gnss", "post-1")


def test_the_schema_knows_each_fault() -> None:
    schema = json_schema()["$defs"]["Step"]
    own = {one["if"]["properties"]["fault"]["const"]: one["then"]["properties"] for one in schema["allOf"]}
    assert schema["properties"]["fault"]["enum"] == sorted(CATALOGUE)
    assert {kind: set(fields) for kind, fields in own.items()} == {
        kind: set(fault.model_fields) for kind, fault in CATALOGUE.items()
    }


def test_a_scenario_is_about_what_the_head_of_its_file_says() -> None:
    about = find_scenario("bridge_rescue").about
    assert about.startswith("The night of 28 November 2022 on the bridge")
    assert about.endswith("the person, the ways and the times between are made up.")
