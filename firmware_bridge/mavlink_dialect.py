"""The tables of MAVLink's ardupilotmega dialect, which holds most others. Imports nothing of ours.

pymavlink generates them, under the MIT license. A wheel carries the one generated module (`hatch_build.py`),
so that a device needs neither pymavlink nor its other dialects; a checkout takes it from pymavlink.
"""

from functools import cache
from importlib import import_module
from typing import Any

PLACES = ("firmware_bridge._ardupilotmega", "pymavlink.dialects.v20.ardupilotmega")


@cache
def dialect() -> Any:
    """The generated module; the first call takes 50 ms and 14 MB. ModuleNotFoundError where there is none."""
    for place in PLACES[:-1]:
        try:
            return import_module(place)
        except ModuleNotFoundError:
            continue
    return import_module(PLACES[-1])
