"""Whether the fields that a scenario asks for exist: nothing ever has a misspelt one. Pure."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from agent.cli.asyncapi import ENVELOPE
from agent.outbox.losses import Loss
from simulators.run_record import RunRecord
from simulators.scenario.model import Scenario

ALERT = (
    "acknowledged acknowledged.action acknowledged.role alert_id box camera count kind label need_ack phase"
    " point point.age_s point.error_m point.how point.lat point.lon rule score severity since source text"
    " verified zone"
)
SELDOM: Mapping[str, Sequence[str]] = {
    "alert": ["alert", *(f"alert.{name}" for name in ALERT.split())],
    "gap": ["of_epoch", "gap", *(f"gap.{one.name}" for one in fields(Loss) if one.name != "epoch")],
}
"""Fields of messages that a good run need not have."""


def unknown_fields(scenario: Scenario, record: RunRecord) -> list[str]:
    """A line for each field of ``having`` that is not known, and that no message of the topic had."""
    seen: dict[str, set[str]] = defaultdict(set)
    for one in record.messages:
        if isinstance(one.get("body"), dict):
            seen[one["topic"]].update(_paths(one["body"]))
    envelope = {
        *ENVELOPE["properties"],
        *(f"clock.{name}" for name in ENVELOPE["properties"]["clock"]["properties"]),
    }
    found = []
    for key in ("expect", "never"):
        for wanted in getattr(scenario, key):
            topic = "alert" if wanted.alert is not None else wanted.topic
            if key == "expect" and not seen[topic]:
                continue  # it is not met
            known = envelope | seen[topic] | set(SELDOM.get(topic, ()))
            found += [
                f"{key}: {wanted.title}: no {topic} has a field {path!r}{_similar(path, known)}"
                for path in _paths(wanted.having)
                if path not in known
            ]
    return found


def _paths(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The dotted path of each field, and of those within it."""
    for name, value in tree.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{name}.")


def _similar(path: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(path, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
