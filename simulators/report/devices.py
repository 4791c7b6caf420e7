"""The states of one device and of its sources, by its own words."""

from dataclasses import dataclass
from typing import Any

from simulators.report.story import DeviceStory, Span
from simulators.run_record import Fields

UNHEARD = "no message yet"
_ENDED = {"killed": "killed", "died": "died", "stopped": "stopped"}
_LEVELS = {"online": "good", "degraded": "warning", "offline": "critical"}


@dataclass(frozen=True, slots=True)
class Words:
    """A line of the log without its time."""

    kind: str
    text: str
    level: str = "info"


class DeviceWatch:
    """Takes status, birth and what happens to the process, in order of time."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        self.device = DeviceStory(name, str(config.get("kind", "")))
        self._state = Span(UNHEARD, 0.0, 0.0)
        self._open: dict[str, Span] = {}
        for source in config.get("sources") or ():
            self._add_source(str(source))

    def on_birth(self, body: Fields) -> None:
        self.device.kind = str(body.get("kind", self.device.kind))
        capabilities = body.get("capabilities")
        found = capabilities.get("sources") if isinstance(capabilities, dict) else None
        for source in found or ():
            self._add_source(str(source))

    def on_status(self, t: float, body: Fields) -> Words | None:
        """The line for the log where its state or its reasons are others than before."""
        state = str(body.get("state", ""))
        said = body.get("reasons")
        reasons = [str(reason) for reason in said] if isinstance(said, list) else []
        why = "; ".join(reasons)
        changed = (state, why) != (self._state.state, self._state.why)
        if changed:
            self._change(t, state, why)
        for source in self.device.sources:
            own = [reason for reason in reasons if reason.startswith((f"{source}: ", f"{source} "))]
            self._source(t, source, _source_state(own, state), "; ".join(own))
        if not changed:
            return None
        return Words("status", f"{state}: {why}" if why else state, _LEVELS.get(state, "info"))

    def on_part(self, t: float, event: str, *, has_power: bool = True) -> None:
        """Its process began or ended."""
        state = _ENDED.get(event) if has_power else "without power"
        if state is None:
            return
        self._change(t, state, "")
        for source in self.device.sources:
            self._source(t, source, state, "")

    def close(self, t: float) -> DeviceStory:
        """The device's story, which ends at ``t``."""
        self._change(t, "", "")
        for source in self.device.sources:
            self._source(t, source, "", "")
        return self.device

    def _add_source(self, source: str) -> None:
        self.device.sources.setdefault(source, [])
        self._open.setdefault(source, Span(UNHEARD, 0.0, 0.0))

    def _change(self, t: float, state: str, why: str) -> None:
        _end(self._state, t, self.device.states)
        self._state = Span(state, t, t, why)

    def _source(self, t: float, source: str, state: str, why: str) -> None:
        before = self._open[source]
        if (state, why) != (before.state, before.why):
            _end(before, t, self.device.sources[source])
            self._open[source] = Span(state, t, t, why)


def _end(span: Span, t: float, into: list[Span]) -> None:
    span.end = t
    if span.end > span.begin:
        into.append(span)


def _source_state(reasons: list[str], state: str) -> str:
    if state in ("offline", "stopped"):
        return state
    if not reasons:
        return "online"
    return "blind" if any("blind" in reason for reason in reasons) else "degraded"
