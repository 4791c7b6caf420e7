"""Who may order what: signed orders, the roles document, protection against replay.

Read `order.py` first, then `trust.py`.
Owns: the signed envelope (`dsse`), key files (`signing_key`), the roles document (`roles`), orders and their
counters (`order`, `counters`), nonces for orders that switch or uncover (`challenges`), the device's own key
(`device_key`).
Guarantees: the broker carries orders and decides nothing. An order takes effect only where a key of a role
that covers it has signed exactly these bytes for this device, and only once. No clock has to be right.
Threads: none of its own; files are read and written by the caller's thread.
Errors: `OrderRefused` with a path and one clear line; OSError and ValueError for files.
"""
