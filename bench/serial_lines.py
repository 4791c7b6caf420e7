"""How fast the serial codecs are on one core: bytes in, values out, nothing else."""

import json
import time
from datetime import UTC, datetime, timedelta

from firmware_bridge import nmea, sensor_board
from firmware_bridge.line import Decoder, decode
from firmware_bridge.nmea import NmeaDecoder
from firmware_bridge.sensor_board import PUSH, REPORT, SensorBoardDecoder
from firmware_bridge.sniff import Sniffer
from simulators.world import receiver_at

CHUNK = 64
"""Bytes that a read of a real line gives at once."""


def figures() -> dict[str, float]:
    """NMEA sentences and sensor-board frames a second, and a core's share for a full line at 115200 baud."""
    began = datetime(2026, 11, 28, tzinfo=UTC)
    sentences = b"".join(
        nmea.encode(receiver_at(began + timedelta(seconds=second), second, lat=32.1, lon=118.7, seed=1))
        for second in range(3000)
    )
    frames = b"".join(
        sensor_board.encode(
            REPORT, {"seq": number, "up_ms": number, "boot": 1, 0: 2150, 2: 12600, 7: 0}, number, PUSH
        )
        for number in range(5000)
    )
    nmea_s, values = _time(NmeaDecoder(), "nmea", sentences)
    board_s, readings = _time(SensorBoardDecoder(), "cobs", frames)
    assert values >= 2999
    assert readings == 3 * 5000
    return {
        "nmea_sentences_per_s": round(sentences.count(b"\n") / nmea_s),
        "nmea_core_share_at_115200": round(nmea_s / (len(sentences) / 11_520), 4),
        "sensor_board_frames_per_s": round(5000 / board_s),
    }


def _time(decoder: Decoder, framing: str, data: bytes) -> tuple[float, int]:
    """Seconds of CPU and how many values."""
    sniffer = Sniffer((framing,))
    began_s, values = time.process_time(), 0
    for at in range(0, len(data), CHUNK):
        values += len(decode(decoder, sniffer, data[at : at + CHUNK]))
    values += len(decoder.pause())
    return time.process_time() - began_s, values


if __name__ == "__main__":
    print(json.dumps(figures()))
