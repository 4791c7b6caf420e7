"""Checks every fix, and gives each alert its point. Pure: the agent and `replay` run the same class."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from agent.alerts.alert import Alert, present
from agent.domain.findings import Finding
from agent.domain.observations import Observation, Tick
from agent.positioning.camera_geolocation import CameraGeolocator
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.positioning.device_position import DevicePosition, PositionSettings
from firmware_bridge.readings import Fix, GnssState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatorSettings:
    """The settings for positions."""

    position: PositionSettings
    grounds: Mapping[str, GroundSurvey] = field(default_factory=dict)
    """By camera: the surveyed points of its picture."""
    mounts: Mapping[str, Mount] = field(default_factory=dict)
    """By camera: how it is mounted."""


class Locator:
    """Takes each observation first: marks rejected fixes, keeps the device's and the cameras' poses."""

    def __init__(self, settings: LocatorSettings) -> None:
        self.device_position = DevicePosition(settings.position)
        self._geolocator = CameraGeolocator(self.device_position.alert_point)
        self.configure(settings)

    def configure(self, settings: LocatorSettings) -> None:
        """New settings."""
        self.device_position.configure(settings.position)
        self._geolocator.configure(settings.grounds, settings.mounts)

    @property
    def troubles(self) -> list[str]:
        """Surveyed points that give no position, or a poor one; one line for each camera."""
        return self._geolocator.troubles

    def with_doubt(self, observation: Observation) -> Observation:
        """The observation for all others: ``doubt`` is set on a rejected fix."""
        try:
            if isinstance(observation.value, Fix | GnssState | Tick):
                observation = self._checked(observation)
            self._geolocator.on_observation(observation)
        except Exception:
            log.exception("locator_failed", source=observation.source)
            return replace(observation, doubt="the position check failed")
        return observation

    def _checked(self, observation: Observation) -> Observation:
        source, now_s = observation.source, observation.mono_s
        jump_m = self.device_position.on_observation(observation)
        if jump_m is not None:
            log.warning("position_jumped", source=source, metres=round(jump_m))
        switch = self.device_position.select_receiver(now_s)
        if switch is not None:
            log.warning("receiver_switched", to=switch.selected, before=switch.previous, why=switch.reason)
        if not isinstance(observation.value, Fix):
            return observation
        return replace(observation, doubt=self.device_position.rejection(source))

    def with_point(self, finding: Finding, at_s: float) -> Finding:
        """A camera's finding with its point on the ground, where one can be computed; frame time ``at_s``."""
        return self._geolocator.with_point(finding, at_s)

    def fields(self, alert: Alert, now_s: float) -> dict[str, Any]:
        """The ``alert`` object of its message; without a point of its own it gets the device's position."""
        fields, point = alert.fields(), self.device_position.alert_point(now_s)
        return fields if point is None else {"point": present(dict(point))} | fields
