"""Speed of the serial codecs on one core: bytes as from a line in, values out."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from firmware_bridge.ais import ais
from firmware_bridge.catalogue import protocols
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.nmea import instruments
from firmware_bridge.readings import Reading, Vessel
from firmware_bridge.sensors import board_frames, vedirect
from firmware_bridge.sensors.board_frames import PUSH, REPORT
from firmware_bridge.serial.line_decoder import LineDecoder
from simulators.drone import Radio
from simulators.receiver import epoch_at

CHUNK = 64
"""Bytes that a read of a real line gives at once."""
BYTES_PER_S = 11_520
BEST_OF = 3
BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
TPV = b'{"class":"TPV","mode":3,"time":"2026-11-28T06:12:%02d.000Z","lat":32.1,"lon":118.7,"eph":9.5}\n'


def streams() -> Iterator[tuple[str, str, bytes]]:
    """What is said, its kind, and how it stands on the wire when all is well."""
    epochs = [
        epoch_at(BEGAN + timedelta(seconds=second), 0, lat=32.1, lon=118.7, seed=second % 20)
        for second in range(1000)
    ]
    yield "nmea", "nmea", b"".join(epoch.encode("nmea") for epoch in epochs)
    yield "ubx", "ubx", b"".join(epoch.encode("ubx") for epoch in epochs)
    depths = (Reading(quantity="depth_below_transducer", value=one / 10, unit="m") for one in range(3000))
    yield "instruments", "nmea", b"".join(instruments.encode(depth) for depth in depths)
    ships = (
        Vessel(message=1, mmsi=412_000_000 + one % 50, lat=32.1, lon=118.7, speed_mps=3.0)
        for one in range(3000)
    )
    yield "ais", "ais", b"".join(ais.encode(ship) for ship in ships)
    yield "mavlink", "mavlink", Radio(lat=32.1, lon=118.7).step(300)
    reports = ({"seq": one, "up_ms": one, "boot": 1, 0: 2150, 2: 12600, 7: 0} for one in range(5000))
    yield (
        "sensor_board",
        "sensor_board",
        b"".join(board_frames.encode(REPORT, report, report["seq"], PUSH) for report in reports),
    )
    fields = {"PID": "0xA060", "V": "12800", "I": "-1500", "VPV": "18500", "PPV": "40", "CS": "3"}
    yield (
        "vedirect",
        "vedirect",
        b"".join(vedirect.encode(fields | {"V": str(12_000 + one)}) for one in range(2000)),
    )


def figures() -> dict[str, float]:
    """Packets a second and MB a second of each; a core's share for a line full of NMEA at 115200 baud."""
    found: dict[str, float] = {}
    for name, kind, data in streams():
        seconds, packets = min(_time(kind, data) for _ in range(BEST_OF))
        found[f"{name}_packets_per_s"] = round(packets / seconds)
        found[f"{name}_mb_per_s"] = round(len(data) / seconds / 1e6, 2)
        if name == "nmea":
            found["nmea_us_a_sentence"] = round(seconds / packets * 1e6, 1)
            found["nmea_core_share_at_115200"] = round(seconds / (len(data) / BYTES_PER_S), 4)
    reports = b"".join(TPV % (one % 60) for one in range(5000))
    began_s = time.process_time()
    assert len(GpsdDecoder().feed(reports)) == 5000
    found["gpsd_reports_per_s"] = round(5000 / (time.process_time() - began_s))
    return found


def _time(kind: str, data: bytes) -> tuple[float, int]:
    """Seconds of CPU, and how many packets were good: all of them, and they say something."""
    ear = LineDecoder(protocols()[kind]())
    began_s, values = time.process_time(), 0
    for at in range(0, len(data), CHUNK):
        values += len(ear.feed(data[at : at + CHUNK]))
    values += len(ear.pause())
    seconds = time.process_time() - began_s
    assert values
    assert not ear.sniffer.bad
    return seconds, ear.good


if __name__ == "__main__":
    print(json.dumps(figures()))
