"""Colours and icons. Colours are those of Okabe and Ito, told apart by the colour-blind; a state is always an
icon and a word as well."""

from typing import Final

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
RED: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#6B7280"

SEVERITY: Final[dict[str, tuple[str, str]]] = {
    "critical": (RED, "report"),
    "warning": (ORANGE, "warning"),
    "info": (BLUE, "info"),
}
"""Colour and icon by severity."""
STATE: Final[dict[str, tuple[str, str]]] = {
    "online": (GREEN, "check_circle"),
    "degraded": (ORANGE, "error"),
    "offline": (RED, "cancel"),
    "stopped": (GREY, "stop_circle"),
    "silent": (RED, "help"),
}
"""Colour and icon by the state of a device."""
