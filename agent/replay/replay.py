"""``ringpost replay``: a recording through the present rules.

It runs the agent's own `Locator` and `RuleEngine` at the recording's time of day: the same alerts, at any
speed.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import click

from agent.alerts.alert import Alert
from agent.alerts.rule_engine import RuleEngine
from agent.config.loader import read
from agent.config.model import Config
from agent.domain.message import encode
from agent.domain.observations import Observation, Sighting
from agent.domain.yaml_loader import BadConfig
from agent.domain.zones import zones_of
from agent.positioning.locator import Locator
from agent.replay.recording import Recording
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG
from agent.vision.camera import Camera


def replay(config: Config, observations: Iterable[Observation]) -> Iterator[tuple[Alert, dict[str, Any]]]:
    """The alerts that the rules of ``config`` make of what was observed, and what is told of each. Pure."""
    numbers = count(1)
    locator = Locator(config.locator_settings())
    judges = RuleEngine(lambda: f"replay-{next(numbers)}", add_place=locator.with_point)
    begun = False
    for observation in observations:
        at, now_s = observation.at, observation.mono_s
        if not begun:
            judges.apply(config.rules, at, now_s)
            begun = True
        judged = locator.with_doubt(in_zones_of(config, observation))
        for alert in judges.on_observation(judged, at, now_s):
            yield alert, locator.fields(alert, now_s)


def in_zones_of(config: Config, observation: Observation) -> Observation:
    """A sighting with the zones in which its objects stand today; anything else as it is."""
    camera, sighting = config.sources.get(observation.source), observation.value
    if not isinstance(camera, Camera) or not isinstance(sighting, Sighting):
        return observation
    objects = tuple(replace(one, zones=zones_of(one.box, camera.zones)) for one in sighting.objects)
    return replace(observation, value=replace(sighting, objects=objects))


def replay_command(recording: Path, config: Path | None, compare: Path | None, as_json: bool) -> int:
    """Prints each alert, or with ``compare`` what differs. 0; 1 where something does; 78 for a bad CONFIG."""
    try:
        its = Recording(recording)
        rules = read(_config_of(its, config))
        if compare is not None:
            return _compare(_told(rules, its), _reference(compare, its), as_json)
        alerts = 0
        for message in _told(rules, its):
            alerts += message["alert"]["phase"] == "new"
            click.echo(encode(message).decode() if as_json else line(message))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"replay: {describe_error(error)}", err=True)
        return 1
    click.echo(f"replay: {alerts} alerts from {recording}", err=True)
    return 0


def _config_of(recording: Recording, given: Path | None) -> Path:
    """CONFIG, or ``config.yaml`` beside the recording, or the one that it was made by, as it is today."""
    if given is not None:
        return given
    beside = recording.path.with_name("config.yaml")
    if beside.exists():
        return beside
    if recording.header is None:
        raise ValueError(f"{recording.path} does not say by which configuration; give --config CONFIG")
    if not recording.header.config.exists():
        raise ValueError(
            f"{recording.header.config}, by which it was made, is not here; give --config CONFIG"
        )
    return recording.header.config


def _told(config: Config, recording: Recording) -> Iterator[dict[str, Any]]:
    """What would be told, as `--json` prints it."""
    for alert, fields in replay(config, recording.observations()):
        yield json.loads(encode({"at": alert.at, "alert": fields}))


def _reference(path: Path, recording: Recording) -> list[dict[str, Any]]:
    """What another configuration makes of the recording, or what an earlier `replay --json` printed."""
    if path.suffix in (".yaml", ".yml"):
        return list(_told(read(path), recording))
    found = []
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                message = json.loads(text)
                line(message)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: no line of `ringpost replay --json`") from error
            found.append(message)
    return found


def line(message: dict[str, Any]) -> str:
    """One alert for people: UTC, phase, severity, rule, text, and why it ended."""
    alert = message["alert"]
    reason = f" ({alert['reason']})" if "reason" in alert else ""
    return (
        f"{message['at']} {alert['phase']:6} {alert['severity']:8} {alert['rule']}: {alert['text']}{reason}"
    )


def _compare(now: Iterable[dict[str, Any]], before: Iterable[dict[str, Any]], as_json: bool) -> int:
    """Prints which alerts only one of both has (- before, + now), and how many each rule has. 1 if any."""
    sides = {"-": _keyed(before), "+": _keyed(now)}
    only = [
        (message["at"], sign, message)
        for sign, other in (("-", "+"), ("+", "-"))
        for key, message in sides[sign].items()
        if key not in sides[other]
    ]
    for _, sign, message in sorted(only, key=lambda one: one[:2]):
        side = {"only": "before" if sign == "-" else "now"}
        click.echo(encode(side | message).decode() if as_json else f"{sign} {line(message)}")
    counts = {sign: Counter(_new(side.values())) for sign, side in sides.items()}
    for rule in sorted(counts["-"].keys() | counts["+"].keys()):
        was, is_now = counts["-"][rule], counts["+"][rule]
        if as_json:
            click.echo(encode({"rule": rule, "before": was, "now": is_now}).decode())
        else:
            click.echo(f"{rule}: {is_now} alerts{f' instead of {was}' if was != is_now else ''}")
    return 1 if only else 0


def _keyed(messages: Iterable[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """Beginnings and ends by all that they say, but for their numbers, which others before them shift."""
    return {
        encode(message | {"alert": message["alert"] | {"alert_id": ""}}): message
        for message in messages
        if message["alert"]["phase"] != "update"
    }


def _new(messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (message["alert"]["rule"] for message in messages if message["alert"]["phase"] == "new")
