"""The display of ``ringpost watch``: a table on a terminal, otherwise lines or JSON."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from agent.cli.device_presence import SEVERITIES, DevicePresence, parse_instant
from agent.host.clock import monotonic_s, utc_now
from agent.runtime.sanitize import as_dict, printable, raw_stream

CENTRE = "the centre"
"""Publishes as ``host``, only when it starts and stops, so it never counts as silent."""
SETTLED_S = 0.5
"""Retained messages arrive one by one; a later one may carry a newer time stamp than the first."""
STATES = {"online": "green", "degraded": "yellow", "offline": "bold red", "stopped": "dim"}

VERIFIED = {"True": "verified by a second look", "False": "not verified by a second look"}


class WatchBoard:
    """Shows a table on a terminal; otherwise prints a line per change, or JSON."""

    def __init__(
        self,
        as_json: bool,
        *,
        clock: Callable[[], float] = monotonic_s,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._as_json = as_json
        self._clock, self._now = clock, now
        self._devices: dict[str, DevicePresence] = {}
        self._live: Any = None
        self._table = sys.stdout.isatty() and not as_json
        self._link_problem = ""

    def __enter__(self) -> Self:
        if self._table:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=raw_stream(sys.stdout)), refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def set_link_problem(self, problem: str) -> None:
        """Shows why the broker connection is down; an empty string means it is up again."""
        if problem == self._link_problem:
            return
        self._link_problem = problem
        if not self._table:
            print(f"watch: {printable(problem) or 'reconnected'}", file=sys.stderr, flush=True)

    def on_message(self, device: str, topic: str, body: dict[str, Any], retained: bool = False) -> None:
        """Takes one message of a device."""
        if self._as_json:
            line = {"device": device, "topic": topic, "message": body}
            print(json.dumps(line | ({"retained": True} if retained else {})), flush=True)
        device = CENTRE if device == "host" else device
        known = self._devices.setdefault(device, DevicePresence(self._clock()))
        if not known.update(topic, body, retained=retained, now_s=self._clock(), now=self._now()):
            return
        if self._table or self._as_json:
            return
        if topic == "alert":
            alert = as_dict(body.get("alert"))
            text = f"{printable(alert.get('severity'))}: {printable(alert.get('text'))}"
            alert_id = f" [{printable(alert['alert_id'])}]" if alert.get("alert_id") else ""
            phase = printable(alert.get("phase"))
            print(f"{device}{_marked(known)}: {phase} {text}{alert_id}", flush=True)
        else:
            self._print_state(device, known)

    def _print_state(self, device: str, known: DevicePresence) -> None:
        now_s = self._clock()
        if known.last_live_s is None and now_s - known.first_seen_s < SETTLED_S:
            return
        state = known.describe(device == CENTRE, now_s, self._now())
        if known.state == "?" and not state.startswith("silent"):
            return
        printed = f"{state} {'; '.join(known.reasons)}".rstrip()
        if printed != known.printed:
            known.printed = printed
            print(f"{device}{_marked(known)}: {printed}", flush=True)

    def show(self) -> None:
        """Redraws the table; without a terminal, prints each device that has become silent."""
        if self._live is not None:
            self._live.update(self.table())
        elif not self._as_json:
            for name, known in self._devices.items():
                self._print_state(name, known)

    def table(self) -> Any:
        """The table of devices, their alerts and problems; needs 60 columns."""
        from rich.table import Table
        from rich.text import Text

        now_s, now = self._clock(), self._now()
        title = Text(f"no connection: {self._link_problem}", "bold red") if self._link_problem else None
        table = Table("device", "alerts and problems", title=title, expand=True, show_lines=True)
        table.columns[0].ratio, table.columns[1].ratio = 1, 2
        for name, known in sorted(self._devices.items(), key=_urgency):
            state = known.describe(name == CENTRE, now_s, now)
            age = format_age(known.silence_s(now_s, now))
            left = Text()  # not markup: the text comes from a device
            left.append(f"{name}{_marked(known)}\n", "bold")
            left.append(f"{state}\n", STATES.get(state, "bold red"))
            left.append(
                f"seen {age} ago" if known.last_live_s is not None else f"last report {age} ago", "dim"
            )
            if known.position:
                left.append(f"\n{known.position}", "dim")
            right = Text()
            for alert in known.alerts:
                self._add_alert(right, alert, known, now)
            for line in (*known.reasons, *known.parts):
                right.append(f"{line}\n")
            right.rstrip()
            table.add_row(left, right)
        return table

    def _add_alert(self, text: Any, alert: dict[str, Any], known: DevicePresence, now: datetime) -> None:
        severity = printable(alert.get("severity"))
        since = parse_instant(alert.get("since"))
        age = (
            ""
            if since is None or known.last_stamped_at is None
            else format_age((now - since).total_seconds())
        )
        text.append(" ".join(filter(None, (severity, age))), SEVERITIES.get(severity, ""))
        text.append(f" {printable(alert.get('text'))}")
        if (answer := as_dict(alert.get("acknowledged"))) != {}:
            text.append(f" [acknowledged by {printable(answer.get('role'))}]", "green")
        elif alert.get("over") is True:
            text.append(" [cleared, awaiting acknowledgement]", "yellow")
        if (verified := alert.get("verified")) is not None:
            text.append(f" [{VERIFIED.get(str(verified), 'no second look in time')}]", "dim")
        if alert.get("alert_id"):
            text.append(f"\n  {printable(alert['alert_id'])}", "dim")
        text.append("\n")


def _marked(known: DevicePresence) -> str:
    """What follows the name of a simulated device."""
    return " (simulated)" if known.simulated else ""


def _urgency(device: tuple[str, DevicePresence]) -> tuple[bool, bool, bool, str]:
    """Sorts devices with critical alerts first, then others with alerts: a terminal cuts what is below."""
    name, known = device
    critical = any(alert.get("severity") == "critical" for alert in known.alerts)
    return not critical, not known.alerts, not known.reasons, name


def format_age(seconds: float) -> str:
    """``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = max(0.0, seconds)
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
