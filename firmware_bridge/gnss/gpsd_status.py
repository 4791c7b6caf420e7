"""Jamming and antenna as gpsd reports them, and which of several receivers is reported. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from firmware_bridge.readings import Fix, GnssState, Value

ANTENNA: dict[object, Literal["ok", "short", "open"]] = {1: "ok", 2: "open", 3: "short"}


JAM_WARNING, JAM_CRITICAL = 128, 192
"""Of 255. A TSIP receiver's two alarms come as 128 and 255; u-blox reports 5 to 50 without jamming."""


STATE_VALID_TPVS = 10
"""TPVs without jamming or antenna after which the last report counts as over."""


FIX_VALID_TPVS, FIX_VALID_S = 20, 3.0
"""TPVs of all receivers, or seconds, for which a receiver's last fix is valid while others report."""


class GpsdRfStatus:
    """Jamming and antenna as gpsd reports them: it omits both while there is no fault."""

    def __init__(self) -> None:
        self._jam: tuple[int, int] | None = None  # the last level reported, and the TPVs since
        self._antenna: tuple[Literal["ok", "short", "open"], int] | None = None

    def take(self, tpv: Mapping[str, Any]) -> list[Value]:
        """The state with this TPV; nothing where gpsd never reported it."""
        jam, antenna = tpv.get("jam"), tpv.get("ant")
        if type(jam) is int and 0 <= jam <= 255:
            self._jam = jam, 0
        elif self._jam is not None:
            level, since = self._jam
            self._jam = (level, since + 1) if since < STATE_VALID_TPVS else (0, since)
        if type(antenna) is int and antenna in ANTENNA:
            self._antenna = ANTENNA[antenna], 0
        elif self._antenna is not None:
            state, since = self._antenna
            self._antenna = (state, since + 1) if since < STATE_VALID_TPVS else ("ok", since)
        if self._jam is None and self._antenna is None:
            return []
        return [
            GnssState(
                jamming=None if self._jam is None else _jamming(self._jam[0]),
                jamming_pct=None if self._jam is None else round(self._jam[0] / 2.55, 1),
                antenna=None if self._antenna is None else self._antenna[0],
            )
        ]


class ReceiverSelection:
    """Reports one of several receivers as long as it has a fix: a receiver without a fix rejects no fix of
    another.
    """

    def __init__(self) -> None:
        self._best: str | None = None
        self._fixes: dict[
            str, tuple[datetime | None, int]
        ] = {}  # each one's last fix: its time, and TPVs since

    def passes(self, device: str, fix: Fix) -> bool:
        """Whether this fix, or its absence, is to be reported."""
        self._fixes = {
            name: (time, since + 1) for name, (time, since) in self._fixes.items() if since < FIX_VALID_TPVS
        }
        if fix.mode == "none":
            self._fixes.pop(device, None)
            return not self._fixes
        if self._best != device and self._best in self._fixes and not self._outlived(fix.time):
            passes = False
        else:
            self._best, passes = device, True
        self._fixes[device] = fix.time, 0
        return passes

    def _outlived(self, time: datetime | None) -> bool:
        """Whether the best receiver's last fix is older than `FIX_VALID_S` by another's clock."""
        best, _ = self._fixes[self._best or ""]
        return time is not None and best is not None and (time - best).total_seconds() > FIX_VALID_S


def _jamming(level: int) -> Literal["ok", "warning", "critical"]:
    if level < JAM_WARNING:
        return "ok"
    return "warning" if level < JAM_CRITICAL else "critical"
