"""Commands that try or show something on the running device.

Read `control.py` first: the table of the commands. Then `probe_policy.py`: what may be probed.
Owns: a picture on request, probes of hardware and brokers, what proposed rules would have reported, drills,
the rescue mode, silences, restarts of parts, diagnostics, and certificates for the broker.
Guarantees: a probe and a what-if change nothing in force; each command has an end, and a limit in time and
size. What may hang, crash or take long runs in a child process at low priority.
Threads: the event loop; whatever blocks runs on worker threads or in a child process.
Errors: ValueError where a command is rejected, OSError where it failed; `Commands` makes results of them.
"""
