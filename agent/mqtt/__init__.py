"""The MQTT session: publishing from the outbox, and receiving from the centre.

    Outbox ─▶ ConnectionSender (window, byte budget, quarantine) ─▶ Connection ═▶ broker
    broker ═▶ Connection ─▶ Subscriptions, Receipts ─▶ on_message of the agent

`Link.run` is one connection from the birth messages to the disconnect; the supervisor makes the next one,
with backoff. At least once: a message leaves the outbox on the centre's receipt, never on hope. Refused
messages go to quarantine and hold up nobody. A broker is trusted with neither memory nor time: packets,
lookups and handshakes are bounded. paho is imported in one file.
"""
