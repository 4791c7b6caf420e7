"""Takes a story from the files of a run, in one pass over its messages."""

from collections.abc import Iterator
from heapq import merge
from typing import Any

from firmware_bridge.wgs84 import Plane
from simulators.report.devices import DeviceWatch
from simulators.report.events import describe_event, describe_fact
from simulators.report.html import clock
from simulators.report.run_files import RunFiles, number
from simulators.report.story import AlertPhase, AlertStory, LogLine, Story, TrackPoint
from simulators.report.tracks import ThinnedTrack
from simulators.run_record import Fields

MAX_TRACKED = 400
"""Moving devices and objects with a track; of more the first ones are drawn."""
MAX_LOG = 1_200


def collect(files: RunFiles) -> Story:
    """The story of a run. OSError or ValueError in one line where a file can't be read."""
    return _Collector(files).collect()


class _Collector:
    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._story = Story(duration_s=number(files.verdict.get("duration_s")) or 0.0)
        self._devices: dict[str, DeviceWatch] = {}
        self._phases: dict[str, AlertPhase] = {}
        self._stored: dict[str, float] = {}
        self._committed: dict[str, float] = {}
        self._tracks: dict[str, ThinnedTrack] = {}
        self._reported: dict[str, ThinnedTrack] = {}
        self._untracked: set[str] = set()
        self._plane: Plane | None = None

    def collect(self) -> Story:
        story = self._story
        for t, is_event, entry in self._in_order():
            story.duration_s = max(story.duration_s, t)
            if is_event:
                self._take_event(t, entry)
            else:
                self._take_message(t, str(entry.get("device", "")), str(entry.get("topic", "")), entry)
        for entry in self._files.entries("truth"):
            self._take_truth(number(entry.get("t")) or 0.0, entry)
        for identity, phase in self._phases.items():
            phase.committed = self._committed.get(identity)
        for name, watch in self._devices.items():
            story.devices[name] = watch.close(story.duration_s)
        story.truth = {name: track.close() for name, track in self._tracks.items()}
        story.reported = {name: track.close() for name, track in self._reported.items()}
        self._close_log()
        if self._untracked:
            story.left_out.append(f"tracks of {len(self._untracked)} more devices and objects")
        return story

    def _in_order(self) -> Iterator[tuple[float, bool, Fields]]:
        """Events and messages by time; an event before a message of the same instant."""

        def timed(kind: str) -> Iterator[tuple[float, int, Fields]]:
            for entry in self._files.entries(kind):
                yield number(entry.get("t")) or 0.0, kind == "messages", entry

        for t, is_message, entry in merge(timed("events"), timed("messages"), key=lambda one: one[:2]):
            yield t, not is_message, entry

    def _device(self, name: str) -> DeviceWatch:
        found = self._devices.get(name)
        if found is None:
            configured = (self._files.scenario.get("devices") or {}).get(name)
            config = configured.get("config") if isinstance(configured, dict) else None
            found = self._devices[name] = DeviceWatch(name, config if isinstance(config, dict) else {})
        return found

    def _take_event(self, t: float, entry: Fields) -> None:
        event, device, story = str(entry.get("event", "")), str(entry.get("device") or ""), self._story
        match event:
            case "accepted":
                self._stored[str(entry.get("id"))] = t
            case "committed":
                self._committed.setdefault(str(entry.get("id")), t)
            case "receipt":
                story.receipts += len(entry.get("ids") or ())
            case _:
                if device and entry.get("part") == "device":
                    self._device(device).on_part(t, event, has_power=entry.get("power", True) is not False)
                if (line := describe_event(event, entry)) is not None:
                    story.log.append(LogLine(t, line.kind, device, line.text, line.level))

    def _take_message(self, t: float, device: str, topic: str, entry: Fields) -> None:
        story, body = self._story, entry.get("body")
        group = topic.partition("/")[0]
        story.topics[group if group in ("telemetry", "media") else topic] += 1
        if not isinstance(body, dict) or not device:
            return
        watch = self._device(device)
        watch.device.messages += 1
        match topic:
            case "alert":
                self._take_alert(t, device, body)
            case "status":
                if (line := watch.on_status(t, body)) is not None:
                    story.log.append(LogLine(t, "status", device, line.text, line.level))
            case "birth":
                watch.on_birth(body)
                story.kinds[device] = watch.device.kind
                self._place(device, self._point(t, body))
            case "position":
                self._take_position(t, device, body)
            case "config/reported" | "command/result":
                outcome = str(body.get("outcome") or body.get("state") or body.get("result") or "answered")
                story.log.append(LogLine(t, "action", device, f"{topic}: {outcome}"))

    def _take_alert(self, t: float, device: str, body: Fields) -> None:
        story, alert = self._story, body.get("alert")
        identity = str(body.get("id"))
        if identity in self._phases:
            self._phases[identity].repeats += 1
            story.repeats += 1
            return
        if not isinstance(alert, dict):
            return
        phase = AlertPhase(identity, str(alert.get("phase", "")), sent=t)
        steps = body.get("latency_ms")
        steps = steps if isinstance(steps, dict) else {}
        on_wire = number(steps.get("outbox_to_sent"))
        phase.stored = self._stored.get(identity, None if on_wire is None else t - on_wire / 1000)
        stored_ms = number(steps.get("finding_to_outbox"))
        if phase.stored is not None:  # sent after a restart, it has no steps
            phase.found = phase.stored - (stored_ms or 0.0) / 1000
        self._phases[identity] = phase
        key = device, str(alert.get("alert_id"))
        known = story.alerts.get(key)
        if known is None:
            rule, severity, text = (str(alert.get(field, "")) for field in ("rule", "severity", "text"))
            known = story.alerts[key] = AlertStory(*key, rule, severity, text)
        known.text = str(alert.get("text", known.text))
        known.phases.append(phase)
        known.ended |= phase.phase == "end"
        level = {"end": "good", "update": "info"}.get(phase.phase, known.severity)
        story.log.append(
            LogLine(t, "alert", device, f"{phase.phase} alert {known.rule}: {known.text}", level)
        )
        point = alert.get("point")
        if phase.phase == "new" and isinstance(point, dict) and (at := self._point(t, point)) is not None:
            story.alert_points.append((known, at))

    def _take_position(self, t: float, device: str, body: Fields) -> None:
        point = self._point(t - (number(body.get("age_s")) or 0.0), body)
        if body.get("mode") == "surveyed":
            self._place(device, point)
        elif point is not None and (track := self._track(self._reported, device)) is not None:
            if track.last_t is None or point.t > track.last_t:
                track.add(point)
            self._story.kinds.setdefault(device, "")

    def _take_truth(self, t: float, entry: Fields) -> None:
        if (line := describe_fact(entry)) is not None:
            device = str(entry.get("device") or "")
            self._story.log.append(LogLine(t, line.kind, device, line.text, line.level))
            who = str(entry.get("object") or device)
            self._story.facts.append((t, str(entry["event"]), who))
            return
        name = str(entry.get("object") or entry.get("device") or "")
        point = self._point(t, entry)
        if point is None or not name:
            return
        if "object" in entry:
            self._story.kinds.setdefault(name, str(entry.get("kind", "object")))
            phases = self._story.phases.setdefault(name, [])
            phase = str(entry.get("phase") or "")
            if phase != (phases[-1][1] if phases else ""):
                phases.append((t, phase))
        if (track := self._track(self._tracks, name)) is not None:
            if track.only_placed:
                track.clear()
            track.add(point)

    def _place(self, device: str, point: TrackPoint | None) -> None:
        """A post stays where it is."""
        if point is not None and device not in self._tracks:
            track = self._track(self._tracks, device, counts=False)
            if track is not None:
                track.add(point)
                track.only_placed = True

    def _track(
        self, tracks: dict[str, ThinnedTrack], name: str, *, counts: bool = True
    ) -> ThinnedTrack | None:
        found = tracks.get(name)
        if found is None and self._plane is not None:
            if counts and sum(not track.only_placed for track in tracks.values()) >= MAX_TRACKED:
                self._untracked.add(name)
                return None
            found = tracks[name] = ThinnedTrack(self._plane)
        return found

    def _point(self, t: float, fields: Any) -> TrackPoint | None:
        lat, lon = number(fields.get("lat")), number(fields.get("lon"))
        if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 360:
            return None
        if self._plane is None:
            self._plane = Plane(lat, lon)
        return TrackPoint(t, lat, lon, number(fields.get("error_m")), str(fields.get("trust", "")))

    def _close_log(self) -> None:
        story = self._story
        story.log.sort(key=lambda line: line.t)
        if len(story.log) > MAX_LOG:
            kept = [line for line in story.log if line.level in ("critical", "warning")][:MAX_LOG]
            some = f"{len(story.log) - len(kept)} of {len(story.log)} lines of the log"
            until = clock(kept[-1].t if kept else 0)
            story.left_out.append(f"{some}: those without trouble, and those after {until}")
            story.log = kept
