"""The faults of a run: how long until each was seen, and until it was over."""

from typing import Any

from simulators.report.html import NOTHING, Html, clock, e, mark, seconds, section, table
from simulators.report.latency import percentile
from simulators.report.run_files import number, rows

MAX_ROWS = 60
SILENT = "not said"


def faults_section(verdict: dict[str, Any]) -> Html:
    """Each fault with its times; of many, each kind."""
    faults = rows(verdict, "faults")
    if not faults:
        return section("faults", "Faults", "<p>The scenario has no fault.</p>")
    if len(faults) > MAX_ROWS:
        return section("faults", "Faults", _by_kind(faults))
    heads = ("Fault", "Device", "Began", "Ended", "Effect", "Time to detect", "Time to recover")
    return section("faults", "Faults", table("Faults", heads, map(_line, faults), numbers="--nn-nn"))


def _line(one: dict[str, Any]) -> tuple[Html, ...]:
    began, ended, effect = (number(one.get(key)) for key in ("began_s", "ended_s", "effect_s"))
    took = mark("failed", "no effect") if effect is None else mark("passed", f"seen at {clock(effect)}")
    detected, recovered = _after(one, "detected_s", "began_s"), _after(one, "recovered_s", "ended_s")
    return (
        e(one.get("kind")),
        e(one.get("device") or "all"),
        clock(began),
        clock(ended),
        took,
        SILENT if detected is None else seconds(detected),
        SILENT if recovered is None else seconds(recovered),
    )


def _by_kind(faults: list[dict[str, Any]]) -> Html:
    """A line for each kind: how many, and the percentiles of their times."""
    lines = []
    for kind in sorted({str(one.get("kind")) for one in faults}):
        same = [one for one in faults if str(one.get("kind")) == kind]
        idle = sum(one.get("effect_s") is None for one in same)
        effect = mark("failed", f"{idle} without effect") if idle else mark("passed", "all had one")
        detected = [_after(one, "detected_s", "began_s") for one in same]
        recovered = [_after(one, "recovered_s", "ended_s") for one in same]
        lines.append((e(kind), f"{len(same)}", effect, *_spread(detected), *_spread(recovered)))
    spread = ("p50", "p95", "longest")
    heads = ("Fault", "Number", "Effect", "Detected", *spread, "Recovered", *spread)
    return table("Faults by kind", heads, lines, numbers="-n-nnnnnnnn")


def _spread(values: list[float | None]) -> tuple[Html, ...]:
    found = [value for value in values if value is not None]
    if not found:
        return ("0", NOTHING, NOTHING, NOTHING)
    return (f"{len(found)}", *(seconds(percentile(found, percent)) for percent in (50, 95, 100)))


def _after(one: dict[str, Any], key: str, begin: str) -> float | None:
    value = number(one.get(key))
    return None if value is None else value - (number(one.get(begin)) or 0.0)
