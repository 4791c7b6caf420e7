"""NMEA 0183: position fixes, boat instruments and radar targets, from any talker but vendors' own.

Decoders get sentences whose checksum is valid, have no clock and do no input or output. They pass on what
a receiver declares valid and never invent an accuracy. Sentences of one instant make one fix; several
receivers behind a multiplexer are kept apart.
"""
