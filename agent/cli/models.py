"""``ringpost models``: lists, verifies and measures detector models."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

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
            fields = card.model_dump(mode="json", exclude={"labels"})
            print(json.dumps(fields | {"here": _is_here(card), "sizes": _sizes(card)}))
        else:
            print(f"{card.name:18} {describe_input(card):74} {len(card.labels):3} labels  {card.licence}")
            if card.aliases:
                print(f"{'':18} also named {', '.join(card.aliases)}")
            if not _is_here(card):
                size = "" if card.size is None else f" ({card.size / 1e6:.1f} MB)"
                print(f"{'':18} not here yet: ringpost models pull {card.name}{size}")
    return 0


def describe_input(card: Card) -> str:
    """Size, resize and pad of the input; by aspect with the sizes of the usual cameras."""
    if not card.input.by_aspect:
        return str(card.input)
    return f"{card.input} ({', '.join(f'{aspect} {size}' for aspect, size in _sizes(card).items())})"


def _sizes(card: Card) -> dict[str, str]:
    return {
        name: "{}x{}".format(*card.input.size(columns, rows))
        for name, (columns, rows) in {"4:3": (640, 480), "16:9": (1280, 720)}.items()
    }


def _is_here(card: Card) -> bool:
    try:
        return card.weights_file().exists()
    except OSError:
        return False


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
        if not names and not _is_here(card):  # not a fault: nobody asked for this model
            pulls = f"its weights are not here yet: ringpost models pull {card.name}"
            print(
                json.dumps({"model": card.name, "ok": None, "error": pulls})
                if as_json
                else f"{card.name}: {pulls}"
            )
            continue
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
            answer |= {"input": describe_input(card)}
            runs_on, note = (loaded.runs_on, loaded.note) if loaded else (None, None)
            print(json.dumps(answer | {"runs_on": runs_on, "note": note}))
        elif loaded is None:
            click.echo(
                problem if (problem or "").startswith(card.name) else f"{card.name}: {problem}", err=True
            )
        else:
            proved = "test picture passed" if card.proof else "no test picture"
            where = f"{proved}, runs on {loaded.runs_on}"
            print(f"{card.name}: ok: sha256 {card.sha256[:12]}…, input {describe_input(card)}, {where}")
            if loaded.note:
                click.echo(f"{card.name}: {loaded.note}", err=True)
    return 1 if failed else 0


_BENCH = """
import json, resource, sys
import numpy as np
import models
from agent.host.clock import monotonic_s
from models.session import providers_in
card = models.find(sys.argv[1])
detect = card.on(providers_in(sys.argv[3]) or card.providers).load()
frame = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
took = []
for _ in range(int(sys.argv[2]) + 5):
    began = monotonic_s()
    detect(frame)
    took.append((monotonic_s() - began) * 1000)
rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = "{}x{}".format(*detect.input_size(1280, 720))
about = {"input": size, "runs_on": detect.runs_on, "note": detect.note}
print(json.dumps({"ms": took[5:], "rss_mb": rss_mb, **about}))
"""


def bench_command(name: str, runs: int, providers: str, as_json: bool) -> int:
    """Measures one thread on a 1280x720 picture, in a separate process, so that a crash is reported."""
    try:
        card = models.find(name)
        card.weights_file()
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
        "input": measured["input"],
        "pad": card.input.pad,
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
        print(f"  1280x720 is examined at {result['input']}: input {card.input}")
        if card.latency:
            print(
                "  on its card: "
                + "; ".join(f"{machine}: {latency}" for machine, latency in card.latency.items())
            )
    if measured["note"]:
        click.echo(f"{card.name}: {measured['note']}", err=True)
    return 0
