"""Deliberate faults of a serial line: noise, lost bytes, a wrong speed, delays. Pure."""

import random
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

STALE_BYTES = 1500

LineFault: TypeAlias = Callable[[bytes], bytes]
"""A fault of a line: the bytes sent to the bytes received."""


def corrupt(
    data: bytes, chance: random.Random, *, flips: float = 0, drops: float = 0, noise: float = 0
) -> bytes:
    """A noisy line. The probabilities, for each byte, that a bit flips, that it is lost, and that noise
    precedes it.
    """
    corrupted = bytearray()
    for byte in data:
        if chance.random() < noise:
            corrupted += chance.randbytes(chance.randint(1, 20))
        if chance.random() >= drops:
            corrupted.append(byte ^ (1 << chance.randrange(8)) if chance.random() < flips else byte)
    return bytes(corrupted)


def misread(data: bytes, sender_baud: int, reader_baud: int) -> bytes:
    """The bytes that a UART at another speed reads from ``data`` (8N1, without gaps).

    It waits for a falling edge and samples the middle of each of its own bits; where its stop bit is low,
    the kernel gives a zero (no PARMRK), and the line must go high before the next byte.
    """
    levels = [1]
    for byte in data:
        levels += [0, *(byte >> place & 1 for place in range(8)), 1]
    step = sender_baud / reader_baud
    received = bytearray()
    at, end = 0.0, len(levels)

    def level(when: float) -> int:
        return levels[int(when)] if when < end else 1

    while at < end:
        if level(at):
            at = int(at) + 1.0
            continue
        byte = sum(level(at + (1.5 + place) * step) << place for place in range(8))
        at += 9.5 * step
        received.append(byte if level(at) else 0)
        while at < end and not level(at):
            at = int(at) + 1.0
    return bytes(received)


class Batched:
    """Collects ``size`` bytes, and then delivers them all at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = b""

    def __call__(self, data: bytes) -> bytes:
        self._kept += data
        if len(self._kept) < self._size:
            return b""
        batch, self._kept = self._kept, b""
        return batch


class Split:
    """Cuts the data anywhere: the rest comes with the next data."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._kept = b""

    def __call__(self, data: bytes) -> bytes:
        data = self._kept + data
        cut = self._chance.randint(0, len(data))
        self._kept = data[cut:]
        return data[:cut]


LINE_FAULTS: dict[str, Callable[[random.Random], LineFault]] = {
    "bits_flip": lambda chance: partial(corrupt, chance=chance, flips=0.01),
    "bytes_drop": lambda chance: partial(corrupt, chance=chance, drops=0.01),
    "noise": lambda chance: partial(corrupt, chance=chance, noise=0.01),
    "wrong_speed": lambda _: partial(misread, sender_baud=9600, reader_baud=4800),
    "split": Split,
    "stale": lambda _: Batched(STALE_BYTES),
    "silent": lambda _: lambda _data: b"",
}
"""The faults of a line, each with its own randomness. `Wire` implements unplugging."""
