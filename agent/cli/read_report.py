"""The output of ``ringpost read``: values, then statistics."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

import click

from agent.cli.read_plot import Plot
from agent.cli.text_table import TextTable
from agent.domain.message import encode
from agent.host.clock import utc_now
from firmware_bridge.readings import LineState, Value


class ReadReport:
    """Prints values and counts packets for the statistics."""

    def __init__(self, name: str, as_json: bool, plot: Plot | None = None) -> None:
        self._source_name, self._as_json, self._plot = name, as_json, plot
        self._columns = TextTable()
        self._good: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._skipped = 0
        self._baud: int | None = None
        self._problem: str | None = None
        self._state = LineState()

    def emit(self, value: Value) -> None:
        """Prints a value; keeps a ``LineState`` for the statistics."""
        if isinstance(value, LineState):
            self._state = value
            return
        if self._plot is not None:
            self._plot.add(value)
        at = utc_now()
        if not self._as_json:
            print(self._columns.line(at, value), flush=True)
            return
        known = {name: field for name, field in asdict(value).items() if field is not None}
        with suppress(ValueError):
            print(encode({"source": self._source_name, "at": at, "value": known}).decode(), flush=True)

    def closed(self) -> None:
        """The line was closed: adds its counts to the statistics. It may be opened again."""
        state, self._state = self._state, LineState()
        self._good += Counter(state.good)
        self._bad += Counter(state.bad)
        self._skipped += state.skipped_bytes
        self._baud = state.baud or self._baud
        self._problem = state.trouble or self._problem

    @property
    def has_data(self) -> bool:
        """Whether any bytes arrived."""
        return bool(self._good or self._bad or self._skipped)

    def failure(self, names: Sequence[str]) -> str | None:
        """Why no packet was decoded; None if one was."""
        if self._good:
            return None
        if self._bad:
            return f"looks like {', '.join(sorted(self._bad))}, but no packet is valid"
        if self._skipped:
            return f"no valid packets; {self._skipped} unrecognised bytes (tried {', '.join(names)})"
        return "no data"

    def print_statistics(self) -> None:
        """Prints one line; on standard error where values are printed as JSON."""
        good = ", ".join(f"{count} {name}" for name, count in sorted(self._good.items())) or "none"
        bad = ", ".join(f"{count} {name}" for name, count in sorted(self._bad.items())) or "none"
        speed = f"; {self._baud} baud" if self._baud else ""
        problem = f"; {self._problem}" if self._problem else ""
        text = f"read: valid: {good}; invalid: {bad}; {self._skipped} unrecognised bytes{speed}{problem}"
        click.echo(text, err=self._as_json)
