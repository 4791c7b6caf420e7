"""``ringpost doctor``: numbered checks of this device, each with its findings and a remedy."""

import asyncio
import json
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from agent.cli.checks.configuration import LoadedConfig, load
from agent.cli.checks.doctor_checks import doctor_checks
from agent.cli.checks.finding import WORST_FIRST, Finding, State
from agent.cli.checks.runner import CheckResult, run_checks
from agent.cli.checks.target import Target, use_credentials_of_unit
from agent.host.clock import monotonic_s
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED
from agent.runtime.logging_setup import set_up_log
from agent.runtime.sanitize import printable, raw_stream

WIDTH = 100
INDENT = " " * 28
COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "cyan"}
USUAL_FILE = Path("/etc/ringpost/device.yaml")


def doctor_command(file: Path | None, data: Path | None, as_json: bool, bundle: Path | None) -> int:
    """Runs all checks. 0: nothing failed; 1: something failed; 78: a wrong configuration; 130: Ctrl-C."""
    set_up_log("error")
    file = file or USUAL_FILE
    use_credentials_of_unit()
    loaded = load(file, data)
    target = Target(file=file, config=loaded.in_force, folder=loaded.folder)
    results: list[CheckResult] = []
    began_s = monotonic_s()
    code = 0
    try:
        asyncio.run(_run(loaded, target, results, as_json))
    except KeyboardInterrupt:
        click.echo("interrupted: the checks that follow were not made", err=True)
        code = EX_INTERRUPTED
    _print_summary(results, as_json, monotonic_s() - began_s)
    if bundle is not None:
        from agent.cli.doctor_bundle import write_bundle

        try:
            write_bundle(bundle, loaded, target, [_fields(result) for result in results])
        except (OSError, ValueError) as error:
            click.echo(f"doctor: {bundle}: {describe_error(error)}", err=True)
            return code or 1
        text = f"written without secrets: {bundle}; look through it, then send it to the control room"
        _print_hanging(text, "  ", err=as_json)
    if loaded.problems:
        return code or EX_CONFIG
    return code or int(any(result.state == "failed" for result in results))


async def _run(loaded: LoadedConfig, target: Target, results: list[CheckResult], as_json: bool) -> None:
    with _progress(quiet=as_json) as on_running:
        async for result in run_checks(doctor_checks(loaded), target, on_running):
            results.append(result)
            if as_json:
                print(json.dumps(_fields(result), ensure_ascii=False), flush=True)
            else:
                _print_result(result)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """Shows on a terminal which checks run; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(file=raw_stream(sys.stderr))
    with console.status("checking …") as status:
        yield lambda running: status.update(f"checking {', '.join(running)} …")


def _print_result(result: CheckResult) -> None:
    """One line per finding, wrapped at `WIDTH`; the first with number, name and state of the check."""
    head = f"{result.number:2} {result.name:14} "
    shown = list(result.findings) or [Finding(state="ok", text="nothing to check")]
    for position, finding in enumerate(sorted(shown, key=lambda one: WORST_FIRST.index(one.state))):
        start = head if position == 0 else " " * len(head)
        lines = _wrapped(_text(finding), WIDTH - len(INDENT))
        state = click.style(f"{finding.state:8}", fg=COLOURS[finding.state])
        click.echo(f"{start}{state}  {lines[0]}")
        for line in lines[1:]:
            click.echo(INDENT + line)
        if finding.remedy:
            for number, line in enumerate(_wrapped(finding.remedy, WIDTH - len(INDENT) - 2)):
                click.echo(f"{INDENT}{'  ' if number else '→ '}{line}")


def _text(finding: Finding) -> str:
    return printable(f"{finding.place}: {finding.text}" if finding.place else finding.text)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), width, break_on_hyphens=False) or [""]


def _print_summary(results: list[CheckResult], as_json: bool, took_s: float) -> None:
    """The checks with findings, the worst first, each with its first remedy."""
    counts = Counter(result.state for result in results)
    if as_json:
        print(json.dumps({"summary": dict(counts), "took_s": round(took_s, 1)}), flush=True)
        return
    named: tuple[tuple[State, str], ...] = (("failed", "failed"), ("warning", "with warnings"))
    print()
    for state, words in named:
        chosen = [result for result in results if result.state == state]
        if not chosen:
            continue
        for number, line in enumerate(
            _wrapped(f"{len(chosen)} {words}: {', '.join(one.name for one in chosen)}", WIDTH - 2)
        ):
            click.echo(click.style(f"{'  ' if number else ''}{line}", fg=COLOURS[state], bold=True))
        for result in chosen:
            finding = next(one for one in result.findings if one.state == state)
            text = f"{result.number:2} {_text(finding)}"
            _print_hanging(text, "   ")
            if finding.remedy:
                _print_hanging(f"   → {printable(finding.remedy)}", "     ")
    print(f"{counts['ok']} ok, {counts['skipped']} skipped, in {took_s:.0f} s")


def _print_hanging(text: str, indent: str, *, err: bool = False) -> None:
    """``text`` wrapped at `WIDTH`, the lines behind the first behind ``indent``."""
    for line in textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False):
        click.echo(line, err=err)


def _fields(result: CheckResult) -> dict[str, object]:
    return {
        "number": result.number,
        "check": result.name,
        "state": result.state,
        "findings": [finding.fields() for finding in result.findings],
        "took_s": round(result.took_s, 2),
    }
