"""Charts: a line over time, and the sky. Drawn by echarts; data only, no functions."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from console.web.theme import BLUE, GREEN, GREY, ORANGE, RED

LINES = {"lineStyle": {"color": "rgba(127, 127, 127, 0.35)"}}
AXIS = {
    "axisLine": {"lineStyle": {"color": GREY}},
    "axisLabel": {"color": GREY},
    "nameTextStyle": {"color": GREY},
}


class TimeChart:
    """One or two quantities over the last minutes. ``names`` and ``units`` are those of the lines."""

    def __init__(self, label: str, names: Sequence[str], units: Sequence[str]) -> None:
        self._names = names
        colours = (BLUE, ORANGE)
        axes = [
            {
                "type": "value",
                "name": unit,
                "scale": True,
                "position": ("left", "right")[place],
                "splitLine": {"show": place == 0, **LINES},
                **AXIS,
                "axisLine": {"onZero": False},
            }
            for place, unit in enumerate(units)
        ]
        options: dict[str, Any] = {
            "animation": False,
            "aria": {"enabled": True, "label": {"description": label}},
            "grid": {"left": 48, "right": 48 if len(names) > 1 else 12, "top": 44, "bottom": 24},
            "legend": {"top": 0, "data": list(names), "textStyle": {"color": GREY}},
            "xAxis": {"type": "value", "max": 0, "axisLabel": {"color": GREY, "formatter": "{value} s"},
                "splitLine": LINES,
            },
            "yAxis": axes,
            "series": [
                {
                    "name": name, "type": "line", "showSymbol": False, "data": [], "yAxisIndex": place,
                    "lineStyle": {"width": 2, "type": "solid" if place == 0 else "dashed"},
                    "color": colours[place],
                }
                for place, name in enumerate(names)
            ],
        }  # fmt: skip
        self.element = ui.echart(options).classes("rp-chart").props(f'role="img" aria-label="{label}"')

    def show(self, points: Sequence[Sequence[tuple[float, float]]]) -> None:
        """For each line its points: seconds before now (0 or less) and value."""
        for series, data in zip(self.element.options["series"], points, strict=True):
            series["data"] = [list(point) for point in data]
        self.element.update()


class SkyPlot:
    """Satellites by direction: north above, the horizon at the rim; the size and colour tell the strength."""

    def __init__(self, label: str) -> None:
        options: dict[str, Any] = {
            "animation": False,
            "polar": {"radius": "78%"},
            "angleAxis": {
                "type": "value", "min": 0, "max": 360, "startAngle": 90, "clockwise": True, "interval": 45,
                "splitLine": LINES, **AXIS,
            },
            "radiusAxis": {
                "min": 0, "max": 90, "interval": 30, "axisLabel": {"show": False}, "axisLine": LINES,
                "splitLine": LINES,
            },
            "visualMap": {
                "min": 20, "max": 48, "dimension": 2, "show": False,
                "inRange": {"color": [RED, ORANGE, GREEN]},
            },
            "series": [
                {
                    "type": "scatter", "coordinateSystem": "polar", "data": [], "symbolSize": 18,
                    "label": {"show": True, "formatter": "{@[3]}", "position": "top", "color": GREY},
                }
            ],
        }  # fmt: skip
        self.element = ui.echart(options).classes("rp-sky").props(f'role="img" aria-label="{label}"')

    def show(self, satellites: Sequence[tuple[float, float, float, str]]) -> None:
        """For each satellite elevation and azimuth in degrees, C/N0 in dBHz, and its name."""
        self.element.options["series"][0]["data"] = [
            [90 - elevation, azimuth, cn0, name] for elevation, azimuth, cn0, name in satellites
        ]
        self.element.update()
