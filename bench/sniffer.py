"""The cost of finding packets, the share lost on a noisy line, and MAVLink down to its values."""

import json
import random
import time
from collections import Counter
from datetime import UTC, datetime

from firmware_bridge.mavlink.mavlink import MavlinkDecoder
from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import PUSH, REPORT
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.sniffer import Sniffer
from simulators.drone import Radio
from simulators.receiver import epoch_at

CHUNK = 64
"""Bytes that one read of a real line returns."""
HARM = 1e-3
PLACE = {"lat": 32.1, "lon": 118.7}


def streams() -> dict[str, bytes]:
    """The bytes of a clean line of each protocol, from our simulated hardware."""
    epochs = [epoch_at(datetime(2026, 11, 28, tzinfo=UTC), second, **PLACE, seed=1) for second in range(300)]
    report = {"up_ms": 1, "boot": 1, 0: 2150, 2: 12600, 7: 0}
    return {
        "nmea": b"".join(epoch.encode("nmea") for epoch in epochs),
        "ubx": b"".join(epoch.encode("ubx") for epoch in epochs),
        "mavlink": Radio(**PLACE).step(300),
        "cobs": b"".join(board_frames.encode(REPORT, report | {"seq": n}, n, PUSH) for n in range(2000)),
    }


def figures() -> dict[str, float]:
    """Microseconds a packet, messages a second on one core, and the share of intact packets found."""
    found: dict[str, float] = {}
    for protocol, data in streams().items():
        began_s = time.process_time()
        packets = packets_of(protocol, data)
        found[f"sniff_{protocol}_us_a_packet"] = round(
            (time.process_time() - began_s) / len(packets) * 1e6, 1
        )
        if protocol == "mavlink":
            ear, began_s = LineDecoder([MavlinkDecoder()]), time.process_time()
            for start in range(0, len(data), CHUNK):
                ear.feed(data[start : start + CHUNK])
            found["mavlink_messages_per_s"] = round(ear.good / (time.process_time() - began_s))
        if protocol != "cobs":
            end = b"\r\n" if protocol == "nmea" else b""
            shares = [
                recall(protocol, [one + end for one in packets], harm) for harm in ("drop", "flip", "burst")
            ]
            found[f"recall_{protocol}_at_1e-3"] = round(min(shares), 4)
    return found


def packets_of(protocol: str, data: bytes) -> list[bytes]:
    sniffer = Sniffer((protocol,))
    pieces = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    return [packet.data for piece in pieces for packet in sniffer.feed(piece)]


def recall(protocol: str, packets: list[bytes], harm: str) -> float:
    """The share of the intact packets that is found."""
    chance = random.Random(f"{protocol} {harm}")
    line, whole = bytearray(), Counter[bytes]()
    for packet in packets:
        hits = [place for place in range(len(packet)) if chance.random() < HARM]
        spoilt = bytearray(packet)
        for place in reversed(hits):
            if harm == "drop":
                del spoilt[place]
            elif harm == "flip":
                spoilt[place] ^= 1 << chance.randrange(8)
            else:
                spoilt[place:place] = chance.randbytes(chance.randrange(1, 60))
        line += spoilt
        whole[packet.rstrip(b"\r\n") if protocol == "nmea" else packet] += not hits
    return (whole & Counter(packets_of(protocol, bytes(line)))).total() / whole.total()


if __name__ == "__main__":
    print(json.dumps(figures()))
