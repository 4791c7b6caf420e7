"""The way of each alert message: finding, disk, broker, commit."""

from collections.abc import Sequence

from simulators.report.html import Html, clock, e, milliseconds, section, table
from simulators.report.story import AlertPhase, AlertStory, Story

SHOWN = 120
STEPS = ("to disk", "to broker", "to commit")


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest rank; None of no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


def totals(story: Story) -> list[float]:
    """Milliseconds from finding to commit of each alert message that is at the centre."""
    found = (phase.total() for alert in story.alerts.values() for phase in alert.phases)
    return [total for total in found if total is not None]


NO_TIME = (
    "In virtual time computing takes no time: what is left is waiting for the disk, the link or the centre."
)


def latency_section(story: Story, *, virtual: bool = False) -> Html:
    """Percentiles, and the slowest messages with their steps."""
    phases = [(alert, phase) for alert in story.alerts.values() for phase in alert.phases]
    if not phases:
        return section("latency", "Latency of alerts", "<p>No alert was sent.</p>")
    figures = []
    for place, name in enumerate((*STEPS, "finding to commit")):
        values = [
            value
            for _, phase in phases
            if (value := phase.total() if place == len(STEPS) else phase.steps()[place]) is not None
        ]
        cells = (milliseconds(percentile(values, percent)) for percent in (50, 95, 99, 100))
        figures.append((e(name), f"{len(values)}", *cells))
    heads = ("Step", "Messages", "p50", "p95", "p99", "Longest")
    slowest = sorted(phases, key=lambda one: -(one[1].total() or 0.0))[:SHOWN]
    shown = sorted(slowest, key=lambda one: one[1].sent or 0.0)
    longest = max((phase.total() or 0.0 for _, phase in shown), default=0.0)
    lines = [_line(alert, phase, longest) for alert, phase in shown]
    left_out = (
        f'<p class="left-out">Shown are the {SHOWN} slowest of {len(phases)} messages.</p>'
        if len(phases) > SHOWN
        else ""
    )
    each = table(
        "Each alert message",
        ("Alert", "Phase", "Sent", *(f"{step}" for step in STEPS), "Total", "Steps"),
        lines,
        numbers="--nnnnn-",
    )
    key = (
        '<p class="key"><i class="step s0"></i> to disk <i class="step s1"></i> to the broker'
        ' <i class="step s2"></i> to the commit at the centre</p>'
    )
    summary = table("Latency", heads, figures, numbers="-nnnnn")
    return section(
        "latency",
        "Latency of alerts",
        summary,
        f'<p class="facts">{NO_TIME}</p>' if virtual else "",
        f"<details><summary>Each of {len(shown)} messages</summary>{each}{key}{left_out}</details>",
    )


def _line(alert: AlertStory, phase: AlertPhase, longest: float) -> tuple[Html, ...]:
    steps = phase.steps()
    bars = "".join(
        f'<i class="step s{place}" style="width:{100 * (value or 0) / longest:.2f}%"></i>'
        for place, value in enumerate(steps)
        if longest > 0
    )
    return (
        f"{e(alert.rule)}<small>{e(alert.device)}</small>",
        e(phase.phase),
        clock(phase.sent, tenths=True),
        *(milliseconds(value) for value in steps),
        milliseconds(phase.total()) if phase.total() is not None else "not committed",
        f'<div class="steps" aria-hidden="true">{bars}</div>',
    )
