"""``ringpost models``: lists, verifies, measures and downloads detector models."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

import models
from agent.runtime.error_text import describe_error
from agent.runtime.native_calls import call_within
from agent.vision.detector import max_load_s
from models.card import Card
from models.session import Loaded, providers_in

LONGEST_RUN_S = 30.0
"""No inference takes longer, on any machine."""


def list_command(as_json: bool) -> int:
    """Prints one line per model card."""
    for card in models.cards_here():
        if as_json:
            print(card.model_dump_json(exclude={"labels"}))
        else:
            names = ", ".join((card.name, *card.aliases))
            size = f"{card.input.width}x{card.input.height}"
            print(f"{names:28} {size:10} {len(card.labels):3} labels  {card.licence}")
    return 0


def verify_command(names: Sequence[str], providers: str, as_json: bool) -> int:
    """Loads and runs each model: hash, shapes, outputs. 1 where one differs from its card."""
    failed = 0
    try:
        asked = providers_in(providers)
        cards: Sequence[Card] = [models.find(name) for name in names] or models.cards_here()
    except (OSError, ValueError) as error:
        click.echo(f"models: {describe_error(error)}", err=True)
        return 1
    for card in cards:
        problem: str | None = None
        loaded: Loaded | None = None
        try:
            placed = card.on(asked or card.providers)
            loaded = call_within(max_load_s(placed.providers), placed.load, f"loading {card.name}")
        except (OSError, ValueError) as error:
            problem = describe_error(error)
            failed += 1
        if as_json:
            answer = {"model": card.name, "ok": problem is None, "error": problem}
            runs_on, note = (loaded.runs_on, loaded.note) if loaded else (None, None)
            print(json.dumps(answer | {"runs_on": runs_on, "note": note}))
        elif loaded is None:
            click.echo(f"{card.name}: {problem}", err=True)
        else:
            size, where = f"{card.input.width}x{card.input.height}", loaded.runs_on
            proved = "test picture passed" if card.proof else "no test picture"
            print(f"{card.name}: ok: sha256 {card.sha256[:12]}…, input {size}, {proved}, runs on {where}")
            if loaded.note:
                click.echo(f"{card.name}: {loaded.note}", err=True)
    return 1 if failed else 0


def pull_command(url: str, sha256: str, folder: Path, as_json: bool) -> int:
    """Downloads weights. 1 where the download fails or the hash differs."""
    from models.pull import pull

    try:
        path = pull(url, sha256, folder)
    except (OSError, ValueError) as error:
        click.echo(f"models: {describe_error(error)}", err=True)
        return 1
    print(json.dumps({"file": str(path), "sha256": sha256}) if as_json else f"{path}: SHA-256 matches")
    return 0


_BENCH = """
import json, resource, sys, time
import numpy as np
import models
from models.session import Loaded, providers_in
card = models.find(sys.argv[1])
detect = card.on(providers_in(sys.argv[3]) or card.providers).load()
frame = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
took = []
for _ in range(int(sys.argv[2]) + 5):
    began = monotonic_s()
    detect(frame)
    took.append((monotonic_s() - began) * 1000)
rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
about = {"runs_on": detect.runs_on, "note": detect.note}
print(json.dumps({"ms": took[5:], "rss_mb": rss_mb, **about}))
"""


def bench_command(name: str, runs: int, providers: str, as_json: bool) -> int:
    """Measures one thread on a 1280x720 picture, in a separate process, so that a crash is reported."""
    try:
        card = models.find(name)
        providers_in(providers)
    except (OSError, ValueError) as error:
        click.echo(f"models: {describe_error(error)}", err=True)
        return 1
    limit_s = max_load_s(providers_in(providers) or card.providers) + runs * LONGEST_RUN_S
    try:
        done = subprocess.run(
            [sys.executable, "-c", _BENCH, name, str(runs), providers],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        click.echo(f"models: {card.name}: no result within {limit_s:g} s", err=True)
        return 1
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
        click.echo(f"models: {card.name} failed on this machine: {why}", err=True)
        return 1
    measured = json.loads(done.stdout.splitlines()[-1])
    cuts = statistics.quantiles(measured["ms"], n=100, method="inclusive")
    result = {
        "model": card.name,
        "runs": runs,
        "runs_on": measured["runs_on"],
        "p50_ms": round(statistics.median(measured["ms"]), 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "max_ms": round(max(measured["ms"]), 1),
        "rss_mb": round(measured["rss_mb"]),
    }
    if as_json:
        print(json.dumps(result))
    else:
        times = ", ".join(f"{cut} {result[f'{cut}_ms']} ms" for cut in ("p50", "p95", "p99", "max"))
        print(f"{card.name}: {times}, {result['rss_mb']} MB, {runs} runs on {result['runs_on']}, one thread")
        if card.latency:
            print(
                "  on its card: "
                + "; ".join(f"{machine}: {latency}" for machine, latency in card.latency.items())
            )
    if measured["note"]:
        click.echo(f"{card.name}: {measured['note']}", err=True)
    return 0
