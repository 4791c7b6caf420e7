"""The revisions that a device reports. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.runtime.sanitize import as_dict

MAX_REFUSED = 10_000
"""A refused revision that is further above the highest one is no number of ours."""


def active_revision(report: Mapping[str, Any]) -> int | None:
    """The revision of this device in force, 0 where it has none; None where the device does not say."""
    active = as_dict(report.get("active"))
    revision = active.get("revision")
    if isinstance(revision, int) and 0 < revision < 2**53:
        return revision
    return 0 if active.get("source") in ("local", "push") and revision is None else None


def next_revision(report: Mapping[str, Any]) -> int:
    """A revision that the device has not seen; 1 where it does not say.

    A refused one is left out, too: the device answers the same push, of the same number, only once.
    """
    highest, refused = report.get("highest_revision"), report.get("revision")
    highest = highest if isinstance(highest, int) and 0 <= highest < 2**52 else 0
    if not isinstance(refused, int) or not highest < refused < highest + MAX_REFUSED:
        return highest + 1
    return refused + 1
