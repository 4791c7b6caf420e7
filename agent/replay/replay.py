"""``ringpost replay``: runs a recording through the rules of a configuration.

It runs the `Locator` and `RuleEngine` of the agent with the recorded times: the same alerts, at any speed.
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
from agent.domain.observations import Observation, Sighting, View
from agent.domain.yaml_loader import BadConfig
from agent.domain.zones import zones_of
from agent.positioning.locator import Locator
from agent.replay.playable import Playable, Played
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG
from agent.vision.camera import Camera
from agent.vision.visibility import PICTURE


class Replayer:
    """The rules of one configuration on observations that are passed to it in order. Pure."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._locator = Locator(config.locator_settings())
        numbers = count(1)
        self._engine = RuleEngine(lambda: f"replay-{next(numbers)}", add_place=self._locator.with_point)
        self._started = False

    def feed(self, observation: Observation) -> Iterator[tuple[Alert, dict[str, Any]]]:
        """The alerts that the rules raise after an observation, each with its message fields."""
        at, now_s = observation.at, observation.mono_s
        if not self._started:
            self._engine.apply(self._config.rules, at, now_s)
            self._started = True
        located = self._locator.with_doubt(in_zones_of(self._config, observation))
        for alert in self._engine.on_observation(located, at, now_s):
            yield alert, self._locator.fields(alert, now_s)


def replay(config: Config, observations: Iterable[Observation]) -> Iterator[tuple[Alert, dict[str, Any]]]:
    """The alerts that the rules of ``config`` raise from observations, each with its message fields. Pure."""
    replayer = Replayer(config)
    for observation in observations:
        yield from replayer.feed(observation)


def in_zones_of(config: Config, observation: Observation) -> Observation:
    """A sighting or a view in the zones of ``config``; any other observation unchanged.

    A zone that the camera did not watch then is taken for blind where all zones that it watched were.
    """
    camera, value = config.sources.get(observation.source), observation.value
    if not isinstance(camera, Camera):
        return observation
    if isinstance(value, Sighting):
        objects = tuple(replace(seen, zones=zones_of(seen.box, camera.zones)) for seen in value.objects)
        return replace(observation, value=replace(value, objects=objects))
    if isinstance(value, View) and (zones := tuple(camera.zones) or (PICTURE,)) != value.zones:
        blind = {zone.zone: zone for zone in value.blind}
        other = value.blind[0] if value.blind and len(blind) == len(value.zones) else None
        states = ((zone, blind.get(zone) or (None if zone in value.zones else other)) for zone in zones)
        found = tuple(replace(state, zone=zone) for zone, state in states if state is not None)
        return replace(observation, value=View(zones=zones, blind=found))
    return observation


def replay_command(played: Played, config: Path | None, compare: Path | None, as_json: bool) -> int:
    """Prints each alert, or with ``compare`` the differences.

    Exit code 0; 1 with differences or an unreadable file; 78 for an invalid CONFIG.
    """
    try:
        rules = read(config_of(played.parts[0], config))
        if compare is not None:
            return _compare(messages_of(rules, played.observations()), _reference(compare, played), as_json)
        alerts = 0
        for message in messages_of(rules, played.observations()):
            alerts += message["alert"]["phase"] == "new"
            click.echo(encode(message).decode() if as_json else line(message))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"replay: {describe_error(error)}", err=True)
        return 1
    said = ", ".join(str(one.path) for one in played.parts)
    torn = "; a torn last line is left out" if played.torn else ""
    click.echo(f"replay: {alerts} alerts from {said}{torn}", err=True)
    return 0


def config_of(recording: Playable, given: Path | None = None) -> Path:
    """CONFIG, or ``config.yaml`` beside the recording, or the configuration named in its header."""
    if given is not None:
        return given
    beside = recording.path.with_name("config.yaml")
    if beside.exists():
        return beside
    if recording.header is None:
        raise ValueError(f"{recording.path} names no configuration; give --config CONFIG")
    if not recording.header.config.exists():
        raise ValueError(
            f"{recording.header.config}, its configuration, does not exist; give --config CONFIG"
        )
    return recording.header.config


def messages_of(config: Config, observations: Iterable[Observation]) -> Iterator[dict[str, Any]]:
    """The alert messages, as `--json` prints them."""
    for alert, fields in replay(config, observations):
        yield json.loads(encode({"at": alert.at, "alert": fields}))


def _reference(path: Path, played: Played) -> list[dict[str, Any]]:
    """The alert messages of another configuration, or of the output of an earlier `replay --json`."""
    if path.suffix in (".yaml", ".yml"):
        return list(messages_of(read(path), played.observations()))
    found = []
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                message = json.loads(text)
                line(message)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: not a line of `ringpost replay --json`") from error
            found.append(message)
    return found


def line(message: dict[str, Any]) -> str:
    """One alert for people: UTC, phase, severity, rule, text, and the reason of its end."""
    alert = message["alert"]
    reason = f" ({alert['reason']})" if "reason" in alert else ""
    return (
        f"{message['at']} {alert['phase']:6} {alert['severity']:8} {alert['rule']}: {alert['text']}{reason}"
    )


def _compare(now: Iterable[dict[str, Any]], before: Iterable[dict[str, Any]], as_json: bool) -> int:
    """Prints the alerts of one side only (- before, + now), and the number by rule. 1 if any, else 0."""
    sides = {"-": _keyed(before), "+": _keyed(now)}
    only = [
        (message["at"], sign, message)
        for sign, other in (("-", "+"), ("+", "-"))
        for key, message in sides[sign].items()
        if key not in sides[other]
    ]
    for _, sign, message in sorted(only, key=lambda entry: entry[:2]):
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
    """New and end messages by their content without the alert id, which depends on the alerts before."""
    return {
        encode(message | {"alert": message["alert"] | {"alert_id": ""}}): message
        for message in messages
        if message["alert"]["phase"] != "update"
    }


def _new(messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (message["alert"]["rule"] for message in messages if message["alert"]["phase"] == "new")
