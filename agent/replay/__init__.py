"""Recording of observations, and replay through the rules of today or through proposed ones.

Read `replay.py` first, then `what_if.py`.
A recording is a JSON-lines file that a person makes: a header, then one observation per line. The history
(`history_recorder`) is what the agent keeps by itself of the last hours, in compressed blocks. Neither has
pictures. Replay runs the agent's own `Locator` and `RuleEngine` with the recorded times, so its alerts are
those that the device would raise; `what_if` compares those of two configurations.
Threads: `HistoryRecorder` takes observations on the event loop and writes on a worker thread.
Errors: OSError where the disk fails; a damaged block costs its own seconds only.
"""
