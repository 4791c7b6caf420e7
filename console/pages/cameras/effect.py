"""The answer to ``what_if`` as the page shows it: counts, and when each alert was or would be. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from agent.runtime.sanitize import as_dict, as_list, printable

Side: TypeAlias = Literal["missed", "new"]
SIDES: tuple[Side, ...] = ("missed", "new")


@dataclass(frozen=True, slots=True)
class EffectAlert:
    """An alert of one side only: ``missed`` with the settings proposed, or ``new`` with them."""

    side: Side
    rule: str
    at: datetime | None
    text: str
    answer: str = ""
    """What a person said of it: ack, close, reject."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What the settings in force and those proposed would have raised."""

    now: int
    proposed: int
    hours: float
    alerts: tuple[EffectAlert, ...]
    rules: tuple[tuple[str, int, int], ...]
    """Rule, number now, number proposed."""
    confirmed_missed: int
    incomplete: str = ""
    not_covered: str = ""


def effect_of(body: Mapping[str, Any]) -> Effect:
    """The effect in a result of ``what_if``; the device's texts are made printable."""
    covered = as_dict(body.get("covered"))
    alerts = [
        EffectAlert(
            side, printable(one.get("rule")), _time(one.get("at")), printable(one.get("text")),
            printable(one.get("answer") or ""),
        )
        for side in SIDES
        for one in map(as_dict, as_list(body.get(side)))
    ]  # fmt: skip
    rules = [
        (printable(one.get("rule")), _number(one.get("now")), _number(one.get("proposed")))
        for one in map(as_dict, as_list(body.get("rules")))
    ]
    hours = covered.get("hours")
    return Effect(
        _number(body.get("now")),
        _number(body.get("proposed")),
        float(hours) if isinstance(hours, int | float) else 0.0,
        tuple(sorted(alerts, key=lambda one: one.at.timestamp() if one.at else 0.0)),
        tuple(rules),
        _number(body.get("missed_confirmed")),
        printable(body.get("incomplete") or ""),
        printable(body.get("not_covered") or ""),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None
