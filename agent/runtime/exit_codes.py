"""Exit codes: those of sysexits.h, click's 2 for wrong use, and the shell's 130 for an interruption.

They stand in this package, below the command line, since the agent itself ends with one.
"""

import os

EX_USAGE = 2
"""The command line is wrong, as click says it (EX_USAGE of sysexits.h is 64)."""
EX_UNAVAILABLE = os.EX_UNAVAILABLE
"""69: the agent, the device or the broker does not answer."""
EX_TEMPFAIL = os.EX_TEMPFAIL
"""75: ended on purpose; a service manager starts it again."""
EX_NOPERM = os.EX_NOPERM
"""77: the signatures, or the roles of their keys, do not suffice."""
EX_CONFIG = os.EX_CONFIG
"""78: a configuration, or a file that it names, is wrong."""
EX_INTERRUPTED = 130
"""Ended by Ctrl-C."""
