"""The latency ledger in plain words: the steps of an alert as shares of a bar. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from console.pages.words import Translate, as_number, ms_text

ON_PURPOSE = "detection_to_finding"
"""The step that takes its time on purpose (a dwell): not in the sum."""
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Step:
    """``share`` of the longest bar, 0 to 1; ``place`` chooses the colour."""

    name: str
    words: str
    text: str
    share: float
    place: int


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of a rule or of an alert; ``total`` in words."""

    name: str
    total: str
    note: str
    steps: tuple[Step, ...]


def step_words(t: Translate) -> dict[str, str]:
    """What happens in each step, in their order."""
    return {
        "frame_to_detection": t("see or measure"),
        "finding_to_outbox": t("write to disk"),
        "second_look": t("second look"),
        "outbox_to_sent": t("wait for the link"),
        "sent_to_acknowledged": t("broker confirms"),
        ON_PURPOSE: t("rule waits on purpose"),
    }


def rule_bars(latency: Mapping[str, Mapping[str, Mapping[str, object]]], t: Translate) -> list[Bar]:
    """One bar for each rule, the slowest first; the lengths are comparable."""
    sums = {
        rule: _sum({step: one.get("p50") for step, one in steps.items()}) for rule, steps in latency.items()
    }
    longest = max(sums.values(), default=0.0)
    bars = []
    for rule in sorted(latency, key=lambda name: (-sums[name], name)):
        total = latency[rule].get(TOTAL, {})
        note = t(
            "half within {p50}, 99 % within {p99}, {n} alerts",
            p50=ms_text(total.get("p50")), p99=ms_text(total.get("p99")), n=total.get("n", 0),
        )  # fmt: skip
        medians = {step: one.get("p50") for step, one in latency[rule].items()}
        bars.append(Bar(rule, ms_text(total.get("p50", sums[rule])), note, _steps(medians, longest, t)))
    return bars


def alert_bar(steps_ms: Mapping[str, object], t: Translate) -> Bar:
    """The ledger of one message."""
    total = _sum(steps_ms)
    return Bar("", ms_text(total), "", _steps(steps_ms, total, t))


def _steps(steps_ms: Mapping[str, object], longest: float, t: Translate) -> tuple[Step, ...]:
    found = []
    for place, (name, words) in enumerate(step_words(t).items()):
        ms = as_number(steps_ms.get(name))
        if ms is not None:
            share = 0.0 if name == ON_PURPOSE or not longest else max(0.0, ms) / longest
            found.append(Step(name, words, ms_text(ms), share, place))
    return tuple(found)


def _sum(steps_ms: Mapping[str, object]) -> float:
    numbers = (as_number(ms) for step, ms in steps_ms.items() if step not in (ON_PURPOSE, TOTAL))
    return sum(max(0.0, ms) for ms in numbers if ms is not None)
