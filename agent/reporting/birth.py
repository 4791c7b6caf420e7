"""The fields of the birth message: the device and its software."""

from typing import Any

from agent.config.model import Config
from agent.host.machine import software
from agent.vision.camera import Camera


def birth_fields(config: Config) -> dict[str, Any]:
    """Kind, place, duty, capabilities, software, models, and the units of all values."""
    place = config.place.model_dump(exclude_none=True)
    duty = config.duty.model_dump(exclude_none=True, mode="json") if config.duty else None
    if duty is not None:
        duty.pop("route", None)
    return {
        "kind": config.kind,
        **place,
        "groups": list(config.groups),
        "duty": duty,
        "capabilities": {
            "sources": {name: source.kind for name, source in config.sources.items()},
            "rules": {name: rule.kind for name, rule in config.rules.items()},
            "outputs": config.outputs(),
        },
        "software": software(),
        "reporting": {"health_every_s": config.reporting.health_every.total_seconds()},
        "models": model_hashes(config),
        "units": "SI; angles in degrees; WGS-84; UTC",
    }


def software_version() -> str:
    """The installed version of ringpost."""
    return software()["ringpost"]


def model_hashes(config: Config) -> dict[str, str]:
    """The sha256 of each model that a camera uses, from its card; a model without a card is left out."""
    import models

    hashes = {}
    for source in config.sources.values():
        if isinstance(source, Camera):
            try:
                hashes[source.detector.model] = models.find(source.detector.model).sha256
            except (OSError, ValueError):
                continue
    return hashes
