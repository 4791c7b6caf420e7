"""The MQTT session: publishing from the outbox, and receiving from the centre.

    Outbox ─▶ ConnectionSender (window, byte budget, quarantine) ─▶ Publisher ─▶ Connection ═▶ broker
    broker ═▶ Connection ─▶ ConnectionSender ─▶ MessageReceiver ─▶ Receipts, on_message of the agent

Read `link.py` first, then `sender.py`. All of it runs on the event loop, but blocking connects
(`connect_threads`). A lost or refused connection is an OSError in one line.

`Link.run` is one connection from the birth messages to the disconnect; the supervisor makes the next one,
with backoff. At least once: a message leaves the outbox on the centre's receipt, never on hope. Refused
messages go to quarantine and hold up nobody. A broker is trusted with neither memory nor time: packets,
lookups and handshakes are bounded. `connection.py` and `paho_packets.py`
alone import paho.
"""
