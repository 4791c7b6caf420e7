"""The vocabulary of the agent: what an observation, a message, a zone, a schedule and a rule are.

An `Observation` is one value of one source with its wall time (``at``) and monotonic time (``at_s``); it
is all that rules see. A `Message` is what goes to the centre: its lane decides order and durability, its
id is final when it is made. `agent.domain.contracts` says what a source and a rule must offer; mypy checks
it.

Everything here is pure: frozen data, no input or output, no clock. Durations are `timedelta` in
configurations and seconds (``_s``) in code. Places in a picture are fractions of its width and height,
from the top left.
"""
