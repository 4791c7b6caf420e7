"""What ``ringpost simulate`` prints of a run: messages as they come, what happens next, and the verdict."""

import json
from collections.abc import Mapping
from typing import Any

import click

from centre.message_line import line
from simulators.scenario.verdict import Verdict

OFTEN = {"alert": 1000, "status": 1000, "position": 2, "birth": 1, "health": 1}
"""How many messages of a topic are printed; of all others none."""


class OutputClosed(SystemExit):
    """Standard output takes nothing more, as after ``| head``. A SystemExit, since an event loop goes on
    after any other exception of a callback: the run would lose the message that was being printed."""

    def __init__(self, error: OSError) -> None:
        super().__init__(1)
        self.error = error


def _print(text: str) -> None:
    try:
        click.echo(text)
    except OSError as error:
        raise OutputClosed(error) from None


class Screen:
    """Prints messages as they come, and the verdict."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, int] = {}

    def show(self, device: str, topic: str, body: Mapping[str, Any]) -> None:
        if self._as_json:
            _print(json.dumps({"device": device, "topic": topic, "message": body}))
            return
        self._shown[topic] = self._shown.get(topic, 0) + 1
        if self._shown[topic] <= OFTEN.get(topic, 0):
            _print(line(device, topic, dict(body)))

    def announce(self, text: str) -> None:
        if not self._as_json:
            _print(f"-> {text}")

    def conclude(self, verdict: Verdict) -> None:
        if self._as_json:
            click.echo(json.dumps({"verdict": verdict.fields()}))
        else:
            counts = ", ".join(f"{count} {topic}" for topic, count in sorted(self._shown.items()))
            click.echo(f"\n{sum(self._shown.values())} messages came back: {counts}")
            click.echo(f"alert messages, counted on both disks: {verdict.counts}")
        for complaint in verdict.complaints():
            click.echo(complaint, err=True)
        if not self._as_json:
            click.echo(f"{verdict.scenario}: {verdict.verdict}: {_summary(verdict)}")


def _summary(verdict: Verdict) -> str:
    judged = (*verdict.expectations, *verdict.never, *verdict.invariants)
    met = sum(one.met for one in judged)
    speed = f"{verdict.duration_s:g} s in {verdict.wall_s:.1f} s"
    return f"{met} of {len(judged)} expectations and invariants were met; {speed}, seed {verdict.seed}"
