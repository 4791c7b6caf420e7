"""What a long-running process needs, whatever it does: supervision, health, clocks, files, logging.

`supervise` keeps a part running: it restarts it with backoff after any exception, logs an `OSError` as one
line when it changes and a bug with its traceback, and never lets one part stop another. `Health` answers
three questions for each part: is it running, is it sending, is its data valid. Files are replaced
atomically, with fsync of file and folder. A native call that hangs is abandoned and counted; with too many
of them the process ends with exit code 75.

Nothing here knows of rules, alerts or MQTT. Text from outside passes `printable` before a terminal shows
it.
"""
