"""Assembles the sentences of one NMEA epoch into one `Fix`: its limits, and its position.

RMC, GGA, GLL, GNS, ZDA and GST carry their time. GSA and VTG do not, and may lead an epoch or follow it:

    GSA VTG RMC GGA  GSA VTG RMC GGA        RMC GGA GSA VTG  RMC GGA GSA VTG

`LeadOrder` learns which, from the start of the line, from pauses, and from values repeated from RMC and GGA.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from firmware_bridge.epoch import EpochBoundary, unroll
from firmware_bridge.nmea.lead_order import LeadOrder, OrderKey
from firmware_bridge.nmea.nmea_epoch import NmeaEpoch
from firmware_bridge.nmea.position_check import (
    ASSUMED_SPEED_MPS,
    MAX_GAP_MS,
    TimedPosition,
    agreed_position,
    within_reach,
)
from firmware_bridge.nmea.sentence import DAY_MS, number
from firmware_bridge.nmea.sky_view import SKY_EPOCHS, GsvRound
from firmware_bridge.readings import Fix, Value
from firmware_bridge.units import KNOT_MPS
from firmware_bridge.wgs84 import Position

_DATE = re.compile(rb"(\d\d)(\d\d)(\d\d)").fullmatch


class FixAssembler:
    """``epoch`` is the current one. ``bad`` counts invalid content.

    A position on which two sentences of an epoch agree is accepted. The checksum is weak, so that a single
    position must be within reach of the previous fix, or be confirmed by the next epoch.
    """

    def __init__(self, not_before: date | None) -> None:
        self.bad = 0
        self.epoch = NmeaEpoch()
        self._lead = NmeaEpoch()
        self.error: tuple[int | None, float] | None = None
        """The receiver's own estimate, and the time of day that it belongs to."""
        self.reported_ms: int | None = None
        self.reported_kinds = 0
        """Time of day of the last reported epoch, and the number of sentences with its position."""
        self._not_before = not_before
        self._date: date | None = None
        self._date_ms: int | None = None
        self._epochs = 0
        self._cycle = EpochBoundary()
        self._order = LeadOrder()
        self._ahead: tuple[OrderKey, int] | None = None  # a time that may belong to the next epoch
        self._sky: dict[bytes, GsvRound] = {}
        self._last: TimedPosition | None = None
        self._doubted: TimedPosition | None = None

    def copy_date(self, other: "FixAssembler") -> None:
        """Takes over the date that ``other`` has received."""
        self._date, self._date_ms = other._date, other._date_ms

    def advance(self, kind: bytes, ms: int | None) -> list[Value]:
        """Begins a new epoch where ``kind`` at ``ms`` belongs to one: another time, or a repeated kind.

        A GLL may lead its epoch, but some receivers send it late: a GLL with an earlier time begins
        nothing.
        """
        epoch = self.epoch
        if ms is None:
            over = epoch.ms is not None or epoch.reported or kind in epoch.kinds
        elif epoch.ms is None:
            over = bool(epoch.kinds)  # GSA and similar sentences may lead the epoch, a position may not
        else:
            over = ms != epoch.ms and (kind != b"GLL" or 0 < (ms - epoch.ms) % DAY_MS < DAY_MS // 2)
        values: list[Value] = []
        if over:
            values = self._end()
            self.epoch = epoch = self._lead
            self._lead = NmeaEpoch()
            self._epochs += 1
            if self._ahead is not None:
                key, ahead_ms = self._ahead
                self._order.vote(key, leads=ahead_ms == ms)
                self._ahead = None
        elif epoch.reported and kind not in epoch.kinds and ms == epoch.ms:
            self._cycle.mistaken()
        if epoch.ms is None:
            epoch.ms = ms
        epoch.kinds.add(kind)
        self._order.on_position(kind, same_epoch=not over)
        return values

    def on_untimed(
        self, kind: bytes, ms: int | None = None, shows: tuple[bytes, float | None] | None = None
    ) -> list[Value]:
        """A sentence without a time arrived; then `untimed_epoch` is the epoch that it belongs to.

        ``shows``: the timed sentence that reports the same value. Returns the fix of an epoch that ended.
        """
        epoch, values = self.epoch, list[Value]()
        key = self._order.key(kind)
        if epoch.kinds:
            if ms is None:
                leads = kind in epoch.leading
            else:
                leads = epoch.ms is not None and 0 < (ms - epoch.ms) % DAY_MS <= MAX_GAP_MS
                self._ahead = (key, ms) if leads else self._ahead
            if not epoch.reported and (leads or ms is None) and self._order.leads(key, leads):
                self._cycle.leads(kind)
                values = self._end()
            if shows is not None and shows[1] is not None:
                self._order.note_repeat(key, shows[0], shows[1], epoch.repeatable.get(shows[0]))
        if not self.untimed_epoch().kinds:
            self.untimed_epoch().leading.append(kind)
        return values

    def note_repeatable(self, kind: bytes, value: float | None) -> None:
        """Notes a value that a sentence without a time may repeat."""
        if value is not None:
            self.epoch.repeatable[kind] = value
            self._order.resolve_repeats(kind, value)

    def restart_epoch(self) -> list[tuple[bytes, bytes, list[bytes]]]:
        """Drops the position sentences of this epoch and returns them; none once it is reported."""
        epoch = self.epoch
        if epoch.reported:
            return []
        self.epoch = NmeaEpoch(
            dimension=epoch.dimension, listed=epoch.listed, gsa_count=epoch.gsa_count, leading=epoch.leading
        )
        return epoch.sentences

    def untimed_epoch(self) -> NmeaEpoch:
        """The epoch of a sentence without a time: after an epoch is reported, it leads the next."""
        return self._lead if self.epoch.reported else self.epoch

    def close(self, packet: object) -> list[Value]:
        """The epoch's fix where ``packet`` usually ends it."""
        if self.epoch.reported or not self._cycle.closes(packet) or not self.epoch.kinds:
            return []
        return self._report()

    def pause(self) -> list[Value]:
        """The line is silent, or ended: the fix of the epoch so far, once."""
        self._order.on_pause()
        return self._end()

    def on_short_pause(self) -> None:
        """The line was briefly silent: an epoch may have ended."""
        self._order.on_pause()

    def _end(self) -> list[Value]:
        if self.epoch.reported or not self.epoch.kinds:
            return []
        self._cycle.ended()
        return self._report()

    def add_position(self, position: Position | None, valid: bool) -> bool:
        """Notes a sentence's position. An invalid flag rejects the epoch; a position that can't be read
        does not.
        """
        if valid and position is not None:
            self.epoch.positions.append(position)
            return True
        self.epoch.rejected |= not valid
        self.bad += valid
        return False

    def set_velocity(self, knots: bytes, course: bytes) -> None:
        """Notes speed and course over ground."""
        speed, epoch = number(knots, 0.0, 2000.0), self.untimed_epoch()
        if speed is not None:
            epoch.speed_mps = round(speed * KNOT_MPS, 3)
            epoch.course_deg = number(course, 0.0, 360.0)

    def set_date(self, text: bytes, ms: int | None) -> None:
        """Notes the date ``ddmmyy`` of the time ``ms``."""
        found = _DATE(text)
        if found is None:
            return
        year = int(found[3])
        try:
            self._date = date(year + (1900 if year >= 80 else 2000), int(found[2]), int(found[1]))
            self._date_ms = ms
        except ValueError:
            self.bad += text != b"000000"

    def sky(self, key: bytes, seen: int, first: bool, cn0s: list[int]) -> None:
        """Notes one GSV; ``key`` is its constellation in two letters, and its signal."""
        known = self._sky.get(key)
        if known is None or first:
            known = self._sky[key] = GsvRound(self._epochs, seen)
        known.received += len(cn0s)
        known.cn0_sum += sum(cn0s)

    def _sky_now(self) -> tuple[int | None, float | None]:
        """The number of satellites above the horizon, and the mean C/N0 of those received."""
        seen: dict[bytes, int] = {}
        received = cn0 = 0
        for key, known in list(self._sky.items()):
            if self._epochs - known.epoch > SKY_EPOCHS:
                del self._sky[key]
                continue
            seen[key[:2]] = max(seen.get(key[:2], 0), known.seen)
            received += known.received
            cn0 += known.cn0_sum
        return (sum(seen.values()) if seen else None), (round(cn0 / received, 1) if received else None)

    def _moment(self, ms: int | None) -> tuple[datetime | None, int | None]:
        """UTC of the epoch, by its time and the last date: they are at most half a day apart."""
        if ms is None or self._date is None:
            return None, None
        if self._date_ms is not None:
            apart_ms = ms - self._date_ms
            self._date += timedelta(days=(apart_ms < -DAY_MS // 2) - (apart_ms > DAY_MS // 2))
        self._date_ms = ms
        day = datetime.combine(self._date, time(0), UTC)
        return unroll(day + timedelta(milliseconds=ms), self._not_before)

    def _report(self) -> list[Value]:
        epoch = self.epoch
        epoch.reported = True
        self.reported_ms, self.reported_kinds = epoch.ms, len(epoch.kinds)
        moment, weeks = self._moment(epoch.ms)
        seen, cn0 = self._sky_now()
        if epoch.rejected or not epoch.positions:
            none = Fix(mode="none", time=moment, satellites_seen=seen, cn0_dbhz=cn0, rollover_weeks=weeks)
            return [none]
        position = self._checked_position(epoch)
        if position is None:
            self.bad += 1
            return []
        flat = epoch.dimension == 2 or (epoch.dimension < 2 and epoch.alt_m is None)
        error = self.error
        return [
            Fix(
                mode="2d" if flat else "3d",
                lat=round(position[0], 8),
                lon=round(position[1], 8),
                time=moment,
                alt_m=None if flat else epoch.alt_m,
                satellites=epoch.listed or None if epoch.satellites is None else epoch.satellites,
                satellites_seen=seen,
                hdop=epoch.hdop,
                error_m=error[1] if error is not None and error[0] in (None, epoch.ms) else None,
                speed_mps=epoch.speed_mps,
                course_deg=epoch.course_deg,
                cn0_dbhz=cn0,
                rollover_weeks=weeks,
            )
        ]

    def _checked_position(self, epoch: NmeaEpoch) -> Position | None:
        """The epoch's position: the one on which most sentences agree, else one within reach."""
        found = epoch.positions
        speed = ASSUMED_SPEED_MPS if epoch.speed_mps is None else epoch.speed_mps
        agreed = agreed_position(found)
        if agreed is not None:
            self._last, self._doubted = TimedPosition(agreed, epoch.ms, speed), None
            return agreed
        for position in reversed(found):
            seen = TimedPosition(position, epoch.ms, speed)
            first = self._last is None and len(found) == 1
            if first or within_reach(seen, self._last) or within_reach(seen, self._doubted):
                self._last, self._doubted = seen, None
                return position
        self._doubted = TimedPosition(found[-1], epoch.ms, speed)
        return None
