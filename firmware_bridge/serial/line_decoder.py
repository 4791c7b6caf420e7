"""What is heard on a line: the sniffer, and the decoders of all that is expected there. Pure."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from firmware_bridge.epoch import EpochDeduplicator
from firmware_bridge.readings import LineState, Value
from firmware_bridge.serial.sniffer import Packet, Sniffer


class Decoder(Protocol):
    """Checked packets of one protocol in, values out. Pure."""

    @property
    def framings(self) -> tuple[str, ...]:
        """The framings in which it is spoken."""

    @property
    def bad(self) -> int:
        """Packets with a good checksum whose content cannot be."""

    def feed(self, packet: bytes) -> list[Value]: ...
    def pause(self) -> list[Value]:
        """What was held back to see whether more belongs to it."""

    def replies(self) -> bytes:
        """What is to be sent back once the values given so far are kept; empty for who only listens."""


@runtime_checkable
class ShortPauseListener(Protocol):
    """A decoder to which a short silence says something: with it an epoch may have ended."""

    def on_short_pause(self) -> None:
        """The line was quiet for a moment, between two packets."""


@runtime_checkable
class LossCounter(Protocol):
    """A decoder of a protocol that numbers its messages, or splits them."""

    lost: int
    """Messages that were lost on the way, by their numbers or parts."""


@runtime_checkable
class TroubleReporter(Protocol):
    """A decoder that can say in words what is wrong with what it hears."""

    @property
    def trouble(self) -> str | None:
        """What is wrong now."""


@runtime_checkable
class Requester(Protocol):
    """A decoder that also asks: it switches outputs, and looks whether it is heard."""

    def next_request(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """What is to be sent now; called after each read. ``wanted`` as in `Wanted`."""


SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
CONFIRMING_SENTENCES = 2
"""Sentences that are good without their eighth bits, and before any that is good with them."""


class LineDecoder:
    """Hears several protocols on one line: bytes in, values out. Of decoders of a kind it takes the first."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        each: dict[type[Decoder], Decoder] = {}
        for one in decoders:  # of one kind the first: it knows what was configured
            each.setdefault(type(one), one)
        self.decoders = tuple(each.values())
        self.sniffer = Sniffer(sorted({framing for one in self.decoders for framing in one.framings}))
        self.has_requests = any(isinstance(one, Requester) for one in self.decoders)
        self._lulled = [one for one in self.decoders if isinstance(one, ShortPauseListener)]
        self._listeners = {
            framing: [one for one in self.decoders if framing in one.framings]
            for framing in self.sniffer.framings
        }
        self._once = EpochDeduplicator()
        seven = "nmea" in self.sniffer.framings
        self._seven = Sniffer(("nmea",)) if seven else None  # until it is known how many bits a letter has
        self._found: list[Packet] = []
        self._strips = False

    @property
    def good(self) -> int:
        """Packets with a good checksum so far."""
        return self.sniffer.good.total()

    def feed(self, data: bytes) -> list[Value]:
        """What the packets that are complete now say; each goes to those who know its framing."""
        packets = self.sniffer.feed(data.translate(SEVEN_BITS) if self._strips else data)
        if self._seven is not None:
            packets = self._count_bits(self._seven, data, packets)
        return [
            value
            for packet in packets
            for decoder in self._listeners[packet.protocol]
            for value in decoder.feed(packet.data)
            if self._once.passes(decoder, value)
        ]

    def _count_bits(self, seven: Sniffer, data: bytes, packets: list[Packet]) -> list[Packet]:
        """A talker with seven bits and a parity is heard with eight, of which the last is no letter's."""
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
        """The line is quiet: what was held back."""
        return [
            value
            for decoder in self.decoders
            for value in decoder.pause()
            if self._once.passes(decoder, value)
        ]

    def on_short_pause(self) -> None:
        """The line was quiet for a moment; in the middle of a packet that says nothing."""
        if self.sniffer.idle:
            for one in self._lulled:
                one.on_short_pause()

    def replies(self) -> bytes:
        """What is to be sent back once the values given so far are kept."""
        return b"".join(decoder.replies() for decoder in self.decoders)

    def next_request(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """What is to be sent unasked."""
        return b"".join(
            one.next_request(now_s, wanted) for one in self.decoders if isinstance(one, Requester)
        )

    def state(self, baud: int | None = None) -> LineState:
        """The counts so far."""
        content = sum(decoder.bad for decoder in self.decoders)
        troubles = (one.trouble for one in self.decoders if isinstance(one, TroubleReporter))
        return LineState(
            good=dict(self.sniffer.good),
            bad=dict(self.sniffer.bad) | ({"content": content} if content else {}),
            lost=sum(one.lost for one in self.decoders if isinstance(one, LossCounter)),
            skipped_bytes=self.sniffer.skipped_bytes,
            baud=baud,
            trouble=next(filter(None, troubles), None),
        )


def decode(decoder: Decoder, sniffer: Sniffer, data: bytes) -> list[Value]:
    """The values in ``data``: for files and tests, where nothing is answered."""
    packets: list[Packet] = sniffer.feed(data)
    return [value for packet in packets for value in decoder.feed(packet.data)]
