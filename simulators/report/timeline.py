"""The timeline drawn: deadlines, faults, devices with their sources, alerts; all on one axis."""

from collections.abc import Iterable, Sequence
from typing import Any

from simulators.report.html import OTHER, SHAPES, Html, class_of, clock, e, section
from simulators.report.run_files import number, rows
from simulators.report.story import AlertStory, DeviceStory, Span, Story

STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
MAX_TICKS = 11
MAX_DEVICES, MAX_ALERT_ROWS, MAX_FAULT_ROWS, MAX_SPANS = 30, 60, 40, 300


def timeline_section(story: Story, verdict: dict[str, Any], marks: Sequence[tuple[float, str]]) -> Html:
    """All rows. ``marks`` are instants with their names, drawn through all rows."""
    whole = story.duration_s or 1.0
    groups = [
        _group("Faults", _fault_rows(story, rows(verdict, "faults"), whole)),
        _city_row(story, whole),
        _group("Devices and sources", (row for device in _shown(story) for row in _device(device, whole))),
        _group("Alerts", _alert_rows(story, whole)),
    ]
    lines = "".join(
        f'<i class="deadline" style="left:{_at(t, whole)}" title="{e(f"{clock(t)} {text}")}"></i>'
        for t, text in marks
        if 0 <= t <= whole
    )
    said = "".join(f"<li><b>{clock(t)}</b> {e(text)}</li>" for t, text in marks)
    over = f'<div class="lane">{lines}<i class="playhead" hidden></i></div>'
    content = (
        f'<div class="timeline" id="timeline">{_row("", _axis(whole), "axis")}'
        f'<div class="over" aria-hidden="true">{over}</div>{"".join(groups)}</div>'
    )
    key = '<p class="key"><i class="line-key"></i> deadlines:</p>'
    listed = f'{key}<ul class="marks">{said}</ul>' if said else ""
    return section("timeline-part", "Timeline", content, listed)


def _shown(story: Story) -> list[DeviceStory]:
    """All devices, or of many those that were longest in trouble."""
    devices = list(story.devices.values())
    if len(devices) <= MAX_DEVICES:
        return sorted(devices, key=lambda device: device.name)
    story.left_out.append(
        f"rows of {len(devices) - MAX_DEVICES} of {len(devices)} devices in the timeline: shown are those"
        " that were longest not online"
    )
    return sorted(devices, key=lambda device: -device.trouble_s())[:MAX_DEVICES]


def _group(title: str, found: Iterable[Html]) -> Html:
    content = "".join(found)
    return f'<div class="group"><h3>{e(title)}</h3>{content}</div>' if content else ""


def _row(label: Html, content: Html, kind: str = "") -> Html:
    return f'<div class="row {kind}"><span>{label}</span><div class="lane">{content}</div></div>'


def _at(t: float, whole: float) -> str:
    return f"{100 * min(1.0, max(0.0, t / whole)):.3f}%"


def _piece(begin: float, end: float, whole: float, kind: str, text: str, shape: str = "") -> Html:
    title = f"{clock(begin)}–{clock(end)} {text}"
    width = f"{100 * max(0.0, min(end, whole) - max(0.0, begin)) / whole:.3f}%"
    return (
        f'<i class="span {kind}" style="left:{_at(begin, whole)};width:{width}" title="{e(title)}">'
        f"{shape + ' ' if shape else ''}{e(text)}</i>"
    )


def _dot(t: float, whole: float, shape: str, words: str) -> Html:
    hidden = f'<span class="sr">{e(words)}</span>'
    return f'<b class="dot" style="left:{_at(t, whole)}" title="{e(words)}">{shape}{hidden}</b>'


def _fault_rows(story: Story, faults: list[dict[str, Any]], whole: float) -> Iterable[Html]:
    """All, or of many first those that had no effect or were not detected."""
    if len(faults) > MAX_FAULT_ROWS:
        more = len(faults) - MAX_FAULT_ROWS
        story.left_out.append(f"{more} of {len(faults)} rows of faults in the timeline")
        faults = sorted(faults, key=lambda one: (one.get("effect_s") or -1, one.get("detected_s") or -1))
    return [_fault_row(one, whole) for one in faults[:MAX_FAULT_ROWS]]


def _fault_row(one: dict[str, Any], whole: float) -> Html:
    began = number(one.get("began_s")) or 0.0
    ended = number(one.get("ended_s"))
    text = str(one.get("kind", "")) if one.get("effect_s") is not None else "no effect"
    content = _piece(began, whole if ended is None else ended, whole, "fault", text)
    for key, shape, word in (("detected_s", "⚑", "detected"), ("recovered_s", "✓", "recovered")):
        t = number(one.get(key))
        if t is not None:
            content += _dot(t, whole, shape, f"{word} {clock(t)}")
    return _row(f"{e(one.get('kind'))}<small>{e(one.get('device') or '')}</small>", content)


def _device(device: DeviceStory, whole: float) -> Iterable[Html]:
    label = f"<b>{e(device.name)}</b><small>{e(device.kind.replace('_', ' '))}</small>"
    yield _row(label, _spans(device.states, whole), "device")
    for source, spans in device.sources.items():
        yield _row(e(source), _spans(spans, whole), "source")


def _spans(spans: Sequence[Span], whole: float) -> Html:
    pieces = [
        _piece(
            span.begin, span.end, whole, class_of(span.state),
            span.why or span.state, SHAPES.get(span.state, OTHER),
        )
        for span in spans[:MAX_SPANS]
    ]  # fmt: skip
    if len(spans) > MAX_SPANS:
        pieces.append(f'<i class="span unknown" title="{len(spans) - MAX_SPANS} more changes">…</i>')
    return "".join(pieces)


def _alert_rows(story: Story, whole: float) -> Iterable[Html]:
    groups: dict[tuple[str, str], list[AlertStory]] = {}
    for alert in story.alerts.values():
        groups.setdefault((alert.device, alert.rule), []).append(alert)
    if len(groups) > MAX_ALERT_ROWS:
        story.left_out.append(
            f"{len(groups) - MAX_ALERT_ROWS} of {len(groups)} rows of alerts in the timeline"
        )
    for (device, rule), alerts in list(groups.items())[:MAX_ALERT_ROWS]:
        content = "".join(_alert(alert, whole) for alert in alerts[:MAX_SPANS])
        yield _row(f"{e(rule)}<small>{e(device)}</small>", content, "alert")


def _alert(alert: AlertStory, whole: float) -> Html:
    instants = [phase.sent for phase in alert.phases if phase.sent is not None]
    if not instants:
        return ""
    end = max(instants) if alert.ended else whole
    shape = SHAPES.get(alert.severity, "○")
    kind = alert.severity if alert.severity in SHAPES else "info"
    content = _piece(min(instants), end, whole, kind, alert.text, shape)
    for phase in alert.phases:
        if phase.sent is not None and phase.phase == "update":
            content += _dot(phase.sent, whole, "·", f"update {clock(phase.sent)}")
    return content


def _axis(whole: float) -> Html:
    step = next((one for one in STEPS_S if whole / one <= MAX_TICKS), int(whole / MAX_TICKS))
    ticks = [t for t in range(0, int(whole) + 1, step) if t <= 0.97 * whole]
    return "".join(
        f'<i class="tick{" odd" if place % 2 else ""}" style="left:{_at(t, whole)}">{clock(t)}</i>'
        for place, t in enumerate(ticks)
    )


def _city_row(story: Story, whole: float) -> Html:
    """How many devices are not online, where there are too many for a row each."""
    if len(story.devices) <= MAX_DEVICES:
        return ""
    parts = 120
    counts = [0] * parts
    for device in story.devices.values():
        for span in device.states:
            if span.state != "online":
                first = int(parts * span.begin / whole)
                for place in range(first, min(parts, int(parts * span.end / whole) + 1)):
                    counts[place] += 1
    most = max(counts) or 1
    bars = "".join(
        f'<i class="column" style="left:{100 * place / parts:.2f}%;height:{100 * count / most:.1f}%"></i>'
        for place, count in enumerate(counts)
        if count
    )
    label = f"not online<small>at most {max(counts)} of {len(story.devices)}</small>"
    return _group("All devices", (_row(label, bars, "columns"),))
