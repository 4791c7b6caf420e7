"""How good alerts are on synthetic scenes: events found, false alerts a camera-day, doubles, delays.

    python -m bench.alerts [--seeds 1000-1059] [--against CHECKOUT] [--set KIND.KEY=VALUE …] [--clips]

An event is found if its alert comes within 10 s (the form of i-LIDS). All figures are synthetic: people and
vehicles cut out of photographs and clips, composed into empty views (`bench.scenes`). Seeds 0 to 49 are for
choosing settings, 1000 and more for reporting. Detections are cached in ``build/scenes``, so that settings
are compared in seconds; what is missing is rendered first (about 0.1 s of CPU a frame, 120 frames a scene).
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.scenes import REPORTING, VISION
from bench.scenes.clips import CLIPS, found_in
from bench.scenes.detections import Detector, Process, cached, fill, judged
from bench.scenes.script import SECONDS, Script, script
from bench.scenes.truth import Event, Settings, Tries, configuration, count_at, events

HERE = Path(__file__).resolve().parents[1]
WITHIN_S, EARLY_S, AFTER_S = 10.0, 2.0, 4.0
"""An event is found within the first; an alert up to the second before its event, or up to the third after
its end, is not false."""
SCORE = 0.4
FPS = 5


@dataclass
class Tally:
    """Sums over scenes, of one kind of rule or of one condition."""

    events: int = 0
    found: int = 0
    late: int = 0
    doubles: int = 0
    false: int = 0
    camera_s: float = 0.0
    delays: list[float] = field(default_factory=list)
    count_errors: list[int] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds another tally; the time too."""
        for key in ("events", "found", "late", "doubles", "false", "camera_s"):
            setattr(self, key, getattr(self, key) + getattr(other, key))
        self.delays += other.delays
        self.count_errors += other.count_errors

    def figures(self) -> dict[str, Any]:
        """As they are reported; None where nothing can be said."""
        delays = sorted(self.delays)
        return {
            "events": self.events,
            "recall": round(self.found / self.events, 3) if self.events else None,
            "late": self.late,
            "double": self.doubles,
            "false": self.false,
            "false_per_camera_day": round(self.false * 86400 / self.camera_s, 1) if self.camera_s else None,
            "delay_p50_s": round(delays[len(delays) // 2], 1) if delays else None,
            "delay_p95_s": round(delays[min(len(delays) - 1, int(0.95 * len(delays)))], 1)
            if delays
            else None,
            "count_error": round(statistics.mean(self.count_errors), 2) if self.count_errors else None,
        }


def score(wanted: Sequence[Event], told: Sequence[dict[str, Any]], camera_s: float) -> Tally:
    """Compares the alerts of one rule with its events."""
    result = Tally(camera_s=camera_s)
    counts_each = any(event.kind == "line_cross" for event in wanted)
    raised = [one["at_s"] for one in told if one["phase"] == "new"]
    spoken = [
        one["at_s"] for one in told if one["phase"] == "new" or (counts_each and one["phase"] == "update")
    ]
    ends = {one["id"]: one["at_s"] for one in told if one["phase"] == "end"}
    active = [(one["at_s"], ends.get(one["id"], float("inf"))) for one in told if one["phase"] == "new"]
    for event in wanted:
        mine = [at_s for at_s in spoken if event.at_s - EARLY_S <= at_s <= event.ends_s + AFTER_S]
        in_time = [at_s for at_s in mine if at_s <= event.at_s + WITHIN_S]
        already = any(start <= event.at_s < end for start, end in active)
        if event.must:
            result.events += 1
            if in_time or already:
                result.found += 1
                result.delays.append(max(0.0, in_time[0] - event.at_s) if in_time else 0.0)
            else:
                result.late += bool(mine)
        own = [at_s for at_s in raised if event.at_s - EARLY_S <= at_s <= event.ends_s + AFTER_S]
        result.doubles += 0 if counts_each else max(0, len(own) - 1)
    result.false = sum(
        not any(event.at_s - EARLY_S <= at_s <= event.ends_s + AFTER_S for event in wanted) for at_s in raised
    )
    return result


def scene_tallies(scene: Script, alerts: Sequence[dict[str, Any]]) -> dict[str, Tally]:
    """By kind of rule, for one scene."""
    wanted = events(scene)
    found: dict[str, Tally] = {}
    for rule, kind in rules_of(configuration(scene)).items():
        told = [one for one in alerts if one["rule"] == rule]
        tally = score([one for one in wanted if one.rule == rule], told, SECONDS)
        if kind == "count":
            tally.count_errors = [
                min(abs(one["count"] - count_at(scene, near)) for near in _around(one["at_s"]))
                for one in told
                if one["phase"] in ("new", "update") and one["at_s"] < SECONDS - 1
            ]
        found.setdefault(kind, Tally()).add(tally)
        found[kind].camera_s = SECONDS
    return found


def _around(at_s: float) -> Iterable[int]:
    """The frames of the second before: `count` is the median of it."""
    last = round(at_s * FPS)
    return range(max(0, last - FPS), last + 1)


@dataclass
class Result:
    """Tallies by kind of rule and by condition."""

    kinds: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    conditions: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    all: Tally = field(default_factory=Tally)
    missing: list[str] = field(default_factory=list)

    def table(self) -> dict[str, dict[str, Any]]:
        """All figures by row."""
        rows = {kind: self.kinds[kind].figures() for kind in sorted(self.kinds)}
        rows |= {f"in {name}": self.conditions[name].figures() for name in sorted(self.conditions)}
        return rows | {"all": self.all.figures()}


def measure(
    seeds: Sequence[int], detector: str, checkout: Path, settings: Settings | None = None, at: float = SCORE
) -> Result:
    """Runs the rules of a checkout over the cached detections of ``detector``; other scenes are left out."""
    result = Result()
    with Process(checkout, "judge.py") as judge:
        for seed in seeds:
            frames = cached(seed, detector)
            if frames is None:
                continue
            scene = script(seed)
            told = judged(judge, configuration(scene, settings), frames, at)
            whole = Tally()
            for kind, tally in scene_tallies(scene, told).items():
                result.kinds[kind].add(tally)
                whole.add(tally)
                if tally.found < tally.events or tally.false or tally.doubles:
                    result.missing.append(
                        f"{scene.name}: {kind}: {tally.found} of {tally.events} found, {tally.late} late,"
                        f" {tally.false} false, {tally.doubles} double"
                    )
            whole.camera_s = SECONDS
            result.conditions[scene.condition].add(whole)
            result.all.add(whole)
    return result


def compare(
    seeds: Sequence[int],
    detector: str,
    checkout: Path,
    tries: Tries,
    settings: Settings | None = None,
    at: float = SCORE,
) -> dict[str, dict[str, Any]]:
    """Figures by setting, each one tried alone, in one run over the cached detections."""
    rows: dict[str, Tally] = defaultdict(Tally)
    with Process(checkout, "judge.py") as judge:
        for seed in seeds:
            frames = cached(seed, detector)
            if frames is None:
                continue
            scene = script(seed)
            told = judged(judge, configuration(scene, settings, tries), frames, at)
            wanted = events(scene)
            for rule, kind in rules_of(configuration(scene)).items():
                mine = [event for event in wanted if event.rule == rule]
                names = {rule: f"{kind} as it is"}
                names |= {
                    f"{rule}-t{number}": f"{kind}.{key}={value}"
                    for number, (of, key, value) in enumerate(tries)
                    if of == kind
                }
                for name, row in names.items() if len(names) > 1 else ():
                    rows[row].add(score(mine, [one for one in told if one["rule"] == name], SECONDS))
    return {name: rows[name].figures() for name in sorted(rows)}


def rules_of(text: str) -> dict[str, str]:
    """The kind of each rule by its name."""
    pairs = (line.strip().split(": {kind: ") for line in text.splitlines() if ": {kind: " in line)
    return {name: rest.split(",", maxsplit=1)[0] for name, rest in pairs}


def measure_clips(detector: Detector | None, name: str, checkout: Path) -> dict[str, dict[str, Any]]:
    """Figures by clip and rule, as `measure`'s."""
    rows: dict[str, dict[str, Any]] = {}
    with Process(checkout, "judge.py") as judge:
        for clip in CLIPS:
            frames = found_in(clip, detector, name)
            if frames is None:
                continue
            told = judged(judge, clip.configuration(), frames, SCORE)
            for rule in dict.fromkeys(event.rule for event in clip.events):
                mine = [event for event in clip.events if event.rule == rule]
                tally = score(mine, [one for one in told if one["rule"] == rule], clip.seconds)
                rows[f"{clip.name[:10]} {rule}"] = tally.figures()
    return rows


def show(rows: dict[str, dict[str, Any]], title: str) -> None:
    """Prints one table."""
    print(f"\n{title}")
    keys = (
        "events",
        "recall",
        "late",
        "double",
        "false",
        "false_per_camera_day",
        "delay_p50_s",
        "delay_p95_s",
    )
    print(f"{'':26}" + "".join(f"{key[:12]:>13}" for key in (*keys, "count_error")))
    for name, row in rows.items():
        print(
            f"{name:26}"
            + "".join(f"{'–' if row[key] is None else row[key]:>13}" for key in (*keys, "count_error"))
        )


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _tries(text: str) -> list[tuple[str, str, str]]:
    kind, key, values = _setting(text)
    return [(kind, key, value) for value in values.split(",")]


def _setting(text: str) -> tuple[str, str, str]:
    name, _, value = text.partition("=")
    kind, _, key = name.partition(".")
    if not (kind and key and value):
        raise argparse.ArgumentTypeError(
            f"{text!r}: KIND.KEY=VALUE, such as zone_enter.frames=3 or *.min_score=0.5"
        )
    return kind, key, value


def main(arguments: list[str]) -> int:
    """Measures, and prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.alerts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seeds", type=_seeds, default=_seeds(f"{REPORTING}-{REPORTING + 59}"), metavar="A-B"
    )
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another version, judged beside this"
    )
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="KIND.KEY=VALUE")
    parser.add_argument(
        "--try",
        dest="tries",
        type=_tries,
        action="append",
        default=[],
        metavar="KIND.KEY=V1,V2",
        help="compare values of a setting, each alone",
    )
    parser.add_argument("--model", default="default", help="the detector's model (default: default)")
    parser.add_argument("--score", type=float, default=SCORE, help="confidence that starts a track")
    parser.add_argument("--clips", action="store_true", help="the labelled clips too")
    parser.add_argument("--misses", action="store_true", help="list each scene that is not perfect")
    parser.add_argument("--cached", action="store_true", help="only scenes whose detections are cached")
    parser.add_argument("--json", action="store_true", help="one line of JSON at the end")
    given = parser.parse_args(arguments)
    if not VISION.is_dir():
        print(f"bench.alerts: the pictures and clips are not here: {VISION}", file=sys.stderr)
        return 2
    settings: dict[str, dict[str, object]] = {}
    for kind, key, value in given.set:
        settings.setdefault(kind, {})[key] = value
    runs = [("after" if given.against else "now", HERE, settings)]
    if given.against:
        runs.insert(0, ("before", given.against.resolve(), {}))
    tables: dict[str, Any] = {}
    for title, checkout, changed in runs:
        name = detector_name(checkout, given.model)
        if not given.cached:
            with Detector(checkout, given.model) as detector:
                fill(given.seeds, {name: detector})
        if given.tries:
            tries = [one for few in given.tries for one in few]
            rows = compare(given.seeds, name, checkout, tries, changed, given.score)
            show(rows, f"{title}: settings, each one alone (synthetic scenes)")
            tables[title] = rows
            continue
        result = measure(given.seeds, name, checkout, changed, given.score)
        hours = result.all.camera_s / 3600
        tables[title] = result.table()
        show(
            tables[title],
            f"{title}: synthetic scenes, {hours:.2f} camera-hours ({checkout.name}, {given.model})",
        )
        if given.clips:
            with Detector(checkout, given.model) as detector:
                clips = measure_clips(detector, name, checkout)
            tables[f"{title}, clips"] = clips
            show(clips, f"{title}: four real clips, labelled by eye")
        if given.misses:
            print("\n".join(result.missing))
    if given.json:
        print(json.dumps(tables))
    return 0


def detector_name(checkout: Path, model: str) -> str:
    """The name of the cache for a checkout's detector."""
    return f"{model}-{'here' if checkout == HERE else checkout.name}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
