"""Trust: who ordered what, and whether their keys suffice for it.

Read `changes.py` first: the changes of a push, each with the signatures that it needs.
"""
