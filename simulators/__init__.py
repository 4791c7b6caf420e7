"""The far end of each wire, for the demo and the tests: receivers, boards, boats, drones, cameras, a broker.

A simulator speaks real bytes on a pseudo-terminal, a socket or a stream, and replaces no function of the
agent. Its randomness has a seed. No simulator is needed in production, and the agent imports none.
"""
