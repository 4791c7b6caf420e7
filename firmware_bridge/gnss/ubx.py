"""GNSS over u-blox UBX: frames in, one `Fix` for each epoch out, gated by the receiver's own validity flags.

    B5 62 class id length(2, little endian) payload checksum(2)

    01 NAV   iTOW names the epoch
       07 PVT      all of it in one message
       02 POSLLH   position: no fix unless 03 STATUS or 06 SOL (earth-centred position) of the epoch says so
       04 DOP   12 VELNED   20 TIMEGPS   21 TIMEUTC   30 SVINFO   35 SAT   61 EOE, the epoch's end
    28 HNR
       00 PVT      the same between and before the epochs of NAV, up to 30 times a second (NEO-M8L, M8U, F9R)
    0A MON and 27 SEC   see rf_status.py

Source: u-blox M8 and F9 interface descriptions, gpsd's regression logs; pyubx2 checks it in the tests.
"""

from datetime import date
from typing import ClassVar, Literal

from firmware_bridge.epoch import NOT_BEFORE
from firmware_bridge.gnss.ubx_decoder import UbxDecoder
from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder


class Ubx(SerialLine):
    """A u-blox receiver that speaks UBX, or NMEA, or both: each epoch is reported once.

    ``not_before``: the earliest valid date; an earlier one is a week rollover (modulo 1024), and is
    corrected.
    """

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"fix", "gnss_state"})

    kind: Literal["ubx"] = "ubx"
    not_before: date | None = NOT_BEFORE

    def decoder(self) -> UbxDecoder:
        return UbxDecoder(self.not_before)

    def decoders(self) -> tuple[Decoder, ...]:
        return (self.decoder(), NmeaDecoder(self.not_before))
