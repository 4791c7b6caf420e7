"""Which fixes hold, and where alerts are. Pure: the agent and `replay` run this very class."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from agent.alerts.alert import Alert, present
from agent.domain.findings import Finding
from agent.domain.observations import Observation, Tick
from agent.positioning.camera_geolocation import CameraGeolocator
from agent.positioning.camera_mount import Mount, Surveyed
from agent.positioning.device_position import DevicePosition, PositionSettings
from firmware_bridge.readings import Fix, GnssState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatorSettings:
    """The parts of a configuration that say how positions are found."""

    position: PositionSettings
    grounds: Mapping[str, Surveyed] = field(default_factory=dict)
    """By camera: the surveyed points of its picture."""
    mounts: Mapping[str, Mount] = field(default_factory=dict)
    """By camera: how it is mounted."""


class Locator:
    """Hears every observation before anybody else does, and says of a fix whether it holds."""

    def __init__(self, settings: LocatorSettings) -> None:
        self.whereabouts = DevicePosition(settings.position)
        self._where = CameraGeolocator(self.whereabouts.place)
        self.configure(settings)

    def configure(self, settings: LocatorSettings) -> None:
        """New settings are in force."""
        self.whereabouts.configure(settings.position)
        self._where.configure(settings.grounds, settings.mounts)

    @property
    def troubles(self) -> list[str]:
        """Surveyed points that give no places, or poor ones."""
        return self._where.troubles

    def judged(self, observation: Observation) -> Observation:
        """The observation as all others hear it: a fix carries the ``doubt`` about it, or none."""
        try:
            if isinstance(observation.value, Fix | GnssState | Tick):
                observation = self._weighed(observation)
            self._where.hear(observation)
        except Exception:
            log.exception("locator_failed", source=observation.source)
            return replace(observation, doubt="it could not be weighed")
        return observation

    def _weighed(self, observation: Observation) -> Observation:
        source, now_s = observation.source, observation.mono_s
        jumped = self.whereabouts.hear(observation)
        if jumped is not None:
            log.warning("position_jumped", source=source, metres=round(jumped))
        switched = self.whereabouts.choose(now_s)
        if switched is not None:
            log.warning("receiver_switched", to=switched.to, before=switched.before, why=switched.why)
        if not isinstance(observation.value, Fix):
            return observation
        return replace(observation, doubt=self.whereabouts.doubt(source))

    def placed(self, finding: Finding, at_s: float) -> Finding:
        """``finding`` of a camera with its place on the ground, where that can be told."""
        return self._where.placed(finding, at_s)

    def fields(self, alert: Alert, now_s: float) -> dict[str, Any]:
        """The ``alert`` object of its message: what has no place of its own is where the device is."""
        fields, place = alert.fields(), self.whereabouts.place(now_s)
        return fields if place is None else {"point": present(dict(place))} | fields
