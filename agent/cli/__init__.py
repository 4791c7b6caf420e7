"""The verbs of ``ringpost`` other than ``run``: one module each, loaded only when its verb is used.

A command returns its exit code; what it prints on stdout is the result (``--json``: one object a line),
errors go to stderr in one line each. Text that came from a broker or a device passes
`agent.runtime.sanitize` first.
"""
