"""The reports beside alerts: status, birth, health, position and telemetry. Pure but for message ids.

Observations and time go in, messages come out; `agent.pipeline` puts them into the write buffer.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agent.config.model import Config
from agent.domain.inference_rate import InferenceRate
from agent.domain.message import Message
from agent.domain.observations import Observation, Tick
from agent.positioning.device_position import DevicePosition
from agent.reporting.messages import MessageFactory
from agent.reporting.position_schedule import PositionSchedule
from agent.reporting.telemetry import Telemetry
from agent.runtime.health import Health
from agent.vision.visibility_state import VisibilityState

_FIGURE = re.compile(r"(?<![\w-])\d+(\.\d+)?(?![\w-])")
"""A number that stands alone; a number in a name, such as cam1 or zone-2, identifies something."""
STATUS_AGAIN_KEEPALIVES = 2
"""So long after its begin, a connection sends its status again: a broker that has not noticed the end of the
one before publishes its last will after 1.5 keepalives and the will's delay, and retains ``offline``."""


class Reporter:
    """Collects observations, and makes the reports that are due."""

    def __init__(
        self,
        config: Config,
        messages: MessageFactory,
        health: Health,
        position: DevicePosition,
        birth: Mapping[str, Any],
    ) -> None:
        self._config = config
        self.messages = messages
        self._health = health
        self._birth = birth
        self.config_fields: Mapping[str, Any] = {}
        """Revision and sha256 of the configuration in force, for ``status``."""
        self.latency_fields: Mapping[str, Any] = {}
        """Latency of alerts, for ``health``."""
        self.host_fields: Mapping[str, Any] = {}
        """Host, link and backlog, for ``health``."""
        self.troubles: Sequence[str] = ()
        """Reasons for ``degraded`` that no source reports itself: outbox, link, host, configuration."""
        self.position_every: timedelta | None = None
        """A shorter interval of the position than the configured one, for a while."""
        self.mode_fields: Callable[[], Mapping[str, Any]] = dict
        """The mode that the device is in for a while, for ``status``."""
        self._position = position
        self.telemetry = Telemetry(messages, config.reporting)
        self._schedule = PositionSchedule()
        self._announced: tuple[str, tuple[str, ...]] | None = None
        self._health_s: float | None = None
        self._status_again_s = math.inf
        self.last_health = b""
        """The body of the last ``health``."""
        self._visibility: dict[str, VisibilityState] = {}
        self._rates: dict[str, InferenceRate] = {}
        self.configure(config, birth)

    def configure(self, config: Config, birth: Mapping[str, Any]) -> None:
        """Takes over a new configuration."""
        self._config, self._birth = config, birth
        self.telemetry.intervals = config.reporting
        cameras = config.cameras()
        self._visibility = {
            name: self._visibility.get(name) or VisibilityState(tuple(camera.zones))
            for name, camera in cameras.items()
            if camera.coverage.watch
        }
        needs = config.required_rates()
        before = self._rates
        self._rates = {name: InferenceRate(name, needs.get(name, ())) for name in cameras}
        self._rates |= {
            name: rate
            for name, rate in before.items()
            if name in cameras and rate.needs == self._rates[name].needs
        }

    def on_observation(self, observation: Observation) -> None:
        """Collects an observation for telemetry, inference rates and visibility."""
        for rate in self._rates.values():
            rate.on_observation(observation)
        for name, visibility in self._visibility.items():
            if isinstance(observation.value, Tick) or name == observation.source:
                visibility.on_observation(observation)
        self.telemetry.on_observation(observation)

    def due(self, at: datetime, now_s: float) -> list[Message]:
        """The reports that are due now; called about once a second."""
        messages = []
        intervals = self._config.reporting
        state = self._state(now_s)
        changed = state != self._announced
        if changed or now_s >= self._status_again_s:
            messages.append(self.status(at, now_s))
        if (
            changed
            or self._health_s is None
            or now_s - self._health_s >= intervals.health_every.total_seconds()
        ):
            messages.append(self.health(at, now_s))
        fields = self._position.position(now_s)
        key, every_s = self._position.change_key(now_s), self._position_every_s
        steady = self.position_every is not None
        if fields is not None and self._schedule.due(key, fields, every_s, now_s, steady=steady):
            messages += self._position_messages(at, now_s)
        messages += self.telemetry.due(fields, at, now_s)
        return messages

    def birth_messages(self, session: int, at: datetime, now_s: float) -> list[Message]:
        """The reports that begin a connection: status, birth, health and position."""
        self.messages.session = session
        self._status_again_s = now_s + STATUS_AGAIN_KEEPALIVES * self._config.broker.keepalive.total_seconds()
        messages = [self.status(at, now_s), self.birth(at, now_s), self.health(at, now_s)]
        return messages + self._position_messages(at, now_s)

    def _state(self, now_s: float) -> tuple[str, tuple[str, ...]]:
        """The state, and its reasons without figures, which change all the time: a difference is a change."""
        reasons = self.reasons(now_s)
        steady = tuple(_FIGURE.sub("", reason) for reason in reasons)
        return ("degraded" if reasons else "online"), steady

    def reasons(self, now_s: float) -> list[str]:
        """Why the device is degraded, one line each; empty where all is well."""
        views = [(name, visibility.reason(now_s)) for name, visibility in self._visibility.items()]
        blind = [f"{name}: {reason}" for name, reason in views if reason]
        rates = [(name, rate.shortfall(now_s)) for name, rate in self._rates.items()]
        blind += [f"{name}: blind: {short.text}" for name, short in rates if short]
        lost = self._position.troubles(now_s)
        return [*self.troubles, *self._health.reasons(now_s), *lost, *blind]

    def status(self, at: datetime, now_s: float, state: str | None = None) -> Message:
        """``status``: online, degraded with its reasons, or the given ``state`` (stopped)."""
        self._announced = self._state(now_s)
        if now_s >= self._status_again_s:
            self._status_again_s = math.inf
        fields = {
            "state": state or self._announced[0],
            "reasons": self.reasons(now_s),
            "config": self.config_fields,
            **self.mode_fields(),
        }
        return self.messages.make("status/1", fields, "status", "status", at, now_s, retain=True)

    def birth(self, at: datetime, now_s: float) -> Message:
        """``birth``: the device, its capabilities and its software."""
        return self.messages.make("birth/1", self._birth, "status", "birth", at, now_s, retain=True)

    def health(self, at: datetime, now_s: float) -> Message:
        """``health``: each part, the host, the link, visibility and receivers."""
        self._health_s = now_s
        fields = self.health_fields(now_s)
        message = self.messages.make("health/1", fields, "status", "health", at, now_s, retain=True)
        self.last_health = message.body
        return message

    def health_fields(self, now_s: float) -> dict[str, Any]:
        """The own fields of ``health`` at this instant."""
        fields: dict[str, Any] = {"parts": self._health.parts(now_s), "reasons": self.reasons(now_s)}
        fields |= self.host_fields
        if self._visibility:
            fields["coverage"] = {
                name: visibility.fields(now_s) for name, visibility in self._visibility.items()
            }
        if receivers := self._position.receivers(now_s):
            fields["receivers"] = receivers
        if self.latency_fields:
            fields["alert_latency_ms"] = self.latency_fields
        return fields

    @property
    def _position_every_s(self) -> float:
        """The fastest rate of positions; in rescue mode the rate of all of them."""
        configured = self._config.reporting.position_every
        return min(configured, self.position_every or configured).total_seconds()

    def _position_messages(self, at: datetime, now_s: float) -> list[Message]:
        """``position``: the device's position, its age and its quality; empty where it is unknown."""
        fields = self._position.position(now_s)
        if fields is None:
            return []
        key, every_s = self._position.change_key(now_s), self._position_every_s
        within_s = self._schedule.sent(key, fields, every_s, now_s, steady=self.position_every is not None)
        fields |= {"next_within_s": within_s}
        return [
            self.messages.make("position/1", fields, "position", "position", at, now_s, qos=0, retain=True)
        ]
