"""Serial lines of any protocol: ports, TCP serial servers, baud rates, packets.

    Port or TCP ─▶ Stream ─▶ Sniffer (framings) ─▶ the decoders of a line ─▶ values

Entry points: `SerialLine` (a source; each protocol derives its kind from it), `LineDecoder` (bytes in, values
out, without a port), `open_port`. A line finds its baud rate and its framing by valid packets, survives
unplugging, and refuses a port that another process has open. Everything runs on one asyncio loop; opening
and closing a port run in a thread, because adapters hang. OSError means that the port is not usable now:
the caller tries again. ``port.py`` alone imports pyserial. Read this first: `line.py`.
"""
