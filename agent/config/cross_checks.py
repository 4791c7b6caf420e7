"""Checks that no single section can make: rules, cameras and the sources, zones and labels that they name."""

import re
from collections.abc import Iterator

import models
from agent.config.model import Config
from agent.domain.contracts import RulePart
from agent.domain.references import Channel
from agent.domain.yaml_loader import alternatives
from agent.evidence.object_crop import agrees
from agent.runtime.error_text import describe_error
from firmware_bridge.source import SourcePart
from models.card import Card
from models.labels import plain

NO_CARD = "the file is no valid model card; ringpost check at the device says why"


def reference_errors(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, error) of each reference to a source, camera, zone, label or output that does not exist."""
    readers: dict[str, str] = {}
    for name, source in config.sources.items():
        port = source.serial_port()
        if port is not None and (first := readers.setdefault(port.address, name)) != name:
            also = f"list further protocols of that port there: also: [{source.kind}]"
            yield ("sources", name, port.key), f"{first} reads {port.address}; {also}"
    for name, rule in config.rules.items():
        for key, message in (*_source_errors(config, rule), *_camera_errors(config, rule)):
            yield ("rules", name, key), message
        for key, message in _output_errors(config, rule):
            yield ("rules", name, "escalate", "output", key), message
        if rule.escalate and rule.escalate.fallbacks and not config.broker.fallbacks:
            yield (
                ("rules", name, "escalate", "fallbacks"),
                "needs broker.fallbacks, the addresses of further brokers",
            )
    for name, camera in config.cameras().items():
        follows = camera.mount.follows if camera.mount else None
        if follows is not None and follows not in config.sources:
            message = f"no source {follows!r}; {alternatives(follows, config.sources)}"
            yield ("sources", name, "mount", "follows"), message
    if (config.place.lat is None) != (config.place.lon is None):
        yield ("place",), "needs both lat and lon"
    fit = [name for name, source in config.sources.items() if _gives(source, ("fix",))]
    for name in config.positioning.receivers:
        if name not in fit:
            yield ("positioning", "receivers"), f"no receiver {name!r}; {alternatives(name, fit)}"


def _source_errors(config: Config, rule: RulePart) -> Iterator[tuple[str, str]]:
    """(key, error) of each source that the rule names and that is absent or gives other values."""
    for ref in rule.source_references():
        source = config.sources.get(ref.source)
        if source is None:
            yield ref.key, f"no source {ref.source!r}; {alternatives(ref.source, config.sources)}"
        elif not _gives(source, ref.kinds):
            fit = [name for name, known in config.sources.items() if _gives(known, ref.kinds)]
            problem = f"{ref.source} is a {source.kind} source and gives no {' or '.join(ref.kinds)}"
            yield ref.key, f"{problem}; {alternatives(ref.source, fit)}"
        elif ref.channel is not None and (error := _channel_error(source, ref.channel)) is not None:
            yield ref.channel.key, error


def _camera_errors(config: Config, rule: RulePart) -> Iterator[tuple[str, str]]:
    """(key, error) where the rule's camera is absent, or lacks a zone, a label or the visibility check."""
    ref = rule.camera_reference()
    if ref is None:
        return
    cameras = config.cameras()
    if ref.camera not in cameras:
        yield ref.key, f"no camera {ref.camera!r}; {alternatives(ref.camera, cameras)}"
        return
    zones, detector = cameras[ref.camera].zones, cameras[ref.camera].detector
    if ref.needs_coverage and not cameras[ref.camera].coverage.watch:
        yield (
            ref.key,
            f"{ref.camera} does not check its visibility; set coverage: {{watch: true}} there",
        )
    for key, zone in ref.zones:
        if zone not in zones:
            yield key, f"no zone {zone!r} on {ref.camera}; {alternatives(zone, zones)}"
    for key, label in ref.labels:
        if detector.labels is not None and label not in detector.labels:
            known = alternatives(label, detector.labels)
            yield key, f"{ref.camera} does not detect {label!r}; {known}"


def _output_errors(config: Config, rule: RulePart) -> Iterator[tuple[str, str]]:
    """(key, error) where the output that an unanswered alert switches on is not listed."""
    alarm = rule.escalate.output if rule.escalate else None
    if alarm is None:
        return
    known = config.outputs()
    if alarm.source not in config.sources:
        yield "source", f"no source {alarm.source!r}; {alternatives(alarm.source, known or config.sources)}"
    elif alarm.source not in known:
        yield "source", f"{alarm.source} lists no outputs; add them there, such as outputs: [siren]"
    elif alarm.name not in known[alarm.source]:
        names = alternatives(alarm.name, known[alarm.source])
        yield "name", f"{alarm.source} lists no output {alarm.name!r}; {names}"


def model_errors(config: Config, *, pushed: bool = False) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, error) of each model without a card, and of each label that the card of its model lacks.

    Of a ``pushed`` configuration no error quotes a card: it may name any file beside the local one.
    """
    cards: dict[str, Card] = {}
    verifying: dict[str, Card] = {}
    for name, camera in config.cameras().items():
        path = ("sources", name, "detector")
        try:
            card = cards[name] = camera.detector.card()
        except (OSError, ValueError) as error:
            quoted = pushed and isinstance(error, ValueError) and models.is_path(camera.detector.model)
            yield (*path, "model"), NO_CARD if quoted else describe_error(error)
            continue
        try:
            verifying[name] = camera.detector.verifying().card()
        except (OSError, ValueError) as error:
            quoted = pushed and isinstance(error, ValueError)
            yield (*path, "verify_model"), NO_CARD if quoted else describe_error(error)
        for label in camera.detector.labels or ():
            if label not in card.labels:
                yield (*path, "labels"), _unknown_label(label, card)
    for name, rule in config.rules.items():
        ref = rule.camera_reference()
        seen_by = cards.get(ref.camera) if ref else None
        for key, label in ref.labels if ref and seen_by else ():
            if seen_by and label not in seen_by.labels:
                yield ("rules", name, key), _unknown_label(label, seen_by)
        verifier, asked = verifying.get(ref.camera) if ref else None, rule.verification()
        if ref and verifier and asked and verifier != seen_by:
            known = {plain(label) for label in asked.labels}
            if not any(agrees(label, known) for label in verifier.labels):
                text = f"the model {verifier.name} has none of the labels of the rule {name}"
                yield ("sources", ref.camera, "detector", "verify_model"), text


def _unknown_label(label: str, card: Card) -> str:
    return f"the model {card.name} has no label {label!r}; {alternatives(label, card.labels)}"


def _gives(source: SourcePart, kinds: tuple[str, ...]) -> bool:
    """Whether a source can give one of ``kinds``; True where it does not know, or without kinds."""
    given = source.emitted_kinds()
    return not kinds or given is None or any(kind in given for kind in kinds)


def _channel_error(source: SourcePart, channel: Channel) -> str | None:
    """The error where a rule names a quantity or switch that its source can't give."""
    known = source.value_names(channel.kind)
    if known is None or any(re.fullmatch(pattern, channel.name) for pattern in known):
        return None
    plain = [pattern for pattern in known if re.fullmatch(r"[\w.-]+", pattern)]
    what = "quantity" if channel.kind == "reading" else "switch"
    return f"a {source.kind} source gives no {what} {channel.name!r}; {alternatives(channel.name, plain)}"
