"""``ringpost models``: which detectors are here, are they whole, and how fast are they on this machine?"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

import models
from models.card import Card


def list_command(as_json: bool) -> int:
    """Prints a line for each card."""
    for card in models.cards_here():
        if as_json:
            print(card.model_dump_json(exclude={"labels"}))
        else:
            names = ", ".join((card.name, *card.aliases))
            size = f"{card.input.width}x{card.input.height}"
            print(f"{names:28} {size:10} {len(card.labels):3} labels  {card.licence}")
    return 0


def verify_command(names: Sequence[str], as_json: bool) -> int:
    """Loads each model: hash, shapes, outputs. 1 where one is not what its card says."""
    failed = 0
    try:
        cards: list[Card] = [models.find(name) for name in names] or models.cards_here()
    except (OSError, ValueError) as error:
        click.echo(f"models: {error}", err=True)
        return 1
    for card in cards:
        problem = None
        try:
            card.load()
        except (OSError, ValueError) as error:
            problem = str(error)
            failed += 1
        if as_json:
            print(json.dumps({"model": card.name, "ok": problem is None, "error": problem}))
        elif problem:
            click.echo(f"{card.name}: {problem}", err=True)
        else:
            print(
                f"{card.name}: ok: sha256 {card.sha256[:12]}…, takes {card.input.width}x{card.input.height}"
            )
    return 1 if failed else 0


def pull_command(url: str, sha256: str, folder: Path, as_json: bool) -> int:
    """Fetches weights. 1 where they can't be had, or are not the ones that were asked for."""
    from models.pull import pull

    try:
        path = pull(url, sha256, folder)
    except (OSError, ValueError) as error:
        click.echo(f"models: {error}", err=True)
        return 1
    print(json.dumps({"file": str(path), "sha256": sha256}) if as_json else f"{path}: sha256 is right")
    return 0


_BENCH = """
import json, resource, sys, time
import numpy as np
import models
card = models.find(sys.argv[1])
detect = card.load()
frame = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
took = []
for _ in range(int(sys.argv[2]) + 5):
    began = time.perf_counter()
    detect(frame)
    took.append((time.perf_counter() - began) * 1000)
print(json.dumps({"ms": took[5:], "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def bench_command(name: str, runs: int, as_json: bool) -> int:
    """Measures one thread on a 1280x720 picture, in a process of its own, so that a crash is a finding."""
    try:
        card = models.find(name)
    except (OSError, ValueError) as error:
        click.echo(f"models: {error}", err=True)
        return 1
    done = subprocess.run(
        [sys.executable, "-c", _BENCH, name, str(runs)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
        click.echo(f"models: {card.name} does not run here: {why}", err=True)
        return 1
    measured = json.loads(done.stdout)
    cuts = statistics.quantiles(measured["ms"], n=20)
    result = {
        "model": card.name,
        "runs": runs,
        "p50_ms": round(statistics.median(measured["ms"]), 1),
        "p95_ms": round(cuts[18], 1),
        "rss_mb": round(measured["rss_mb"]),
    }
    if as_json:
        print(json.dumps(result))
    else:
        times = f"p50 {result['p50_ms']} ms, p95 {result['p95_ms']} ms"
        print(f"{card.name}: {times}, {result['rss_mb']} MB, {runs} runs")
    return 0
