"""Recording of observations, and replay of a recording through the rules of today.

A recording is a JSON-lines file: a header, then one observation per line; no pictures. Replay runs the
agent's own `Locator` and `RuleEngine` with the recorded times, so its alerts are those that the device
would raise.
"""
