"""Writes the files of a shift report: text, CSV, GeoJSON, evidence, and a list of hashes. Blocking."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from agent.runtime.atomic_files import write_durably
from centre.map import export_geojson
from centre.map.evidence import SUMS, write_evidence
from centre.map.export_csv import actions_csv, alerts_csv
from centre.map.queued_alert import QueuedAlert
from centre.map.report_data import ReportData
from centre.map.report_text import report_text

EVIDENCE = "evidence.zip"


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at the pictures of an evidence folder, and why: for the access log."""

    pictures: Path | None
    role: str
    reason: str


def write_report(
    data: ReportData, folder: Path, zone: tzinfo, look: Look | None = None, alerts: Sequence[QueuedAlert] = ()
) -> list[Path]:
    """Writes into ``folder`` and returns the files; with ``look`` also the evidence of ``alerts``, by default
    of all that are no drill. Files are readable by their owner only. OSError, ValueError."""
    texts = {
        "report.txt": report_text(data, zone),
        "alerts.csv": alerts_csv(data, zone),
        "actions.csv": actions_csv(data.entries, zone),
        "positions.geojson": export_geojson.positions(data.situation.forces.all(), data.end),
        "tracks.geojson": export_geojson.tracks(data.tracks()),
        "alerts.geojson": export_geojson.alerts(data.alerts, data.board),
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        written.append(folder / name)
        write_durably(folder / name, text.encode("utf-8", "replace"))
        (folder / name).chmod(0o600)
    if look is not None:
        chosen = alerts or [alert for alert in data.alerts if alert.shown_as != "drill"]
        write_evidence(folder / EVIDENCE, data, chosen, look.pictures, look.role, look.reason)
        written.append(folder / EVIDENCE)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in written)
    write_durably(folder / SUMS, sums.encode())
    (folder / SUMS).chmod(0o600)
    return [*written, folder / SUMS]
