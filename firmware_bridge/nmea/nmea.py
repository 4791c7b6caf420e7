"""GNSS over NMEA 0183: sentences in, one `Fix` for each epoch out, by the receiver's validity flags.

    $GPRMC,hhmmss.ss,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,,,mode*hh    A valid, V not
    $GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,quality,used,hdop,altitude,M,…*hh    quality 0: no fix
    $GPGLL,ddmm.mmmm,N,dddmm.mmmm,E,hhmmss.ss,A,mode*hh
    $GPGNS,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,modes,used,hdop,altitude,…*hh
    $GPGSA,A,dimension,id x 12,pdop,hdop,vdop*hh    $GPGST,hhmmss.ss,,,,,north,east,up*hh
    $GPVTG,course,T,,M,knots,N,…*hh                 $GPZDA,hhmmss.ss,dd,mm,yyyy,…*hh
    $GPGSV,total,number,seen,{id,elevation,azimuth,C/N0} x 4,signal*hh

Any talker but vendors' ``$P…``. The fields are split by hand, for speed (docs/decisions/0007), and checked
against pynmeagps over all recordings. Source: NMEA 0183 v4.11, and gpsd's regression logs.
"""

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, Literal

from firmware_bridge.ais.ais import AisDecoder
from firmware_bridge.ais.dsc import DscDecoder
from firmware_bridge.epoch import NOT_BEFORE
from firmware_bridge.nmea.fixes import FixAssembler
from firmware_bridge.nmea.gnss_sentences import (
    VALIDITY,
    Fields,
    SentenceHandler,
    take_gga,
    take_gll,
    take_gns,
    take_gsa,
    take_gst,
    take_gsv,
    take_rmc,
    take_txt,
    take_vtg,
    take_zda,
)
from firmware_bridge.nmea.instruments import InstrumentDecoder
from firmware_bridge.nmea.quantities import NAMES
from firmware_bridge.nmea.radar import RadarDecoder
from firmware_bridge.nmea.sentence import clock_ms
from firmware_bridge.nmea.talkers import ReceiverStreams
from firmware_bridge.readings import Value
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder


class NmeaDecoder:
    """Sentences with a valid checksum in, values out. ``not_before``: see `Nmea`; without it times are
    unchanged.
    """

    framings = ("nmea",)

    def __init__(self, not_before: date | None = None) -> None:
        self._talkers = ReceiverStreams(lambda: FixAssembler(not_before))
        self._cut_short = 0
        self._positions: dict[bytes, tuple[int, int, SentenceHandler]] = {
            b"RMC": (10, 1, take_rmc), b"GGA": (10, 1, take_gga), b"GNS": (10, 1, take_gns),
            b"GLL": (7, 5, take_gll),
        }  # fmt: skip
        """Position sentences: the minimum number of fields, the index of the time, and the handler."""
        self._untimed: dict[bytes, tuple[int, SentenceHandler]] = {
            b"GSA": (17, take_gsa), b"GST": (8, take_gst), b"GSV": (0, take_gsv), b"VTG": (0, take_vtg),
            b"ZDA": (0, take_zda), b"TXT": (0, take_txt),
        }  # fmt: skip

    @property
    def bad(self) -> int:
        """Sentences with a good checksum but invalid content."""
        return self._cut_short + sum(stream.fixes.bad for stream in self._talkers)

    def feed(self, sentence: bytes) -> list[Value]:
        """An epoch's fix, with the sentence that usually ends it, or at the latest when the next begins."""
        kind = sentence[3:6]
        beside = self._untimed.get(kind)
        if beside is None and kind not in self._positions:
            return []
        if sentence[6:7] != b"," or sentence[:1] != b"$" or sentence[1:2] == b"P":
            return []
        fields = sentence.partition(b"*")[0].split(b",")
        if b" " in sentence:
            fields = [field.strip() for field in fields]
        if beside is None:
            return self._position(kind, fields)
        least, take = beside
        if len(fields) < least:
            self._cut_short += 1
            return []
        stream = self._talkers.stream(fields[0][1:3])
        return self._talkers.selected(stream, take(stream.fixes, fields))

    def _position(self, kind: bytes, fields: Fields) -> list[Value]:
        """Handles a position sentence, which also shows how many receivers there are."""
        least, time_at, take = self._positions[kind]
        if len(fields) < least:
            self._cut_short += 1
            return []
        talker, ms = fields[0][1:3], clock_ms(fields[time_at])
        epoch = self._talkers.stream(talker).fixes.epoch
        if kind == b"GNS" and not fields[2] and not fields[6] and kind in epoch.kinds and ms == epoch.ms:
            return []  # one GNS for each constellation, behind the combined one
        place_at, valid = VALIDITY[kind]
        blank = not any(fields[place_at : place_at + 4])
        other = self._talkers.rival(talker, kind, ms, fields[1:7], valid(fields), blank)
        values = self._reassign(other) if other is not None and self._talkers.separate(talker, other) else []
        stream = self._talkers.stream(talker)
        values += self._talkers.selected(stream, take(stream.fixes, fields))
        stream.fixes.epoch.sentences.append((talker, kind, fields))
        return values

    def _reassign(self, other: bytes) -> list[Value]:
        """Two talkers turned out to be two receivers: assigns this epoch's sentences to each."""
        sentences, values = self._talkers.stream(other).fixes.restart_epoch(), list[Value]()
        for talker, kind, fields in sentences:
            stream = self._talkers.stream(talker)
            values += self._talkers.selected(stream, self._positions[kind][2](stream.fixes, fields))
            stream.fixes.epoch.sentences.append((talker, kind, fields))
        return values

    def pause(self) -> list[Value]:
        """The line is silent, or ended: the fix of the epoch so far, once."""
        return [
            value
            for stream in self._talkers
            for value in self._talkers.selected(stream, stream.fixes.pause())
        ]

    def on_short_pause(self) -> None:
        """The line was briefly silent: an epoch may have ended, and the next sentence begin another."""
        for stream in self._talkers:
            stream.fixes.on_short_pause()

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""


class Nmea(SerialLine):
    """A GNSS receiver or boat instrument that speaks NMEA 0183.

    ``not_before``: the earliest valid date; an earlier one is a week rollover (modulo 1024), and is
    corrected.
    """

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"fix", "gnss_state", "reading", "vessel"})
    names_by_kind: ClassVar[Mapping[str, tuple[str, ...]]] = {"reading": NAMES}

    kind: Literal["nmea"] = "nmea"
    not_before: date | None = NOT_BEFORE

    def decoder(self) -> NmeaDecoder:
        return NmeaDecoder(self.not_before)

    def decoders(self) -> tuple[Decoder, ...]:
        """All of NMEA 0183: fixes, instruments, AIS, distress calls, radar."""
        return (self.decoder(), InstrumentDecoder(), AisDecoder(), DscDecoder(), RadarDecoder())
