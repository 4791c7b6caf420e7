"""Privacy: redaction of people, the log of pictures that left, and the grant that shows people in a rescue.

Read this first: ``redaction.py``.

Owns: which boxes are redacted (`FrameWithPeople`, `find_people`) and how (`redact`); `EgressLog`, one line
for each picture that left, chained by SHA-256; `RescueGrants`, signed grants that suspend redaction.
Guarantees: a detection at `REDACTION_MIN_SCORE` or more that may be a person is covered by a solid fill,
whatever the rules ask for; a grant ends after 60 minutes at the latest by both clocks, and does not survive
a reboot of the machine. Nothing here identifies anyone: there is no face or plate recognition.
Threads: everything is synchronous; `EgressLog.append` blocks and is for one thread.
Errors: ValueError from `RescueGrants.accept` names the field that is wrong. OSError: the key can't be read,
or the log can't be written; then no picture leaves.
"""
