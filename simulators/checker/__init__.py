"""Judges a run by its record alone, apart from the agent's code: `simulators.checker.check.check`.

It imports nothing of the agent and the centre, so that a fault of theirs is not repeated here. See
docs/decisions/0066-checker-apart-from-the-code.md.
"""
