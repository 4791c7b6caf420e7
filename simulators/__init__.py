"""Simulated hardware for the demo and the tests: receivers, boards, boats, drones, cameras, a broker.

Entry points: `scenario.find_scenario` and `scenario_player.play`, `broker.LocalBroker`, `wire.Wire` (a pty
that can be unplugged), `devices` (hardware on a wire, in real time). A simulator sends real bytes on a pty,
a socket or a stream, and replaces no function of the agent. Its randomness has a seed: the same seed gives
the same bytes. Production needs no simulator, and the agent imports none. Read this first: `devices.py`.
"""
