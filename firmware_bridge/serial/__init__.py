"""Serial lines, whatever is spoken on them: ports, TCP serial servers, baud rates, packets.

    Port or TCP ─▶ Stream ─▶ Sniffer (framings) ─▶ a protocol's decoder ─▶ values

A line finds its baud rate and its framing by valid packets, survives unplugging, and refuses a port that
another process has open. OSError means that the port is not usable now: the caller retries. pyserial is
imported in one file; opening and closing run in a thread, since adapters hang.
"""
