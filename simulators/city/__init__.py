"""A whole city in virtual time: real agents, their faults, and the verdict of the checker.

``python -m simulators.city --share 0.03``: see `simulators.city.__main__`.
"""
