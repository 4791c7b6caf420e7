"""The live table of ``ringpost watch``: what each device says of itself, and how old that is.

Presence (docs/decisions/0028): only a last will is judged by its connection. Whatever else comes counts,
whatever its session: a new card begins at session 1. A retained message shows what was last said, by its own
time stamp; that a device is there now takes a live message.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from agent.cli.device_presence import _Device, _instant
from agent.runtime.sanitize import as_dict, as_list, printable, terminal

CENTRE = "the centre"
"""Speaks under the name ``host``, once when it comes and once when it goes: it is never silent."""
SETTLED_S = 0.5
"""Retained messages come one after the other: what the first says of the time, the next may know better."""
SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
"""Most severe first, with its colour."""
STATES = {"online": "green", "degraded": "yellow", "offline": "bold red", "stopped": "dim"}


class Board:
    """Shows a table on a terminal; elsewhere a line for each change, or JSON."""

    def __init__(
        self,
        as_json: bool,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._as_json = as_json
        self._clock, self._now = clock, now
        self._devices: dict[str, _Device] = {}
        self._live: Any = None
        self._table = sys.stdout.isatty() and not as_json
        self._link = ""

    def __enter__(self) -> Self:
        if self._table:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=terminal(sys.stdout)), refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def link(self, trouble: str) -> None:
        """What is wrong with the connection to the broker; empty when it is there again."""
        if trouble == self._link:
            return
        self._link = trouble
        if not self._table:
            print(f"watch: {printable(trouble) or 'connected again'}", file=sys.stderr, flush=True)

    def hear(self, device: str, topic: str, body: dict[str, Any], retained: bool = False) -> None:
        """One message of a device."""
        if self._as_json:
            said = {"device": device, "topic": topic, "message": body}
            print(json.dumps(said | ({"retained": True} if retained else {})), flush=True)
        device = CENTRE if device == "host" else device
        known = self._devices.setdefault(device, _Device(self._clock()))
        will = topic == "status" and body.get("state") == "offline"
        if will and known.outlived(body):
            return  # of an old connection: a new life has begun
        if not will:
            self._note_time(known, body, retained)
        self._note(known, topic, body, will, retained)
        if self._table or self._as_json:
            return
        if topic == "alert":
            alert = as_dict(body.get("alert"))
            words = f"{printable(alert.get('severity'))}: {printable(alert.get('text'))}"
            print(f"{device}: {printable(alert.get('phase'))} {words}", flush=True)
        else:
            self._print_state(device, known)

    def _note_time(self, known: _Device, body: dict[str, Any], retained: bool) -> None:
        """That it spoke, and when. Whoever speaks is there, whatever its last will said before."""
        clock = as_dict(body.get("clock"))
        at = _instant(body.get("at"))
        if at is not None and clock.get("source") != "unsynced" and at <= self._now() + timedelta(minutes=1):
            known.said_at = max(at, known.said_at or at)
        if not retained:
            known.live_s = self._clock()
            if known.will is not None:
                known.will, known.state, known.reasons = None, "online", []

    def _note(self, known: _Device, topic: str, body: dict[str, Any], will: bool, retained: bool) -> None:
        if topic == "status":
            known.state = printable(body.get("state"))
            known.reasons = list(map(printable, as_list(body.get("reasons"))))
            known.will = body if will else None
        elif topic == "birth":
            self._note_birth(known, body, retained)
        elif topic == "health":
            known.parts = [_part(one) for one in map(as_dict, as_list(body.get("parts"))) if _troubled(one)]
        elif topic == "position" and (where := _where(body)):
            known.position = where
        elif topic == "alerts/active":
            known.alerts = sorted(map(as_dict, as_list(body.get("alerts"))), key=_urgency)

    def _note_birth(self, known: _Device, body: dict[str, Any], retained: bool) -> None:
        session, every_s = body.get("session"), as_dict(body.get("reporting")).get("health_every_s")
        born_at = _instant(body.get("at"))
        if retained and known.born_at is not None and (born_at is None or born_at < known.born_at):
            return
        known.session = session if isinstance(session, int) else None
        known.born_at = born_at
        if isinstance(every_s, int | float) and 1 <= every_s <= 86_400:
            known.health_every_s = float(every_s)
        if known.state == "?" or (known.will is not None and known.outlived(known.will)):
            known.will, known.state, known.reasons = None, "online", []

    def _print_state(self, device: str, known: _Device) -> None:
        now_s = self._clock()
        if known.live_s is None and now_s - known.known_s < SETTLED_S:
            return
        standing = known.standing(device == CENTRE, now_s, self._now())
        if known.state == "?" and not standing.startswith("silent"):
            return
        told = f"{standing} {'; '.join(known.reasons)}".rstrip()
        if told != known.told:
            known.told = told
            print(f"{device}: {told}", flush=True)

    def show(self) -> None:
        """Draws the table as it is now; elsewhere says who has fallen silent."""
        if self._live is not None:
            self._live.update(self.table())
        elif not self._as_json:
            for name, known in self._devices.items():
                self._print_state(name, known)

    def table(self) -> Any:
        """The table as it is now: devices and what is wrong there, in 60 columns or more."""
        from rich.table import Table
        from rich.text import Text

        now_s, now = self._clock(), self._now()
        title = Text(f"no connection: {self._link}", "bold red") if self._link else None
        table = Table("device", "alerts, and what is wrong", title=title, expand=True, show_lines=True)
        table.columns[0].ratio, table.columns[1].ratio = 1, 2
        for name, known in sorted(self._devices.items()):
            standing = known.standing(name == CENTRE, now_s, now)
            age = _age(known.quiet_s(now_s, now))
            left = Text()  # plain text: what a device says is no markup
            left.append(f"{name}\n", "bold")
            left.append(f"{standing}\n", STATES.get(standing, "bold red"))
            left.append(f"heard {age} ago" if known.live_s is not None else f"last word {age} ago", "dim")
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

    def _add_alert(self, text: Any, alert: dict[str, Any], known: _Device, now: datetime) -> None:
        severity = printable(alert.get("severity"))
        since = _instant(alert.get("since"))
        age = "" if since is None or known.said_at is None else _age((now - since).total_seconds())
        text.append(" ".join(filter(None, (severity, age))), SEVERITIES.get(severity, ""))
        text.append(f" {printable(alert.get('text'))}")
        if (answer := as_dict(alert.get("acknowledged"))) != {}:
            text.append(f" [answered by {printable(answer.get('role'))}]", "green")
        elif alert.get("over") is True:
            text.append(" [over, waits for an answer]", "yellow")
        text.append("\n")


def _urgency(alert: dict[str, Any]) -> tuple[int, str]:
    """Most severe first, then the oldest."""
    order = list(SEVERITIES)
    severity = alert.get("severity")
    place = order.index(severity) if isinstance(severity, str) and severity in order else len(order)
    return place, str(alert.get("since", ""))


def _age(seconds: float) -> str:
    """``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = max(0.0, seconds)
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _troubled(part: dict[str, Any]) -> bool:
    """Whether one of the three answers is no."""
    return part.get("running") == "waiting" or part.get("speaking") is False or part.get("valid") is False


def _part(part: dict[str, Any]) -> str:
    """A part's three answers in few words."""
    said = [printable(part.get("running"))]
    said += ["silent"] if part.get("speaking") is False else []
    said += ["damaged"] if part.get("valid") is False else []
    return f"{printable(part.get('part'))}: {', '.join(said)}"


def _where(body: dict[str, Any]) -> str:
    """A position in few words; empty where it tells none."""
    lat, lon = body.get("lat"), body.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return ""
    return f"{lat:.5f} {lon:.5f} {printable(body.get('mode', ''))}"
