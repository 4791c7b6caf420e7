"""The film of a run: what its script needs to draw who was where, and the log beside it."""

from collections.abc import Iterable, Sequence
from typing import Any

from firmware_bridge.wgs84 import Plane
from simulators.report.html import SHAPES, Html, clock, e, section
from simulators.report.marks import rescue_of
from simulators.report.story import LogLine, Story, TrackPoint

SPEEDS = (1, 2, 5, 10, 30, 60)
MANY = 30
"""Devices with a row each, and objects."""
TRUSTS = ("good", "low", "old")


def film_data(story: Story) -> dict[str, Any] | None:
    """Tracks in decimetres of a plane and tenths of a second, as differences; None without a position."""
    everything = [*story.truth.values(), *story.reported.values()]
    first = next((point for track in everything for point in track), None)
    if first is None:
        return None
    plane = Plane(first.lat, first.lon)
    names = dict.fromkeys([*story.truth, *story.reported])
    fell, focus, _ = rescue_of(story)
    if not focus:
        focus = next((name for name in names if story.kinds.get(name) == "person"), "")
    states = {
        name: [[round(span.begin * 10), span.state] for span in device.states]
        for name, device in story.devices.items()
    }
    objects = [
        {
            "name": name,
            "kind": story.kinds.get(name, ""),
            "device": name in story.devices,
            "truth": _steps(plane, story.truth.get(name, ())),
            "said": _steps(plane, story.reported.get(name, ())),
            "error": [[_round(point.error_m), _trust(point.trust)] for point in story.reported.get(name, ())],
            "states": states.get(name) or [[round(t * 10), phase] for t, phase in story.phases.get(name, ())],
        }
        for name in names
    ]
    return {
        "duration": story.duration_s,
        "objects": objects,
        "alerts": [
            [round(at.t * 10), _tenths(alert.until()), *_place(plane, at), _round(at.error_m)]
            for alert, at in story.alert_points
        ],
        "rows": _rows(story),
        "focus": focus if focus in names else None,
        "since": _tenths(fell),
        "shapes": SHAPES,
    }


def _rows(story: Story) -> list[str]:
    """The objects with a row in the table: of many devices those that were longest in trouble. Ships that
    pass have none."""
    devices = sorted(story.devices.values(), key=lambda device: -device.trouble_s())
    if len(devices) <= MANY:
        devices.sort(key=lambda device: device.name)
    others = [name for name, kind in story.kinds.items() if name not in story.devices and kind != "vessel"]
    return [device.name for device in devices[:MANY]] + others[:MANY]


def _steps(plane: Plane, track: Iterable[TrackPoint]) -> list[int]:
    """``t, east, north`` of the first point, then the differences to the point before."""
    steps: list[int] = []
    before = (0, 0, 0)
    for point in track:
        now = (round(point.t * 10), *_place(plane, point))
        steps += (one - other for one, other in zip(now, before, strict=True))
        before = now
    return steps


def _place(plane: Plane, point: TrackPoint) -> tuple[int, int]:
    east, north = plane.metres(point.lat, point.lon)
    return round(east * 10), round(north * 10)


def _tenths(t: float | None) -> int | None:
    return None if t is None else round(t * 10)


def _round(error_m: float | None) -> float | None:
    return None if error_m is None else round(error_m, 1)


def _trust(trust: str) -> int:
    return TRUSTS.index(trust) if trust in TRUSTS else -1


def film_section(story: Story) -> Html:
    """The map, the player, who is where, and the log."""
    speeds = "".join(f'<option value="{speed}">{speed} ×</option>' for speed in SPEEDS)
    most = max(1, round(story.duration_s * 10))
    player = (
        '<div class="player" role="group" aria-label="Player">'
        f'<div class="slide"><input type="range" id="slider" min="0" max="{most}" value="0" step="1"'
        f' aria-label="Second of the run">{_ticks(story)}</div>'
        '<button type="button" id="play" aria-keyshortcuts="Space">▶ Play</button>'
        '<output id="now" for="slider">0:00</output>'
        f'<label>Speed <select id="speed" aria-keyshortcuts="+ -">{speeds}</select></label>'
        '<button type="button" id="closer" aria-label="Closer">＋</button>'
        '<button type="button" id="wider" aria-label="Wider">−</button>'
        '<button type="button" id="fit">All</button>'
        '<button type="button" id="follow" aria-pressed="false">Follow</button></div>'
    )
    keys = (
        '<p class="key"><kbd>Space</kbd> play or pause · <kbd>←</kbd> <kbd>→</kbd> a second, with'
        " <kbd>Shift</kbd> ten · <kbd>Home</kbd> <kbd>End</kbd> · <kbd>+</kbd> <kbd>−</kbd> speed</p>"
    )
    legend = (
        '<p class="key">Filled: where it is. Ring with a dashed circle: where the device says that it is,'
        " and its error. Large circle: where an alert says that it happened.</p>"
    )
    moves = any(len(track) > 1 for track in story.truth.values())
    content = (
        f'<div class="film{"" if moves else " still"}"><div class="stage"><canvas id="map" role="img"'
        ' aria-label="Map with all devices, people and vessels; the table below has the same"></canvas>'
        f'<p class="caption"><b id="since"></b> <span id="caption"></span></p>{player}{keys}{legend}</div>'
        f"{_log(story.log)}</div>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Who is where">'
        '<table id="where" role="table"><caption class="sr">Who is where at the chosen second</caption>'
        '<thead role="rowgroup"></thead><tbody role="rowgroup"></tbody></table></div>'
    )
    return section("film", "Who was where, each second", content)


def _ticks(story: Story) -> Html:
    """Below the slider: when it happened, and by when who is to be where."""
    fell, _, marks = rescue_of(story)
    if fell is None:
        return ""
    ticks = "".join(
        f'<i style="left:{100 * t / story.duration_s:.2f}%" title="{e(text)}">{e(text.partition(":")[0])}</i>'
        for t, text in [(fell, "0"), *marks]
        if t <= story.duration_s
    )
    return f'<div class="ticks" aria-hidden="true">{ticks}</div>'


def log_section(story: Story) -> Html:
    """The log without a film, for a run without positions."""
    return section("log-part", "What happened", _log(story.log))


def _log(lines: Sequence[LogLine]) -> Html:
    items = "".join(
        f'<li class="{line.level if line.level in SHAPES else "info"} {e(line.kind)}">'
        f'<button type="button" data-t="{line.t:.2f}"><time>{clock(line.t)}</time>'
        f'<b aria-hidden="true">{SHAPES.get(line.level, "○")}</b>'
        f"<span>{f'<em>{e(line.device)}</em> ' if line.device else ''}{e(line.text)}</span></button></li>"
        for line in lines
    )
    return f'<ol class="log" id="log" aria-label="Log of the run" tabindex="0">{items}</ol>'
