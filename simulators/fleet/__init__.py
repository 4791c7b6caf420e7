"""Many devices against one broker and one centre, for real.

``ringpost fleet`` (`fleet_run`): real agents, thin clients, presses at random.
``python -m simulators.fleet``: stand-ins that take real pushes, for roll-outs.
"""
