"""The local socket: a page at the device sees what the agent sees, and hands it signed orders.

Read this first: ``methods.py`` (the table of methods), then ``connection.py``.

Owns: the Unix socket ``console.sock`` in the data folder, its frames (``frames.py``), its methods.
Guarantees: only the same user and root are served; all methods but ``order`` are read only, and an order goes
through the same gate as one from a broker. With no client nothing is copied, observed or encoded. A client
can slow or stop nothing but itself.
Threads: the event loop; pictures are redacted and encoded in threads, one at a time.
"""
