"""The reference centre: it stores what devices send, gives receipts, and finds gaps in the numbering.

It is an example of the rules in ``docs/centre.md``, for one machine: commit first, then the receipt, then
the acknowledgement to the broker. It may import `agent`; the agent never imports it.
"""
