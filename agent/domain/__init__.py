"""The vocabulary of the agent: observation, finding, rule, message, zone, schedule.

An `Observation` is one value of one source with its wall time (``at``) and monotonic time (``at_s``); it
is all that rules see. A `Message` is what goes to the centre: its lane decides order and durability, its
id is final when it is made. `agent.domain.contracts` defines what a rule must provide, and mypy checks it;
`Finding` and `Cleared` (`agent.domain.findings`) are what its evaluator states.

Read `contracts.py` first. Invalid settings raise ValueError with the right form; an invalid file raises
`BadConfig` with all of its problems, each with its line.

Everything here is pure: frozen data, no input or output, no clock. Durations are `timedelta` in
configurations and seconds (``_s``) in code. Places in a picture are fractions of its width and height,
from the top left.
"""
