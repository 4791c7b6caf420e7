"""The live table of ``ringpost watch``: what each device says of itself, and how old that is."""

import json
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from agent.untrusted import listed, mapped, shown, terminal

STALE_AFTER_S = 150.0
"""A device that said nothing for this long (two and a half health periods) is stale."""

CENTRE = "the centre"
"""Speaks under the name ``host``, once when it comes and once when it goes: it is never stale."""


@dataclass
class _Device:
    heard_s: float = 0.0
    session: int = 0
    state: str = "?"
    reasons: list[str] = field(default_factory=list)
    position: str = ""
    parts: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)


class Board:
    """Shows a table on a terminal; elsewhere a line for each change, or JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._devices: dict[str, _Device] = {}
        self._live: Any = None
        self._table = sys.stdout.isatty() and not as_json

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

    def hear(self, device: str, topic: str, body: dict[str, Any]) -> None:
        """One message of a device."""
        if self._as_json:
            print(json.dumps({"device": device, "topic": topic, "message": body}), flush=True)
        device = CENTRE if device == "host" else device
        known = self._devices.setdefault(device, _Device())
        session = body.get("session")
        if isinstance(session, int):
            if session < known.session:
                return  # a late word of an old connection, such as its last will: a new life has begun
            known.session = session
        known.heard_s = time.monotonic()
        before = (known.state, known.reasons)
        if topic == "status":
            known.state, known.reasons = (
                shown(body.get("state")),
                list(map(shown, listed(body.get("reasons")))),
            )
        elif topic == "birth" and known.state in ("?", "offline"):
            known.state, known.reasons = "online", []
        elif topic == "health":
            known.parts = [_part(one) for one in map(mapped, listed(body.get("parts"))) if _troubled(one)]
        elif topic == "position" and (where := _where(body)):
            known.position = where
        elif topic == "alerts/active":
            known.alerts = [_alert(one) for one in map(mapped, listed(body.get("alerts")))]
        if self._table or self._as_json:
            return
        if topic == "alert":
            alert = mapped(body.get("alert"))
            print(f"{device}: {shown(alert.get('phase'))} {_alert(alert)}", flush=True)
        elif (known.state, known.reasons) != before:
            print(f"{device}: {known.state} {'; '.join(known.reasons)}".rstrip(), flush=True)

    def show(self) -> None:
        """Draws the table as it is now."""
        if self._live is None:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table("device", "state", "heard", "position", "active alerts", "reasons", "parts")
        for name, device in sorted(self._devices.items()):
            age_s = time.monotonic() - device.heard_s
            lasting = name == CENTRE or device.state == "stopped"
            state = "stale" if age_s > STALE_AFTER_S and not lasting else device.state
            cells = [
                name,
                state,
                f"{age_s:.0f} s ago",
                device.position,
                "\n".join(device.alerts),
                "\n".join(device.reasons),
                "\n".join(device.parts),
            ]
            table.add_row(*map(Text, cells))  # plain text: what a device says is no markup
        self._live.update(table)


def _troubled(part: dict[str, Any]) -> bool:
    """Whether one of the three answers is no."""
    return part.get("running") == "waiting" or part.get("speaking") is False or part.get("valid") is False


def _part(part: dict[str, Any]) -> str:
    """A part's three answers in few words."""
    said = [shown(part.get("running"))]
    said += ["silent"] if part.get("speaking") is False else []
    said += ["damaged"] if part.get("valid") is False else []
    return f"{shown(part.get('part'))}: {', '.join(said)}"


def _alert(alert: dict[str, Any]) -> str:
    return f"{shown(alert.get('severity'))}: {shown(alert.get('text'))}"


def _where(body: dict[str, Any]) -> str:
    """A position in few words; empty where it tells none."""
    lat, lon = body.get("lat"), body.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return ""
    return f"{lat:.5f} {lon:.5f} {shown(body.get('mode', ''))}"
