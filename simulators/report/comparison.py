"""Two runs compared: verdicts, checks, counts, latencies, and the first message that differs."""

from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from simulators.report.collect import collect
from simulators.report.html import Html, e, mark, milliseconds, section, table
from simulators.report.latency import percentile, totals
from simulators.report.run_files import RunFiles, rows
from simulators.report.verdict import CHECKS, checks
from simulators.run_record import Fields

PAGE = "comparison.html"
RANDOM = frozenset(
    {
        "id",
        "epoch",
        "alert_id",
        "media",
        "entry",
        "signature",
        "next_key",
        "device_key",
        "sha256",
        "latency_ms",
    }
)
"""Fields that another seed, or a real run, makes anew."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of both runs."""

    what: str
    before: str
    now: str


@dataclass(slots=True)
class Comparison:
    """What differs between two runs."""

    names: tuple[str, str]
    verdicts: tuple[str, str]
    differences: list[Difference] = field(default_factory=list)
    latencies: list[Difference] = field(default_factory=list)
    """For people; a virtual run's are part of its messages anyway, a real run's are never equal."""
    first_message: tuple[int, str, str] | None = None
    """Number from 1, and both lines of messages.ndjson; empty where one has ended."""

    @property
    def same(self) -> bool:
        """Whether verdict, checks, counts, losses and messages are the same."""
        return not self.differences and self.first_message is None

    def lines(self) -> list[str]:
        """For the terminal."""
        if self.same:
            return [f"no difference: {self.names[0]} and {self.names[1]}"]
        found = [f"{one.what}: {one.now} instead of {one.before}" for one in self.differences]
        found += [f"{one.what}: {one.now}, was {one.before}" for one in self.latencies]
        if self.first_message is not None:
            number, before, now = self.first_message
            found += [
                f"first differing message: {number}",
                f"- {before or 'no more'}",
                f"+ {now or 'no more'}",
            ]
        return found

    def page(self) -> str:
        """The same as a static page."""
        from simulators.report.page import document

        lines = [(e(one.what), e(one.before), e(one.now)) for one in (*self.differences, *self.latencies)]
        heads = ("What", *self.names)
        sides = " · ".join(
            f"{e(name)}: {mark(verdict)}" for name, verdict in zip(self.names, self.verdicts, strict=True)
        )
        values = table("Differences", heads, lines) if lines else "<p>None.</p>"
        body = (
            f'<header class="verdict"><h1>{e(self._sentence())}</h1><p class="facts">{sides}</p></header>\n'
            f"<main>{section('differences', 'Differences', values)}{self._message()}</main>"
        )
        return document("Two runs compared", body)

    def write(self, folder: Path) -> Path:
        """The page, in the folder of a run. OSError."""
        path = folder / PAGE
        path.write_text(self.page())
        return path

    def _sentence(self) -> str:
        if self.same:
            return "Both runs are the same"
        many = len(self.differences)
        return f"{many} {'value differs' if many == 1 else 'values differ'}" + (
            "" if self.first_message is None else f", and messages from number {self.first_message[0]} on"
        )

    def _message(self) -> Html:
        if self.first_message is None:
            return section("message", "Messages", "<p>All messages are the same.</p>")
        number, *lines = self.first_message
        blocks = "".join(
            f"<h3>{e(name)}</h3><pre tabindex=0>{e(line or 'no more messages')}</pre>"
            for name, line in zip(self.names, lines, strict=True)
        )
        return section("message", f"The first message that differs: number {number}", blocks)


def compare(before: Path, now: Path) -> Comparison:
    """What differs. OSError or ValueError in one line where a folder is no run."""
    files = RunFiles(before), RunFiles(now)
    first, other = files[0].verdict, files[1].verdict
    result = Comparison(_names(before, now), (str(first.get("verdict", "?")), str(other.get("verdict", "?"))))
    for key in ("scenario", "seed", "clock", "duration_s", "verdict"):
        _add(result, key.replace("_", " ").removesuffix(" s"), first.get(key), other.get(key))
    _checks(result, first, other)
    for group in ("counts", "losses"):
        sides = first.get(group) or {}, other.get(group) or {}
        for key in sorted(sides[0].keys() | sides[1].keys()):
            _add(result, f"{group} {key}", sides[0].get(key), sides[1].get(key))
    _faults(result, first, other)
    stories = collect(files[0]), collect(files[1])
    both = totals(stories[0]), totals(stories[1])
    for percent in (50, 95):
        values = tuple(milliseconds(percentile(one, percent)) for one in both)
        if values[0] != values[1]:
            result.latencies.append(Difference(f"finding to commit p{percent}", *values))
    for topic in sorted(stories[0].topics.keys() | stories[1].topics.keys()):
        _add(result, f"messages {topic}", stories[0].topics[topic], stories[1].topics[topic])
    result.first_message = _first_message(*files)
    return result


def _names(before: Path, now: Path) -> tuple[str, str]:
    names = before.name or str(before), now.name or str(now)
    return names if names[0] != names[1] else (str(before), str(now))


def _add(result: Comparison, what: str, before: Any, now: Any) -> None:
    if before != now:
        result.differences.append(Difference(what, _words(before), _words(now)))


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "met" if value else "not met"
    return "none" if value is None else str(value)


def _checks(result: Comparison, first: dict[str, Any], other: dict[str, Any]) -> None:
    sides = [{(word, str(one.get("name"))): one for word, one in checks(run)} for run in (first, other)]
    order = {word: place for place, word in enumerate(CHECKS.values())}
    for word, name in sorted(sides[0].keys() | sides[1].keys(), key=lambda one: (order[one[0]], one[1])):
        before, now = sides[0].get((word, name)), sides[1].get((word, name))
        if before is None or now is None:
            _add(result, f"{word} {name!r}", before and before.get("met"), now and now.get("met"))
            continue
        _add(result, f"{word} {name!r}", bool(before.get("met")), bool(now.get("met")))
        _add(result, f"{word} {name!r} at second", before.get("actual_s"), now.get("actual_s"))


def _faults(result: Comparison, first: dict[str, Any], other: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {}
    pairs = zip_longest(rows(first, "faults"), rows(other, "faults"), fillvalue=nothing)
    for number, (before, now) in enumerate(pairs, 1):
        name = now.get("kind") or before.get("kind")
        for key in ("kind", "effect_s", "detected_s", "recovered_s"):
            _add(
                result,
                f"fault {number} {name} {key.replace('_s', ' at second')}",
                before.get(key),
                now.get(key),
            )


def _first_message(*files: RunFiles) -> tuple[int, str, str] | None:
    """The first that differs by more than its ids; or else the first that differs."""
    first = None
    pairs = zip_longest(*(one.entries("messages") for one in files))
    for number, (before, now) in enumerate(pairs, 1):
        if before == now:
            continue
        if (plain := (_without_ids(before), _without_ids(now)))[0] != plain[1]:
            return number, _line(plain[0]), _line(plain[1])
        first = first or (number, _line(before), _line(now))
    return first


def _without_ids(value: Any) -> Any:
    """A message without what is random in it, at any depth; of the audit log nothing else is left."""
    if isinstance(value, dict):
        return {key: _without_ids(one) for key, one in value.items() if key not in RANDOM}
    return [_without_ids(one) for one in value] if isinstance(value, list) else value


def _line(entry: Fields | None) -> str:
    import json

    if entry is None:
        return ""
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= 600 else text[:599] + "…"
