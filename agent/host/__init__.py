"""The border to the machine: clocks, randomness, threads and connections. Nothing else reads a clock.

Each module has functions that delegate to an object of the present context (`contextvars`): by default that
of this machine. The simulation runs many agents in one process, each in a context with its own clocks,
randomness, threads and connections; the agent has no code for it. See docs/decisions/0060-virtual-time.md.
"""
