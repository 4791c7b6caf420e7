"""DSC over NMEA 0183: a marine VHF radio receives a distress call; a `Vessel` in distress for each call.

    $CDDSC,12,3380400790,12,06,00,1423108312,2019,,,S,E    format 12 distress, or a relay: category (third) 12
           format, MMSI and a digit, category, nature, how to answer, position, time, MMSI and nature relayed
    $CDDSE,1,1,A,3380400790,00,45894494                    finer: 1/10000 minutes of latitude and longitude

A position is quadrant (0 NE, 1 NW, 2 SE, 3 SW), ddmm and dddmm. Calls other than distress are not reported.
Source: ITU-R M.493-15, IEC 61162-1.
"""

import re
from collections import OrderedDict
from dataclasses import replace
from math import copysign

from firmware_bridge.readings import Value, Vessel

DISTRESS = b"12"
NATURES = {
    0: "fire or explosion", 1: "flooding", 2: "collision", 3: "grounding",
    4: "listing, in danger of capsizing", 5: "sinking", 6: "disabled and adrift",
    7: "undesignated distress", 8: "abandoning ship",
    9: "piracy or armed attack", 10: "person overboard", 12: "emergency position beacon",
}  # fmt: skip
MINUTE_M, FINE_M = 1852.0, 10.0
"""The error of a position in whole minutes, and of a refined one."""
REMEMBERED = 50

_MMSI = re.compile(rb"(\d{9})\d?").fullmatch
_POSITION = re.compile(rb"([0-3])(\d\d)([0-5]\d)([01]\d\d)([0-5]\d)").fullmatch
_CODE = re.compile(rb"1?(\d\d)|(\d)").fullmatch


class DscDecoder:
    """Sentences with a valid checksum in, distress calls out. ``bad`` counts sentences with invalid
    content.
    """

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0
        self._calls: OrderedDict[int, Vessel] = OrderedDict()

    def feed(self, sentence: bytes) -> list[Value]:
        """A call, and once more with its refined position; nothing for other sentences."""
        kind = sentence[3:7]
        if kind not in (b"DSC,", b"DSE,") or sentence[:1] != b"$":
            return []
        fields = [field.strip() for field in sentence.partition(b"*")[0].split(b",")]
        call = self._call(fields) if kind == b"DSC," else self._finer(fields)
        if call is None:
            return []
        self._calls[call.mmsi] = call
        self._calls.move_to_end(call.mmsi)
        if len(self._calls) > REMEMBERED:
            self._calls.popitem(last=False)
        return [call]

    def _call(self, fields: list[bytes]) -> Vessel | None:
        fields += [b""] * (11 - len(fields))
        if DISTRESS not in (_two(fields[1]), _two(fields[3])):
            return None
        relayed = _two(fields[1]) != DISTRESS  # the vessel in distress is then a later field
        caller, nature = (fields[8] or fields[2], fields[9]) if relayed else (fields[2], fields[4])
        mmsi = _MMSI(caller)
        if mmsi is None:
            self.bad += 1
            return None
        code = _CODE(nature)
        text = NATURES.get(int(code[1] or code[2])) if code else None
        place = _POSITION(fields[6])
        lat = lon = None
        if place is not None:
            quadrant = int(place[1])
            lat = (int(place[2]) + int(place[3]) / 60) * (-1 if quadrant & 2 else 1)
            lon = (int(place[4]) + int(place[5]) / 60) * (-1 if quadrant & 1 else 1)
            if abs(lat) > 90 or abs(lon) > 180:
                self.bad += 1
                lat = lon = None
        return Vessel(
            mmsi=int(mmsi[1]),
            message=0,
            distress="dsc",
            text=text,
            lat=None if lat is None else round(lat, 6),
            lon=None if lon is None else round(lon, 6),
            error_m=None if lat is None else MINUTE_M,
        )

    def _finer(self, fields: list[bytes]) -> Vessel | None:
        mmsi = _MMSI(fields[4]) if len(fields) > 6 else None
        call = self._calls.get(int(mmsi[1])) if mmsi else None
        if call is None or call.lat is None or call.lon is None or call.error_m != MINUTE_M:
            return None
        for code, digits in zip(fields[5::2], fields[6::2], strict=False):
            if _two(code) == b"00" and len(digits) == 8 and digits.isdigit():
                north, east = int(digits[:4]) / 600_000, int(digits[4:]) / 600_000
                return replace(  # the quadrant also gives the sign of a zero
                    call,
                    lat=round(call.lat + copysign(north, call.lat), 6),
                    lon=round(call.lon + copysign(east, call.lon), 6),
                    error_m=FINE_M,
                )
        return None

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""


def _two(text: bytes) -> bytes:
    """Symbols come with or without their hundred."""
    found = _CODE(text)
    return (found[1] or b"0" + found[2]) if found else b""
