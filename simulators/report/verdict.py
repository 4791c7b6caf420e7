"""The verdict in one sentence, and the tables of expectations, faults and losses."""

from typing import Any

from simulators.report.html import Html, clock, e, mark, seconds, section, table
from simulators.report.run_files import number, rows

CHECKS = {
    "expectations": "expectation",
    "never": "never",
    "sometimes": "sometimes",
    "invariants": "invariant",
}


def checks(verdict: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All that was checked, with its kind; unmet ones first within their kind."""
    return [
        (word, one)
        for key, word in CHECKS.items()
        for one in sorted(rows(verdict, key), key=lambda one: bool(one.get("met")))
    ]


def sentence(verdict: dict[str, Any]) -> str:
    """The verdict for people."""
    name, state = verdict.get("scenario", "?"), str(verdict.get("verdict", "?"))
    all_checks = checks(verdict)
    unmet = [one for _, one in all_checks if not one.get("met")]
    faults = rows(verdict, "faults")
    if state == "incomplete":
        lines = [str(line) for line in verdict.get("incomplete") or ()]
        return f"{name} is incomplete, so it says nothing: {lines[0] if lines else 'the reason is missing'}"
    if unmet:
        first = unmet[0]
        words = first.get("detail") or first.get("text") or first.get("name")
        many = f"{len(unmet)} of {len(all_checks)} checks were not met"
        return f"{name} {state}: {many}, first {first.get('name')!r}: {words}"
    with_faults = f" in spite of {_count(len(faults), 'fault')}" if faults else ""
    if not all_checks:
        return f"{name} {state}, but nothing was checked{with_faults}"
    return f"{name} {state}: all {_count(len(all_checks), 'check')} were met{with_faults}"


def verdict_section(verdict: dict[str, Any], about: str = "") -> Html:
    """The sentence, what the scenario is about, how the run was played, and what was not met."""
    state = str(verdict.get("verdict", "?"))
    facts = [
        f"seed {e(verdict.get('seed', '?'))}",
        f"{e(verdict.get('clock', '?'))} clock",
        f"{clock(number(verdict.get('duration_s')))} of run in {seconds(number(verdict.get('wall_s')))}",
        *([f"began {e(verdict['began_at'])}"] if verdict.get("began_at") else []),
    ]
    again = f"ringpost simulate {verdict.get('scenario', '?')} --seed {verdict.get('seed', 0)}"
    unmet = [(word, one) for word, one in checks(verdict) if not one.get("met")]
    lines = [
        f"<li><b>{e(word)}: {e(one.get('name'))}</b> {e(one.get('detail') or one.get('text'))}</li>"
        for word, one in unmet
    ]
    lines += [f"<li><b>incomplete</b> {e(line)}</li>" for line in verdict.get("incomplete") or ()]
    words = f'<p class="about">{e(about)}</p>' if about else ""
    problems = f'<ul class="problems">{"".join(lines)}</ul>' if lines else ""
    return (
        f'<header class="verdict {e(state) if state in ("passed", "failed", "incomplete") else "unknown"}">'
        f'<p class="state">{mark(state)}</p><h1>{e(sentence(verdict))}</h1>'
        f"{words}"
        f'<p class="facts">{" · ".join(facts)}</p><p class="again">Play it again: <code>{e(again)}</code></p>'
        f"{problems}</header>"
    )


def expectations_section(verdict: dict[str, Any]) -> Html:
    """Each check with deadline, actual time and margin."""
    longest = max(
        (number(one.get(key)) or 0.0 for _, one in checks(verdict) for key in ("deadline_s", "actual_s")),
        default=0.0,
    )
    lines = []
    for word, one in checks(verdict):
        if word == "invariant" and one.get("met"):
            continue
        deadline, actual = number(one.get("deadline_s")), number(one.get("actual_s"))
        margin = number(one.get("margin_s"))
        text = one.get("text") if one.get("text") != one.get("name") else ""
        what = f"{e(one.get('name'))}<small>{e(text)}</small>"
        detail = "" if one.get("met") and not one.get("detail") else f"<small>{e(one.get('detail'))}</small>"
        lines.append(
            (
                what,
                e(word),
                mark("passed" if one.get("met") else "failed", "met" if one.get("met") else "not met")
                + detail,
                seconds(deadline),
                seconds(actual),
                seconds(margin),
                _bar(actual, deadline, longest, bool(one.get("met"))),
            )
        )
    held = [str(one.get("name")).replace("_", " ") for one in rows(verdict, "invariants") if one.get("met")]
    said = f"{mark('passed', _count(len(held), 'invariant') + ' held:')} {e(', '.join(held))}" if held else ""
    invariants = f"<p>{said}</p>" if said else ""
    if not lines:
        nothing = "<p>The scenario expects nothing.</p>"
        return section("expectations", "Expectations", nothing, invariants)
    heads = ("Expectation", "Kind", "Result", "Deadline", "Actual", "Margin", "Until the deadline")
    return section(
        "expectations",
        "Expectations",
        table("Expectations", heads, lines, numbers="---nnn-"),
        _KEY,
        invariants,
    )


_KEY = '<p class="key"><i class="bar-key"></i> until it happened <i class="line-key"></i> deadline</p>'


def _bar(actual: float | None, deadline: float | None, longest: float, met: bool) -> Html:
    if longest <= 0 or (actual is None and deadline is None):
        return ""
    bar = f'<i class="{"good" if met else "bad"}" style="width:{_share(actual or 0, longest)}"></i>'
    line = "" if deadline is None else f'<i class="line" style="left:{_share(deadline, longest)}"></i>'
    return f'<div class="bar" aria-hidden="true">{bar}{line}</div>'


def _share(value: float, whole: float) -> str:
    return f"{min(100.0, 100 * value / whole):.2f}%"


def losses_section(verdict: dict[str, Any]) -> Html:
    """The numbers that never reached the centre, by device and lane."""
    lines = []
    for device, lanes in sorted((verdict.get("losses") or {}).items()):
        for lane, ranges in sorted((lanes or {}).items()):
            many = sum(last - first + 1 for first, last in ranges)
            said = ", ".join(
                str(first) if first == last else f"{first}–{last}" for first, last in ranges[:20]
            )
            more = f" and {len(ranges) - 20} more ranges" if len(ranges) > 20 else ""
            lines.append((e(device), e(lane), f"{many}", e(said + more)))
    counts = verdict.get("counts") or {}
    words = "Alert messages: " + ", ".join(f"{e(key)} {e(value)}" for key, value in counts.items()) + "."
    content = (
        table("Losses", ("Device", "Lane", "Messages", "Sequence numbers"), lines, numbers="--n-")
        if lines
        else f"<p>{mark('good', 'No sequence number is missing at the centre.')}</p>"
    )
    return section(
        "losses", "Losses by sequence number", content, f'<p class="facts">{words}</p>' if counts else ""
    )


def _count(number_of: int, word: str) -> str:
    return f"{number_of} {word}" if number_of == 1 else f"{number_of} {word}s"
