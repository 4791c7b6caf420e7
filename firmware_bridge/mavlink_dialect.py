"""The message tables of MAVLink's ardupilotmega dialect, which includes most others. Imports nothing of ours.

pymavlink generates them, under the MIT license. A wheel carries the one generated module (`hatch_build.py`),
so that a device needs neither pymavlink nor its other dialects; a checkout takes the module from pymavlink.
"""

from functools import cache
from importlib import import_module
from typing import Any

MODULES = ("firmware_bridge._ardupilotmega", "pymavlink.dialects.v20.ardupilotmega")


@cache
def dialect() -> Any:
    """The generated module. The first call takes 50 ms and 14 MB. ModuleNotFoundError where it is not
    installed.
    """
    for module in MODULES[:-1]:
        try:
            return import_module(module)
        except ModuleNotFoundError:
            continue
    return import_module(MODULES[-1])
