"""The hardware side of each interface: serial lines, their protocols, and the readings decoded from them.

    serial/     ports, TCP serial servers, baud rates, framings      one open line: `serial.line.SerialLine`
    nmea/ gnss/ ais/ mavlink/ sensors/                               one decoder for each protocol
    catalogue   all kinds of source: `Line` is the union that a configuration names
    readings    the vocabulary of values (`Fix`, `Reading`, `Switch`, …), in SI units
    source      the contract of every source: `SourcePart`

Decoders are pure: they get packets whose checksum is valid and return values; they have no clock and do no
input or output. `SourcePart.run` does both, on one asyncio loop; only opening and closing a port use a
thread. OSError means that the hardware is not usable now: the caller starts the source again with backoff.
Nothing here imports `agent`. Read this first: `source.py`, then `serial/line.py`.
"""
