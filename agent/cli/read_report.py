"""What ``ringpost read`` prints."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import click

from agent.cli.text_table import TextTable
from agent.domain.message import encode
from firmware_bridge.readings import LineState, Value


class Reading:
    """What is printed, and counted for the statistics."""

    def __init__(self, name: str, as_json: bool) -> None:
        self._name, self._as_json = name, as_json
        self._columns = TextTable()
        self._good: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._skipped = 0
        self._baud: int | None = None
        self._trouble: str | None = None
        self._state = LineState()

    def emit(self, value: Value) -> None:
        """Prints a value; the state of the line is kept for later."""
        if isinstance(value, LineState):
            self._state = value
            return
        at = datetime.now(UTC)
        if not self._as_json:
            print(self._columns.line(at, value), flush=True)
            return
        told = {key: one for key, one in asdict(value).items() if one is not None}
        with suppress(ValueError):
            print(encode({"source": self._name, "at": at, "value": told}).decode(), flush=True)

    def closed(self) -> None:
        """The line was closed: what it said counts, and it may be opened anew."""
        state, self._state = self._state, LineState()
        self._good += Counter(state.good)
        self._bad += Counter(state.bad)
        self._skipped += state.skipped_bytes
        self._baud = state.baud or self._baud
        self._trouble = state.trouble or self._trouble

    @property
    def heard(self) -> bool:
        """Whether anything came."""
        return bool(self._good or self._bad or self._skipped)

    def doubt(self, names: Sequence[str]) -> str | None:
        """Why nothing was understood; None where something was."""
        if self._good:
            return None
        if self._bad:
            return f"nothing of it can be right, though it looks like {', '.join(sorted(self._bad))}"
        if self._skipped:
            return f"nothing was understood: its {self._skipped} bytes are no {', '.join(names)}"
        return "nothing came"

    def say_statistics(self) -> None:
        """One line, beside JSON on standard error."""
        good = ", ".join(f"{count} {name}" for name, count in sorted(self._good.items())) or "nothing"
        bad = ", ".join(f"{count} {name}" for name, count in sorted(self._bad.items())) or "none"
        speed = f"; {self._baud} baud" if self._baud else ""
        trouble = f"; {self._trouble}" if self._trouble else ""
        text = f"read: good: {good}; bad: {bad}; {self._skipped} bytes of no packet{speed}{trouble}"
        click.echo(text, err=self._as_json)
