"""The progress of rules as fields; a rule whose zone is blind says so instead. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from agent.domain.contracts import RulePart
from agent.domain.observations import BlindZone
from agent.domain.progress import Progress


def progress_fields(
    found: Iterable[tuple[str, RulePart, Progress]], blind: Sequence[BlindZone] = ()
) -> list[dict[str, Any]]:
    """See `console.agent_views.Progress`; a rule that can see nothing is named once."""
    why = {one.zone: one for one in blind}
    fields: list[dict[str, Any]] = []
    covered: set[str] = set()
    for name, rule, progress in found:
        reference = rule.camera_reference()
        zone = reference.zones[0].name if reference is not None and reference.zones else None
        shown = progress
        if progress.state != "off_schedule" and rule.kind != "blind" and zone is not None and zone in why:
            if name in covered:
                continue
            covered.add(name)
            reason = why[zone].why.replace("_", " ")
            shown = Progress(state="blind", code="blind", text=f"zone blind: {reason}")
        camera = None if reference is None else reference.camera
        fields.append({"rule": name, "kind": rule.kind, "camera": camera, "zone": zone, **asdict(shown)})
    return fields
