"""Reads a scenario file and checks it against the configurations of its devices, before anything runs."""

from collections.abc import Mapping
from functools import cache
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.config.loader import MAX_PROBLEMS, folder_beside, problem_at, validated
from agent.config.loader import load as load_config
from agent.config.merge_patch import plain
from agent.config.model import Config
from agent.config.simulated_sources import simulated_sources_allowed
from agent.domain.yaml_loader import BadConfig, Problem, alternatives, line_of, load_yaml, read_text
from agent.runtime.error_text import error_reason
from simulators.scenario.checks import CheckedDevice, reference_errors, resolved
from simulators.scenario.device_config import ROLES, completed_config
from simulators.scenario.model import Scenario

SCENARIOS = Path(__file__).parent.parent / "scenarios"
MOST_ABOUT = 2000


def scenario_names() -> list[str]:
    """The scenarios that come with the simulators."""
    return sorted(one.stem for one in SCENARIOS.glob("*.yaml"))


def find_scenario(name: str) -> Scenario:
    """A scenario by its name, or by the path of a file. FileNotFoundError; BadConfig: see `read`."""
    if name in scenario_names():
        return read(SCENARIOS / f"{name}.yaml")
    path = Path(name)
    if not path.exists():
        known = alternatives(name, scenario_names())
        raise FileNotFoundError(f"unknown scenario {name!r}; {known}, or the path of a file")
    return read(path)


def read(path: Path) -> Scenario:
    """The scenario in a file. BadConfig with every mistake where it is unreadable or not valid."""
    try:
        text = read_text(path)
    except OSError as error:
        raise BadConfig([Problem(0, "", error_reason(error))], str(path)) from error
    return parse(text, name=str(path), base=folder_beside(path))


def head_comment(text: str) -> str:
    """The comment before the first line of content, as one paragraph."""
    lines = takewhile(lambda line: line.startswith("#"), text.lstrip().splitlines())
    return " ".join(line.lstrip("# ").rstrip() for line in lines)[:MOST_ABOUT]


def parse(text: str, *, name: str, base: Path) -> Scenario:
    """The scenario in ``text``; its configuration files are below ``base``. BadConfig."""
    tree = load_yaml(text, name)
    if "schema" not in tree and "schema_version" in tree:
        what = "a configuration, which ringpost check reads; a scenario names it below devices, as config"
        raise BadConfig([Problem(1, "", what)], name)
    if "about" not in tree and (about := head_comment(text)):
        tree["about"] = about
    try:
        scenario = Scenario.model_validate(tree)
    except ValidationError as error:
        problems = [
            problem_at(detail, tree, _schema()) for detail in error.errors(include_url=False)[:MAX_PROBLEMS]
        ]
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name) from error
    return check(scenario, tree=tree, name=name, base=base)


def check(scenario: Scenario, *, tree: Any = None, name: str = "", base: Path | None = None) -> Scenario:
    """The scenario with each entry complete: its configurations read, its sources named. BadConfig.

    Files are looked for in ``base``, by default in the folder that it was read from.
    """
    base = base or scenario.folder or SCENARIOS
    problems: list[Problem] = []
    devices: dict[str, CheckedDevice] = {}
    for device, settings in scenario.devices.items():
        try:
            config = _config_tree(settings.config, base)
            devices[device] = CheckedDevice(
                settings.model_copy(update={"config": config}), _valid(device, config)
            )
        except BadConfig as error:
            problems += [_of_device(device, settings.config, problem, tree) for problem in error.problems]
    if not problems:
        given = {device: one.settings for device, one in devices.items()}
        timeline = tuple(step.numbered(number) for number, step in enumerate(scenario.timeline))
        scenario = scenario.model_copy(update={"devices": given, "timeline": timeline})
        scenario, errors = resolved(scenario.within(base), devices)
        errors += islice(reference_errors(scenario, devices), MAX_PROBLEMS)
        problems = [Problem(line_of(tree, path), ".".join(map(str, path)), text) for path, text in errors]
    if problems:
        raise BadConfig(sorted(problems, key=lambda problem: problem.line), name)
    return scenario


def _config_tree(config: Mapping[str, Any] | str, base: Path) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(plain(config))
    path = base / config
    try:
        return dict(plain(load_config(read_text(path), str(path))))
    except OSError as error:
        raise BadConfig([Problem(0, "", f"{config}: {error_reason(error)}")], config) from error


def _valid(device: str, tree: Mapping[str, Any]) -> Config:
    """The configuration as the agent reads it; the stage writes its roles document later."""
    nowhere = Path("/nonexistent")
    whole = completed_config(device, tree, broker_url="mqtt://127.0.0.1:1883", folder=nowhere)
    if whole.get("device") != device:
        raise BadConfig([Problem(0, "device", f"is {device!r} here, or absent: the name of the device")], "")
    if whole.get("roles") == ROLES:
        del whole["roles"]
    with simulated_sources_allowed():
        return validated(whole, name="", base=nowhere)


def _of_device(device: str, config: Any, problem: Problem, tree: Any) -> Problem:
    """The problem of a configuration, with its place in the scenario."""
    inside = [int(step) if step.isdigit() else step for step in problem.path.split(".") if step]
    path: list[str | int] = ["devices", device, "config", *(inside if isinstance(config, Mapping) else ())]
    beside = f"{config}:{problem.line}: {problem.path}: " if isinstance(config, str) and problem.path else ""
    return Problem(line_of(tree, path), ".".join(map(str, path)), f"{beside}{problem.message}")


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a scenario file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ringpost scenario",
        **Scenario.model_json_schema(),
    }
