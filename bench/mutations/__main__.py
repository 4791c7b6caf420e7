"""Mutations of the agent and of the centre, each of which a scenario must notice.

``python -m bench.mutations [NAME…]`` plays each in virtual time in a process of its own, and prints which
expectation or invariant was broken. Exit code 1 where one stays green, had no effect, or where a scenario is
not green without it. The source is never changed: a mutation wraps a function of the running process.
"""

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

from bench.mutations import MUTATIONS
from bench.mutations.playing import play_by_name


def main() -> int:
    names = sys.argv[1:] or list(MUTATIONS)
    if unknown := [name for name in names if name not in MUTATIONS]:
        print(f"mutations: unknown mutation {unknown[0]!r}; known: {', '.join(MUTATIONS)}", file=sys.stderr)
        return 2
    scenarios = list(dict.fromkeys(MUTATIONS[name].scenario for name in names))
    began_s, failures, rows = time.monotonic(), 0, []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, context) as pool:
        for one in pool.map(play_by_name, [f"={scenario}" for scenario in scenarios] + names):
            good = one.verdict == "passed" if one.name == "none" else one.noticed
            failures += not good
            first, more = (one.broken[0], len(one.broken) - 1) if one.broken else (("-", ""), 0)
            print(
                f"{'ok ' if good else 'BAD'} {one.name:28} {one.scenario:32} {one.verdict:10}"
                f" {one.effects:5} effects {one.cpu_s:5.1f} s  {first[0]}: {first[1]}"[:230]
                + (f" (and {more} more)" if more else ""),
                flush=True,
            )
            rows.append({"mutation": one.name, "scenario": one.scenario, "verdict": one.verdict,
                         "effects": one.effects, "cpu_s": round(one.cpu_s, 2),
                         "broken": [what for what, _ in one.broken]})  # fmt: skip
    seconds = timedelta(seconds=round(time.monotonic() - began_s))
    print(f"{len(names)} mutations, {failures} not as they should be, in {seconds}")
    if target := os.environ.get("RINGPOST_MUTATIONS_JSON"):
        Path(target).write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
