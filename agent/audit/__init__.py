"""The audit log: who reconfigured, commanded and acknowledged what, and which pictures left to whom.

    AuditLog.append          queues an entry and returns at once; never raises
    AuditLog.append_durably  returns once the entry is on disk (OSError): before a picture leaves
    AuditLog.written         waits until what was appended is on disk: before an order takes effect

Each entry carries the hash of the one before and a signature. The signing key changes with each entry, its
successor is a hash of it, and the old one is erased: who takes the device can't change or replace what was
written before. `start`, `checkpoint` and `stop` are also signed with the device key, and go to the centre,
which countersigns them: a cut tail, a deleted log and an older copy show there.

Read `entry.py` first, then `chain_files.py` (order of writes, recovery), `audit_log.py` and `verify.py`.
Threads: one, which alone uses the files. Errors: where the disk refuses, entries wait in memory, `trouble`
says so, and a `gap` entry follows.
"""
