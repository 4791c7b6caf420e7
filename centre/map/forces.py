"""All forces of the city by device, and filters over them. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from centre.map.force import Force
from centre.map.stored_message import StoredMessage

MAX_FORCES = 20_000
DEVICE = re.compile(r"[a-z0-9-]{1,32}")
"""Other names are of no device that ringpost runs on."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown; an empty set is everything. ``search``: a part of a name, a site or a post."""

    rings: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    """Stations: ``place.site``."""
    search: str = ""

    def admits(self, force: Force) -> bool:
        fields = (
            (self.rings, force.ring),
            (self.domains, force.domain),
            (self.kinds, force.kind),
            (self.sites, force.site),
        )
        if any(wanted and value not in wanted for wanted, value in fields):
            return False
        search = self.search.casefold()
        return not search or any(search in one.casefold() for one in (force.device, force.site, force.post))


class Forces:
    """Takes the messages of all devices."""

    def __init__(self) -> None:
        self._forces: dict[str, Force] = {}
        self.version = 0
        """Grows with each message: see `changed_since`."""
        self.left_out = 0
        """Messages of devices beyond `MAX_FORCES`, or under names that no device has."""

    def __len__(self) -> int:
        return len(self._forces)

    def get(self, device: str) -> Force | None:
        return self._forces.get(device)

    def all(self) -> Iterable[Force]:
        return self._forces.values()

    def chosen(self, by: Filter) -> list[Force]:
        """Those that a filter admits, by name."""
        return sorted((force for force in self.all() if by.admits(force)), key=lambda force: force.device)

    def changed_since(self, version: int) -> list[Force]:
        """The forces with a message since ``version`` (of `Forces`)."""
        return [force for force in self._forces.values() if force.version > version]

    def values(self, field: str) -> list[str]:
        """The values that a filter may choose: of ``ring``, ``domain``, ``kind`` or ``site``."""
        return sorted({value for force in self.all() if (value := getattr(force, field))})

    def apply(self, message: StoredMessage) -> Force | None:
        """Takes one message; gives its force."""
        force = self._forces.get(message.device)
        if force is None:
            if len(self._forces) >= MAX_FORCES or not DEVICE.fullmatch(message.device):
                self.left_out += 1
                return None
            force = self._forces[message.device] = Force(message.device)
        force.apply(message)
        self.version += 1
        force.version = self.version
        return force

    def counts(self, now: datetime) -> dict[str, int]:
        """How many are online, degraded, silent …; and how many positions are stale or unknown."""
        found: dict[str, int] = {}
        for force in self.all():
            link = force.link(now)
            found[link] = found.get(link, 0) + 1
            if force.coordinates is None:
                found["without_position"] = found.get("without_position", 0) + 1
            elif force.stale(now):
                found["stale"] = found.get("stale", 0) + 1
        return found
