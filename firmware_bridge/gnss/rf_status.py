"""The state of a u-blox receiver's antenna, and its jamming and spoofing indicators.

    0A 09 MON-HW    antenna at 20, flags at 22 (bits 2-3 jamming), tone at 45 (u-blox 6: 53)
    0A 38 MON-RF    a block of 24 for each band: flags at 1 (bits 0-1 jamming), antenna at 2, tone at 16
    27 09 SEC-SIG   version 1: jamming at 4 (bits 1-2), spoofing at 8 (bits 1-3); version 2: both at 1
    01 03 NAV-STATUS    spoofing at 7 (bits 3-4)

Source: u-blox M8, F9 and F10 interface descriptions.
"""

import struct

from firmware_bridge.readings import GnssState, Value

HW, RF, SIG = (0x0A, 0x09), (0x0A, 0x38), (0x27, 0x09)
KINDS = frozenset((HW, RF, SIG))
JAMMING = (None, "ok", "warning", "critical")
SPOOFING = (None, "none", "indicated", "affirmed")
ANTENNA = (None, None, "ok", "short", "open")


class RfStatus:
    """Collects the indicators of an epoch; of several bands and messages the worst."""

    def __init__(self) -> None:
        self._worst: dict[str, int] = {}

    def feed(self, kind: tuple[int, int], payload: bytes) -> None:
        """Adds a message of one of `KINDS`; a truncated message is ignored."""
        size = len(payload)
        if kind == HW and size >= 60:
            tone = payload[45 if size < 68 else 53]
            self.update(antenna=payload[20], jamming=payload[22] >> 2 & 3, tone=tone)
        elif kind == RF and size >= 4:
            for at in range(4, min(4 + 24 * payload[1], size - 23), 24):
                self.update(antenna=payload[at + 2], jamming=payload[at + 1] & 3, tone=payload[at + 16])
        elif kind == SIG and size >= 4 and payload[0] == 2:
            self.update(jamming=payload[1] >> 1 & 3, spoofing=payload[1] >> 4 & 7)
        elif kind == SIG and size >= 12 and payload[0] == 1:
            self.update(jamming=payload[4] >> 1 & 3, spoofing=payload[8] >> 1 & 7)

    def update(
        self, *, jamming: int = 0, spoofing: int = 0, antenna: int = 0, tone: int | None = None
    ) -> None:
        """Adds indicators as numbered on the wire; 0 is unknown."""
        states = {"jamming": jamming, "spoofing": spoofing, "antenna": antenna}
        for name, state in states.items():
            if state < len(ANTENNA if name == "antenna" else JAMMING):
                self._worst[name] = max(state, self._worst.get(name, 0))
        if tone is not None:
            self._worst["tone"] = max(tone, self._worst.get("tone", 0))

    def take_state(self) -> list[Value]:
        """The state since the last call, if there is any."""
        found, self._worst = self._worst, {}
        if not any(found.values()):
            return []
        return [
            GnssState(
                jamming=JAMMING[found.get("jamming", 0)],  # type: ignore[arg-type]  # mypy widens the literals
                spoofing=SPOOFING[found.get("spoofing", 0)],  # type: ignore[arg-type]  # the same
                antenna=ANTENNA[found.get("antenna", 0)],  # type: ignore[arg-type]  # the same
                jamming_pct=round(found["tone"] / 2.55, 1) if "tone" in found else None,
            )
        ]


def encode(state: GnssState) -> list[tuple[int, int, bytes]]:
    """MON-RF with one band, and SEC-SIG: class, id and payload."""
    jamming = JAMMING.index(state.jamming)
    antenna, tone = ANTENNA.index(state.antenna), round((state.jamming_pct or 0) * 2.55)
    band = struct.pack("<4B8x2HB7x", 0, jamming, antenna, 1, 90, 5000, tone)
    signal = struct.pack("<B3xB3xB3x", 1, jamming << 1 | 1, SPOOFING.index(state.spoofing) << 1 | 1)
    return [(*RF, b"\0\1\0\0" + band), (*SIG, signal)]
