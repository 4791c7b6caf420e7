"""NMEA 0183: position fixes, boat instruments and radar targets, from any talker but vendors' own.

Entry points: `nmea.Nmea` (the source), `NmeaDecoder`, `InstrumentDecoder`, `RadarDecoder`. Decoders get
sentences whose checksum is valid, have no clock and do no input or output. They pass on what a receiver flags
as valid and never invent an accuracy. The sentences of one epoch make one fix; several receivers behind a
multiplexer are kept apart. Invalid content is counted in ``bad`` and raises nothing. Read this first:
`nmea.py`, then `fixes.py`.
"""
