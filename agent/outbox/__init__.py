"""Durable storage of messages until the centre has confirmed them.

    write      returns when alerts and results are safe from a power cut; telemetry is written in groups
    read       hands rows out by lane and rank; they stay on the disk
    delete     on the centre's receipt (alerts, results) or the broker's acknowledgement (everything else)

One thread owns the disk; the loop never waits for it. A disk that is full, read-only, damaged or hanging
costs durability, not service: messages then go out from memory, and the device reports it. A loss is
recorded before the rows are deleted, and reported to the centre as a gap. `sqlite3` is imported in one
file.
"""
