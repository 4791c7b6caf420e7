"""Entries of this instant, before they have a number."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.audit.entry import Draft, encodable
from agent.domain.message import stamp
from agent.host.clock import boot_id, monotonic_s, utc_now


def make_draft(kind: str, who: Sequence[str], fields: Mapping[str, Any]) -> Draft:
    """An entry of this instant."""
    at, now_s = stamp(utc_now()), round(monotonic_s(), 3)
    return Draft(kind, at, boot_id()[:8], now_s, tuple(who), encodable(fields))
