"""AIS over NMEA 0183: a `Vessel` for each message of a ship, a shore station or a beacon.

    !AIVDM,parts,part,sequence,channel,payload,fill*hh    what was received; !AIVDO: our own transponder

Plotters and gateways pad numbers with zeros, leave the fill bits out, add fields behind them, or send a last
part without a payload: the message counts as long as its payload is whole.

    types 1 2 3  position of class A          4 11   base station; answer with the time
          5      static data of class A       9      search and rescue aircraft
          14     safety message               18 19  position of class B
          21     aid to navigation            24     static data of class B, in two messages
          27     position over long range, to 0.1 minutes

A message in parts is assembled by channel and sequence number: its parts must arrive in order and soon, and
a new first part discards an old one, so that two ships are never mixed. pyais knows the fields, and
`transponder.py` their meaning. Sans-IO. Source: ITU-R M.1371-5, IEC 61162-1, and gpsd's samples.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from firmware_bridge.ais.dsc import DscDecoder
from firmware_bridge.ais.transponder import STATIC, fields_of, vessel_of
from firmware_bridge.readings import Value, Vessel
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder

# type: fewest and most bits; some transponders count their fill bits wrong, or send a longer frame
LENGTHS: dict[int, tuple[int, int]] = {
    1: (163, 173), 2: (163, 173), 3: (163, 173), 4: (163, 173), 5: (422, 429), 9: (163, 173), 11: (163, 173),
    14: (40, 1008), 18: (163, 173), 19: (312, 317), 21: (272, 384), 24: (160, 173), 27: (96, 173),
}  # fmt: skip
PART_B_BITS = 162
"""The minimum for a type 24 with the size, which is longer than one with the name."""
REMEMBERED = 2000
"""The number of senders whose static data are kept."""
CARRIED = ("name", "callsign", "ship_type")
"""Earlier static data that a position report carries."""
PENDING = 32
"""The number of messages that may wait for parts."""
MAX_PART_AGE = 24
"""The next part must come within this many sentences; a pause of the line counts as three."""
PAUSE_COUNTS = 3

_SENTENCE = re.compile(
    rb"!..VD([MO]), *0*(\d), *0*(\d), *0*(\w{0,2}) *, *([^,*]{0,2}?) *, *([0-W`-w]*) *"
    rb"(?:, *0*([0-5]?) *(?:,[^*]*)?)?\*.."
).fullmatch


@dataclass(slots=True)
class _Parts:
    """The parts of a message so far, and the age of the last one."""

    total: int
    age: int
    came: int = 0
    payload: bytes = b""
    bits: int = 0
    fill: int = 0

    def add(self, found: re.Match[bytes]) -> "_Parts":
        self.came += 1
        if found[6]:
            self.fill = int(found[7] or b"0")
            self.payload += found[6]
            self.bits += 6 * len(found[6]) - self.fill
        return self


class AisDecoder:
    """Sentences with a valid checksum in, vessels out.

    ``bad`` counts invalid content, ``lost`` messages with a missing part.
    """

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0
        self.lost = 0
        self._age = 0
        self._parts: OrderedDict[tuple[bytes, ...], _Parts] = OrderedDict()
        self._known: OrderedDict[int, Mapping[str, Any]] = OrderedDict()

    def feed(self, sentence: bytes) -> list[Value]:
        """The vessel of the message that this sentence completes."""
        self._age += 1
        if sentence[:1] != b"!" or sentence[3:7] not in (b"VDM,", b"VDO,"):
            return []
        found = _SENTENCE(sentence)
        if found is None or not b"1" <= found[3] <= found[2]:
            self.bad += 1
            return []
        whole = self._assemble(found)
        if whole is None:
            return []
        return self._read(whole, own=found[1] == b"O")

    def pause(self) -> list[Value]:
        """Returns nothing; ages the messages that wait for parts."""
        self._age += PAUSE_COUNTS
        return []

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""

    def _assemble(self, found: re.Match[bytes]) -> _Parts | None:
        """A message, once its last part is there."""
        own, total, number, sequence, channel = found.groups()[:5]
        if total == b"1":
            return _Parts(1, self._age).add(found)
        key, place = (own, sequence, channel), int(number)
        parts = self._parts.pop(key, None)
        if place == 1:
            self.lost += parts is not None
            parts = _Parts(int(total), self._age)
        elif parts is None or not self._continues(parts, int(total), place):
            self.lost += 1 + (parts is not None)
            return None
        parts.age = self._age
        parts.add(found)
        if place == parts.total:
            return parts
        self._parts[key] = parts
        if len(self._parts) > PENDING:
            self._parts.popitem(last=False)
            self.lost += 1
        return None

    def _continues(self, parts: _Parts, total: int, place: int) -> bool:
        """Whether a part continues the message, and not another ship's."""
        next_place = parts.came + 1
        return (parts.total, next_place) == (total, place) and self._age - parts.age <= MAX_PART_AGE

    def _read(self, whole: _Parts, own: bool) -> list[Value]:
        from pyais import decode
        from pyais.exceptions import AISBaseException

        if not whole.payload:
            self.bad += 1
            return []
        kind = whole.payload[0] - 48 - 8 * (whole.payload[0] > 87)
        if kind not in LENGTHS:
            return []
        least, most = LENGTHS[kind]
        vessel = None
        if least <= whole.bits <= most:
            try:
                message = decode(b"!AIVDM,1,1,,A,%b,%d*00" % (whole.payload, whole.fill))
            except (AISBaseException, ValueError, KeyError, IndexError, TypeError):
                message = None
            if message is not None and not (getattr(message, "partno", 0) == 1 and whole.bits < PART_B_BITS):
                vessel = vessel_of(kind, message, whole.payload, own)
        if vessel is None:
            self.bad += 1
            return []
        return [self._with_static_data(vessel)]

    def _with_static_data(self, vessel: Vessel) -> Vessel:
        """Remembers static data, and adds it to the position report; type 24 carries all of it."""
        static = {name: value for name in STATIC if (value := getattr(vessel, name)) is not None}
        known = {**self._known.pop(vessel.mmsi, {}), **static}
        if not known:
            return vessel
        self._known[vessel.mmsi] = known
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        carried = STATIC if vessel.message == 24 else CARRIED
        return replace(vessel, **{name: known[name] for name in carried if name in known})


class Ais(SerialLine):
    """An AIS receiver or transponder, at the speed that the standard sets."""

    kind: Literal["ais"] = "ais"
    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"vessel"})
    baud: int | None = 38400

    def decoder(self) -> AisDecoder:
        return AisDecoder()

    def decoders(self) -> tuple[Decoder, ...]:
        """AIS and DSC: some radios report both."""
        return (self.decoder(), DscDecoder())


def encode(vessel: Vessel, *, sequence: int = 0, channel: str = "A") -> bytes:
    """The sentences of ``vessel``'s message; ValueError for an unsupported type."""
    from pyais.encode import encode_dict

    kind = "VDO" if vessel.own else "VDM"
    sentences = [
        sentence
        for fields in fields_of(vessel)
        for sentence in encode_dict(
            fields, talker_id="AI", sentence_type=kind, radio_channel=channel, seq_id=sequence % 10
        )
    ]
    return b"".join(f"{sentence}\r\n".encode("ascii") for sentence in sentences)
