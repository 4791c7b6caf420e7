"""Services of a long-running process: supervision, health, clocks, files, logging, native calls.

Read `supervisor.py` first, then `health.py`.
`supervise` keeps a part running: it restarts it with backoff after any exception, logs an OSError in one line
where it changes and a bug with its traceback, and never lets one part stop another. `Health` answers three
questions for each part: is it running, is it sending, is its data valid.
Guarantees: files are replaced atomically, with fsync of file and folder (`atomic_files`); a native call that
hangs is abandoned and counted, and with `MAX_ABANDONED` of them the process ends with exit code 75
(`native_calls`); systemd's watchdog is fed only as long as the agent makes progress (`systemd`).
Threads: `supervise` and `Health` on the event loop; each native call on a thread of its own.
Nothing here knows of rules, alerts or MQTT. Text from outside passes `sanitize` before a terminal shows it.
"""
