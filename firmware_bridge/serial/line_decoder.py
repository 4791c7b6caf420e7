"""Decodes one line: a sniffer, and the decoders of all protocols expected there. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from firmware_bridge.epoch import EpochDeduplicator
from firmware_bridge.readings import LineState, Value
from firmware_bridge.serial.sniffer import Packet, Sniffer


class Decoder(Protocol):
    """Packets of one protocol, with valid checksums, in; values out. Pure."""

    @property
    def framings(self) -> tuple[str, ...]:
        """The framings that carry the protocol."""

    @property
    def bad(self) -> int:
        """Packets with a good checksum but invalid content."""

    def feed(self, packet: bytes) -> list[Value]:
        """The values of one packet."""

    def pause(self) -> list[Value]:
        """The values that were held back in case more belonged to them."""

    def replies(self) -> bytes:
        """The bytes to send once all values so far are stored; empty for a receive-only protocol."""


@runtime_checkable
class ShortPauseListener(Protocol):
    """A decoder that uses short silences: an epoch may have ended."""

    def on_short_pause(self) -> None:
        """The line was briefly silent between two packets."""


@runtime_checkable
class LossCounter(Protocol):
    """A decoder of a protocol that numbers its messages, or splits them."""

    lost: int
    """Messages that were lost on the way, by their numbers or parts."""


@runtime_checkable
class TroubleReporter(Protocol):
    """A decoder that describes a fault in its input."""

    @property
    def trouble(self) -> str | None:
        """The present fault."""


@runtime_checkable
class Requester(Protocol):
    """A decoder that also sends requests: it switches outputs, and checks that the device answers."""

    def next_request(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """The bytes to send now; called after each read, and at `request_due_s`. ``wanted`` as in
        `WantedOutputs`."""

    def request_due_s(self, now_s: float, wanted: Mapping[str, float]) -> float:
        """When `next_request` may have something to send, where nothing comes and ``wanted`` stays."""


@runtime_checkable
class SilenceReporter(Protocol):
    """A decoder that has something to say when a talker falls silent."""

    @property
    def silent_at_s(self) -> float:
        """When `pause` will have something to say, on the loop's clock."""


SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
CONFIRMING_SENTENCES = 2
"""Sentences that are good only without their eighth bits, before any that is good with them."""


class LineDecoder:
    """Decodes several protocols on one line: bytes in, values out. Of several decoders of a type the first
    is used.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        each: dict[type[Decoder], Decoder] = {}
        for one in decoders:  # the first of a type has the configuration
            each.setdefault(type(one), one)
        self.decoders = tuple(each.values())
        self.sniffer = Sniffer(sorted({framing for one in self.decoders for framing in one.framings}))
        self._requesters = [one for one in self.decoders if isinstance(one, Requester)]
        self.has_requests = bool(self._requesters)
        self._loss_counters = [one for one in self.decoders if isinstance(one, LossCounter)]
        self._trouble_reporters = [one for one in self.decoders if isinstance(one, TroubleReporter)]
        self._silence_reporters = [one for one in self.decoders if isinstance(one, SilenceReporter)]
        self._pause_listeners = [one for one in self.decoders if isinstance(one, ShortPauseListener)]
        self._listeners = {
            framing: [one for one in self.decoders if framing in one.framings]
            for framing in self.sniffer.framings
        }
        self._deduplicator = EpochDeduplicator()
        seven = "nmea" in self.sniffer.framings
        self._seven = Sniffer(("nmea",)) if seven else None  # until the number of bits is known
        self._found: list[Packet] = []
        self._strips = False

    @property
    def good(self) -> int:
        """Packets with a good checksum so far."""
        return self.sniffer.good.total()

    def feed(self, data: bytes) -> list[Value]:
        """The values of the packets that are complete now; each packet goes to the decoders of its
        framing.
        """
        packets = self.sniffer.feed(data.translate(SEVEN_BITS) if self._strips else data)
        if self._seven is not None:
            packets = self._count_bits(self._seven, data, packets)
        return [
            value
            for packet in packets
            for decoder in self._listeners[packet.protocol]
            for value in decoder.feed(packet.data)
            if self._deduplicator.passes(decoder, value)
        ]

    def _count_bits(self, seven: Sniffer, data: bytes, packets: list[Packet]) -> list[Packet]:
        """Detects a talker with seven bits and parity, received with eight bits: the eighth is no part of
        a letter.
        """
        if self.good:
            self._seven, self._found = None, []
            return packets
        self._found += seven.feed(data.translate(SEVEN_BITS))
        if seven.good.total() < CONFIRMING_SENTENCES:
            return packets
        self.sniffer, self._seven, self._strips = seven, None, True
        found, self._found = self._found, []
        return found

    def pause(self) -> list[Value]:
        """The line is silent: the values that were held back."""
        return [
            value
            for decoder in self.decoders
            for value in decoder.pause()
            if self._deduplicator.passes(decoder, value)
        ]

    def on_short_pause(self) -> None:
        """The line was briefly silent; ignored within a packet."""
        if self.sniffer.idle:
            for one in self._pause_listeners:
                one.on_short_pause()

    def replies(self) -> bytes:
        """The bytes to send once all values so far are stored."""
        return b"".join(decoder.replies() for decoder in self.decoders)

    def next_request(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """The requests that are due now."""
        return b"".join(one.next_request(now_s, wanted) for one in self._requesters)

    def request_due_s(self, now_s: float, wanted: Mapping[str, float]) -> float:
        """When `next_request` may have something to send."""
        return min((one.request_due_s(now_s, wanted) for one in self._requesters), default=math.inf)

    @property
    def silent_at_s(self) -> float:
        """When a decoder will have something to say about silence."""
        return min((one.silent_at_s for one in self._silence_reporters), default=math.inf)

    def state(self, baud: int | None = None) -> LineState:
        """The counts so far."""
        content = sum(decoder.bad for decoder in self.decoders)
        troubles = (one.trouble for one in self._trouble_reporters)
        return LineState(
            good=dict(self.sniffer.good),
            bad=dict(self.sniffer.bad) | ({"content": content} if content else {}),
            lost=sum(one.lost for one in self._loss_counters),
            skipped_bytes=self.sniffer.skipped_bytes,
            baud=baud,
            trouble=next(filter(None, troubles), None),
        )


def decode(decoder: Decoder, sniffer: Sniffer, data: bytes) -> list[Value]:
    """The values in ``data``: for files and tests, where nothing is sent back."""
    packets: list[Packet] = sniffer.feed(data)
    return [value for packet in packets for value in decoder.feed(packet.data)]
