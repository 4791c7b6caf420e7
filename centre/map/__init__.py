"""The map of all forces at the centre: what it knows, and what its officers do. Without the drawing.

    database of the centre -> store_reader -> feed -> situation (forces, alert_queue) -> pages, reports
                                                          ^
    officer -> actions -> broker (signed orders), action_log (entries of the map itself)

It guarantees: the database of the centre is only read; nothing that a device sent is trusted to be well
formed; no order leaves without a signature. `Feed` reads on a thread, all else runs on one asyncio loop.
Read this first: situation.py.
"""
