"""What all pages of one map share: the feed, the actions, the settings, the pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from statistics import median

from agent.host.clock import utc_now
from agent.trust.dsse import MAX_BYTES
from agent.trust.refusal import OrderRefused
from agent.trust.roles import Roles, open_roles
from centre.map.action_entry import ActionEntry
from centre.map.actions import Actions
from centre.map.feed import Feed
from centre.map.fleet_orders import FleetOrders
from centre.map.history import History
from centre.map.map_lines import NamedLine, read_lines
from centre.map.queued_alert import QueuedAlert
from centre.map.scene import ForceObjects
from centre.map.settings import MapSettings, load_settings
from centre.map.situation import Change
from centre.map.waterway import Waterway
from firmware_bridge.regular_files import read_regular

LEAST_SILENCE_S = 20.0
"""The centre may commit nothing for so long before the map says so."""
CLOCKS_APART_S = 30.0


@dataclass(slots=True, eq=False)
class City:
    """Made once by the process. ``now`` is the clock."""

    db: Path
    feed: Feed
    actions: Actions
    settings: MapSettings
    history: History
    rivers: tuple[NamedLine, ...] = ()
    roads: tuple[NamedLine, ...] = ()
    pictures: Path | None = None
    water: Waterway = field(init=False)
    objects: ForceObjects = field(default_factory=ForceObjects)
    entries: int = 0
    """Grows with each entry of an officer, of this process or another."""
    now: Callable[[], datetime] = utc_now

    def __post_init__(self) -> None:
        self.water = Waterway(self.rivers)
        self.actions.board.listen(self._on_entry)

    def _on_entry(self, entry: ActionEntry) -> None:
        self.entries += 1
        self.feed.situation.alerts.touch(*entry.key)
        self.feed.tell(Change())

    def silence_s(self, now: datetime) -> float | None:
        """For how long the centre has committed nothing, where a device should have reported since; negative
        where its newest message is of the future: the clock of the centre or of the map is wrong."""
        situation = self.feed.situation
        if not situation.row:
            return None
        age_s = (now - situation.at).total_seconds()
        if age_s < -CLOCKS_APART_S:
            return age_s
        if age_s < LEAST_SILENCE_S:
            return None
        every = [
            force.presence.health_every_s for force in situation.forces.all()
            if force.link(now) not in ("stopped", "offline")
        ]  # fmt: skip
        return age_s if age_s > 1.5 * min(every, default=inf) else None

    def can_order(self) -> bool:
        """Whether the map has a broker, connected or not."""
        return self.actions.orders.url is not None

    def holder(self, alert: QueuedAlert, at: datetime) -> str:
        """The role that has an alert."""
        return self.actions.board.holder(alert, at)

    def center(self) -> tuple[float, float]:
        """The middle of the map: as configured, else that of the forces."""
        if self.settings.center is not None:
            return self.settings.center
        places = [place for force in self.feed.situation.forces.all() if (place := force.coordinates)]
        return (median(lat for lat, _ in places), median(lon for _, lon in places)) if places else (0.0, 0.0)

    def close(self) -> None:
        self.feed.close()
        self.actions.close()
        self.history.close()


async def open_city(
    db: Path, settings_file: Path | None, broker: str | None, root: str, pictures: Path | None
) -> City:
    """Reads what is stored. ValueError or OSError: one line that says what is wrong."""
    settings = MapSettings() if settings_file is None else load_settings(settings_file)
    roles = None if settings.roles is None else load_roles(settings.roles)
    lines = [
        [line for file in files for line in read_lines(file)] for files in (settings.rivers, settings.roads)
    ]
    feed, history = Feed(db), History(db)
    actions = Actions(db, FleetOrders(broker, root), roles, groups_of=lambda device: groups_of(feed, device))
    await feed.start()
    await actions.start()
    return City(db, feed, actions, settings, history, tuple(lines[0]), tuple(lines[1]), pictures)


def groups_of(feed: Feed, device: str) -> tuple[str, ...]:
    """The groups of a device, as roles name them."""
    force = feed.situation.forces.get(device)
    return ("all",) if force is None else force.all_groups()


def load_roles(path: Path) -> Roles:
    """The roles document in a file. OSError; ValueError with one line."""
    try:
        return open_roles(read_regular(path, MAX_BYTES))
    except OrderRefused as error:
        raise ValueError(f"{path}: {error}") from error
