"""How fast the serial codecs are on one core: bytes in, values out, nothing else."""

import json
import time
from datetime import UTC, datetime, timedelta

from firmware_bridge import sensor_board
from firmware_bridge.line import Decoder, decode
from firmware_bridge.nmea import NmeaDecoder
from firmware_bridge.sensor_board import PUSH, REPORT, SensorBoardDecoder
from firmware_bridge.sniff import Sniffer
from firmware_bridge.ubx import UbxDecoder
from simulators.receiver import epoch_at

BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
CHUNK = 64
"""Bytes that a read of a real line gives at once."""


def figures() -> dict[str, float]:
    """Sentences, epochs and frames a second, and a core's share for a full line at 115200 baud."""
    epochs = [
        epoch_at(BEGAN + timedelta(seconds=second), 0, lat=32.1, lon=118.7, seed=second % 20)
        for second in range(1500)
    ]
    sentences = b"".join(epoch.said("nmea") for epoch in epochs)
    messages = b"".join(epoch.said("ubx") for epoch in epochs)
    frames = b"".join(
        sensor_board.encode(
            REPORT, {"seq": number, "up_ms": number, "boot": 1, 0: 2150, 2: 12600, 7: 0}, number, PUSH
        )
        for number in range(5000)
    )
    nmea_s, fixes = _time(NmeaDecoder(), "nmea", sentences)
    ubx_s, values = _time(UbxDecoder(), "ubx", messages)
    board_s, readings = _time(SensorBoardDecoder(), "cobs", frames)
    assert (fixes, values) == (1500, 3000)
    assert readings >= 3 * 5000
    return {
        "nmea_sentences_per_s": round(sentences.count(b"\n") / nmea_s),
        "nmea_us_a_sentence": round(nmea_s / sentences.count(b"\n") * 1e6, 1),
        "nmea_core_share_at_115200": round(nmea_s / (len(sentences) / 11_520), 4),
        "ubx_epochs_per_s": round(1500 / ubx_s),
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
