"""Signal and noise of the telemetry radio, by MAVLink. Pure."""

from typing import Any

from firmware_bridge.readings import Reading, Value

RADIO = frozenset({109, 166})
"""RADIO_STATUS and RADIO, which a radio puts in between unsigned."""


SIK = (51, 68)


def radio_readings(message: Any) -> list[Value]:
    """Signal and noise at both ends; SiK radios count 1/1.9 dB above -127 dBm, the unit of others is
    unknown.
    """
    sik = (message.get_srcSystem(), message.get_srcComponent()) == SIK
    levels = {
        "radio_rssi": message.rssi,
        "radio_noise": message.noise,
        "radio_remote_rssi": message.remrssi,  # 0: nothing received from the far end yet
        "radio_remote_noise": message.remnoise,
    }
    return [
        Reading(
            quantity=quantity,
            value=round(level / 1.9 - 127, 1) if sik else float(level),
            unit="dBm" if sik else "raw",
        )
        for quantity, level in levels.items()
        if 0 < level < 255
    ]
