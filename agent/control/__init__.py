"""Commands that try or show something on the running device.

Owns: a picture on request, probes of hardware and brokers, what proposed rules would have reported.
Guarantees: nothing in force is changed by a probe; every command has an end, and a limit in time and size.
Threads: the event loop; whatever blocks runs on worker threads or in a child process.
Errors: ValueError where a command is rejected, OSError where it failed; `Commands` makes results of them.
"""
