"""The reference centre: receives the messages of all devices, stores them, and sends receipts.

Entry points: `centre.server.Centre` (one process), `centre.worker.Worker` (one of several), ``ringpost
centre`` (`centre.cli`). The rules that a real centre must keep stand in docs/centre.md; this package keeps
them and is tested against them.

    registrar, worker_session -> intake -> message_store, picture_store -> receipts -> acknowledgement
                                       \\-> holes (missing sequence numbers) -> command/resend

It guarantees: a receipt is sent only after the commit; storing is idempotent, whoever stores; missing
numbers are requested again or reported as a hole; one process at a time has the lease for ``host/status``. It
runs on one asyncio loop; disk work runs on threads. `sqlite_database` and `postgres_database` alone import
their libraries. It may import `agent`; `agent` never imports it.
Read this first: intake.py.
"""
