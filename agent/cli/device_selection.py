"""The devices that a command is for: named, of a group, or all that the broker has reports of."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.runtime.sanitize import as_list

TOPICS = ("birth", "status", "config/reported")
"""The retained topics from which a device and its configuration are known."""
NO_DEVICES = frozenset({"host", "groups"})
"""First levels that are no device: the centre, and pushes to groups."""
GROUP = r"all|(kind|ring|domain|group)\.[a-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Named devices, or those of ``group``, or all of them."""

    devices: tuple[str, ...] = ()
    group: str | None = None

    @classmethod
    def from_options(cls, devices: Iterable[str], group: str | None, everything: bool) -> "Selection":
        """ValueError where the options name no device, or more than one kind of selection."""
        devices = tuple(dict.fromkeys(devices))
        group = "all" if everything else group
        if bool(devices) == bool(group):
            raise ValueError("name devices, or a group with --group, or --all: one of them")
        if group is not None and not re.fullmatch(GROUP, group):
            raise ValueError(
                f"--group: {group!r} is no group; write all, or kind., ring., domain. or group. and a name,"
                " such as kind.patrol_boat"
            )
        return cls(devices, group)

    def filters(self, root: str, topics: Iterable[str] = TOPICS) -> list[str]:
        """Topic filters for the reports of these devices."""
        return [f"{root}/{device}/{topic}" for device in self.devices or ("+",) for topic in topics]

    def among(self, reports: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
        """The named devices, or those of the group among ``reports`` (by device and topic)."""
        if self.devices:
            return list(self.devices)
        return sorted(
            device
            for device, topics in reports.items()
            if device not in NO_DEVICES and self.group in groups_of(topics.get("birth", {}))
        )


def groups_of(birth: Mapping[str, Any]) -> frozenset[str]:
    """The groups of a device, from its ``birth``: such as kind.patrol_boat, ring.perimeter, all."""
    if not birth:
        return frozenset({"all"})
    own = {f"{key}.{birth[key]}" for key in ("kind", "ring", "domain") if isinstance(birth.get(key), str)}
    named = {f"group.{name}" for name in as_list(birth.get("groups"))}
    return frozenset({"all"} | own | named)
