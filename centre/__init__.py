"""The reference centre: receives the messages of all devices, stores them, and sends receipts.

Entry points: `centre.server.Centre` (one MQTT session), ``ringpost centre`` (`centre.cli`). The rules that a
real centre must keep stand in docs/centre.md; this package keeps them and is tested against them.

    connection -> intake -> message_store, picture_store -> receipts -> acknowledgement to the broker
                        \\-> holes (missing sequence numbers) -> command/resend

It guarantees: a receipt is sent only after the commit; storing is idempotent; missing numbers are requested
again or reported as a hole. It runs on one asyncio loop; disk work runs on threads. It may import `agent`;
`agent` never imports it.
Read this first: intake.py.
"""
