"""The kept configurations as lines for a technician."""

from typing import Any

from agent.config.ledger import Ledger, PushResult, Version
from agent.domain.message import encode

NAMED = {"revision", "target", "sha256", "at", "key_ids"}
MAX_BYTES = 6000
"""The entries of one answer, as JSON: it has to fit a message."""


def history_entries(ledger: Ledger) -> list[dict[str, Any]]:
    """The configuration in force, the earlier ones, and the last pushes without effect.

    Each has ``state`` (in_force, kept, rejected, rolled_back or validated), sha256, and where they are known
    revision, target, at, key_ids and reason.
    """
    kept = [_version(ledger.active, "in_force"), *(_version(one, "kept") for one in ledger.history)]
    entries = [*kept, *map(_result, ledger.results)]
    while len(encode(entries)) > MAX_BYTES:
        entries.pop()
    return entries


def _version(version: Version, state: str) -> dict[str, Any]:
    fields = version.model_dump(
        mode="json", include={"revision", "target", "sha256", "at", "key_ids", "source"}
    )
    return {"state": state, **_filled(fields)}


def _result(result: PushResult) -> dict[str, Any]:
    fields = result.model_dump(
        mode="json", include={"state", "revision", "target", "sha256", "at", "key_ids"}
    )
    error = result.errors[0] if result.errors else {}
    reason = result.reason or ": ".join(str(error[key]) for key in ("path", "message") if error.get(key))
    return _filled({**fields, "reason": reason[:100]})


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` without the empty ones; a key id and a sha256 are cut to what tells them apart."""
    fields["sha256"] = str(fields.get("sha256") or "")[:16]
    return {key: value for key, value in fields.items() if value not in (None, "", [])}
