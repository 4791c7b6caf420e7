"""The display of a roll-out: a table on a terminal, otherwise a line per change, or JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from agent.cli.rollout_plan import FAILED, DeviceProgress, RolloutState, list_names
from agent.runtime.sanitize import raw_stream

WORDS = {
    "waiting": "untouched", "sent": "on trial", "done": "done", "rejected": "rejected",
    "rolled_back": "rolled back", "degraded": "degraded", "unhealthy": "not healthy",
    "no_answer": "no answer", "skipped": "skipped",
}  # fmt: skip
STYLES = {"done": "green", "sent": "yellow", "waiting": "dim", "skipped": "dim"}
MAX_ROWS = 12
"""Devices with a row of their own, at the same time."""


class RolloutBoard:
    """Shows the progress; results go to standard output."""

    def __init__(self, state: RolloutState, as_json: bool) -> None:
        self._state, self._as_json = state, as_json
        self._table = sys.stdout.isatty() and not as_json
        self._live: Any = None
        self._waves = state.wave_count()
        self._headline = ""

    def __enter__(self) -> Self:
        if self._table:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=raw_stream(sys.stdout)), refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self.table())
            self._live.__exit__(kind, error, trace)

    def on_wave(self, wave: int, pause_s: float) -> None:
        """A wave begins, or the pause after it."""
        count = len(self._state.in_wave(wave))
        if pause_s:
            self._headline = f"wave {wave + 1} of {self._waves} is well; {pause_s:g} s of watching"
        else:
            self._headline = f"wave {wave + 1} of {self._waves}: {count} device{'s' * (count != 1)}"
        if self._table:
            self._live.update(self.table())
        elif self._as_json:
            self._print_json({"wave": wave + 1, "of": self._waves, "devices": count, "pause_s": pause_s})
        else:
            print(self._headline, flush=True)

    def on_change(self, name: str, device: DeviceProgress) -> None:
        """A device took a step."""
        if self._table:
            self._live.update(self.table())
        elif self._as_json:
            fields = {"step": device.step, "revision": device.revision, "wave": device.wave + 1}
            self._print_json({"device": name} | fields | ({"detail": device.detail} if device.detail else {}))
        elif device.step != "sent":
            detail = f": {device.detail}" if device.detail else ""
            print(f"  {name}: {WORDS[device.step]}{detail}", flush=True)

    def note(self, line: str) -> None:
        """Something about the connection."""
        if self._table:
            self._headline = line
            self._live.update(self.table())
        else:
            print(f"config: {line}", file=sys.stderr, flush=True)

    def _print_json(self, fields: Mapping[str, Any]) -> None:
        print(json.dumps(fields), flush=True)

    def table(self) -> Any:
        """A row per wave, then the devices that failed or are under way."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        steps = ("done", "sent", "failed", "waiting", "skipped")
        heads = ("wave", "devices", "done", "on trial", "failed", "untouched", "skipped")
        waves = Table(*heads, title=self._headline or None)
        for wave in range(self._waves):
            names = self._state.in_wave(wave)
            taken = [self._state.devices[name].step for name in names]
            counts = [
                sum(step in FAILED if one == "failed" else step == one for step in taken) for one in steps
            ]
            styles = ("green", "yellow", "bold red", "dim", "dim")
            cells = [Text(str(count or ""), style) for count, style in zip(counts, styles, strict=True)]
            waves.add_row(str(wave + 1), str(len(names)), *cells)
        devices = Table("device", "state", "revision", "reason", expand=True)
        shown = [*self._state.with_step(*FAILED), *self._state.with_step("sent")]
        for name in shown[:MAX_ROWS]:
            device = self._state.devices[name]
            style = STYLES.get(device.step, "bold red")
            state, detail = Text(WORDS[device.step], style), Text(device.detail)
            devices.add_row(name, state, str(device.revision or ""), detail)
        if len(shown) > MAX_ROWS:
            devices.add_row(f"and {len(shown) - MAX_ROWS} more", "", "", "")
        return Group(waves, devices) if shown else waves


def who_has_what(state: RolloutState) -> Sequence[str]:
    """Which devices have which revision, one line for each."""
    lines: dict[str, list[str]] = {}
    for name, device in state.devices.items():
        if device.step in ("done", "degraded", "unhealthy"):
            has = f"revision {device.revision}"
        elif device.step in ("sent", "no_answer"):
            has = f"revision {device.revision} sent, outcome unknown"
        else:
            has = "as before" + (f" (revision {device.base_revision})" if device.base_revision else "")
        lines.setdefault(has, []).append(name)
    return [f"{has}: {len(names)} ({list_names(names)})" for has, names in lines.items()]
