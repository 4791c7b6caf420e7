"""Durable storage of messages until the centre has confirmed them.

    Outbox.put                returns when alerts and results are safe from a power cut; telemetry is batched
    Outbox.due                hands rows out by lane and rank; they stay on the disk until they are delivered
    Outbox.record_receipts    the centre's receipt: alerts and results leave, and are kept for a resend
    Outbox.mark_delivered     the broker's acknowledgement: all other messages leave

Read `outbox.py` first, then `lane_storage.py` (what is stored where) and `sqlite_store.py` (numbers, epochs).
`DiskThread` alone uses the disk; the event loop never waits for one that hangs. A disk that is full,
read-only, damaged or hanging costs durability, not delivery: messages are then sent from memory, and
`troubles` says so.
A loss is reported as a gap, durably, before the rows are deleted. Every failure of a store is an OSError:
`FullError` where the disk is full, `DamagedError` where the file must be reopened, which sets it aside.
`database.py` and `salvage.py` alone import sqlite3.
"""
