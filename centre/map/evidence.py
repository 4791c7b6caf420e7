"""The evidence of alerts as one zip: messages as they came, pictures, actions, audit, hashes. Blocking."""

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.audit.access_log import access_log_folder
from agent.runtime.sanitize import as_dict, json_object
from centre.map.action_entry import ActionEntry
from centre.map.queued_alert import QueuedAlert
from centre.map.report_data import ReportData
from centre.map.store_reader import StoreReader
from centre.picture_access import NAME as PICTURE_NAME
from centre.picture_access import copy_picture

MAX_ALERTS = 500
SUMS = "SHA256SUMS"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


class EvidenceZip:
    """Adds files to a zip, and their hashes to its list."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file, self._sums = file, dict[str, str]()

    def add(self, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name, EPOCH_OF_ZIP)
        info.external_attr = 0o600 << 16
        self._file.writestr(info, data, zipfile.ZIP_DEFLATED)
        self._sums[name] = hashlib.sha256(data).hexdigest()

    def finish(self) -> None:
        """Adds the list, as ``sha256sum -c`` reads it."""
        lines = (f"{digest}  {name}\n" for name, digest in self._sums.items())
        self._file.writestr(zipfile.ZipInfo(SUMS, EPOCH_OF_ZIP), "".join(lines))


def write_evidence(
    to: Path, data: ReportData, alerts: Sequence[QueuedAlert], pictures: Path | None, role: str, reason: str
) -> int:
    """Writes the evidence of ``alerts`` to a zip, of mode 0600; returns the number of pictures.

    Each picture that goes in is in the access log first, with ``role`` and ``reason``. OSError, ValueError.
    """
    if len(alerts) > MAX_ALERTS:
        raise ValueError(f"evidence of at most {MAX_ALERTS} alerts at once, not of {len(alerts)}")
    partial = to.with_name(f"{to.name}.new")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    partial.touch(0o600)
    copied = 0
    reader = StoreReader(data.db)
    try:
        with zipfile.ZipFile(partial, "w") as file, tempfile.TemporaryDirectory(dir=to.parent) as scratch:
            evidence = EvidenceZip(file)
            for alert in alerts:
                copied += _add_alert(evidence, reader, data, alert, pictures, (role, reason), Path(scratch))
            devices = sorted({alert.device for alert in alerts})
            for device in devices:
                log = reader.of_topic("audit", reader.row_at(data.begin), reader.row_at(data.end), device)
                evidence.add(
                    f"{safe_name(device)}/device-audit.jsonl", _lines(message.body for message in log)
                )
            evidence.add("access-log.jsonl", _access_log(data.db, {alert.key for alert in alerts}))
            evidence.finish()
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
        reader.close()
    return copied


def _add_alert(
    evidence: EvidenceZip,
    reader: StoreReader,
    data: ReportData,
    alert: QueuedAlert,
    pictures: Path | None,
    why: tuple[str, str],
    scratch: Path,
) -> int:
    folder = f"{safe_name(alert.device)}/{safe_name(alert.alert_id)}"
    found = [
        message.body
        for message in reader.of_topic("alert", 0, reader.row_at(data.end), alert.device)
        if as_dict(message.body.get("alert")).get("alert_id") == alert.alert_id
    ]
    evidence.add(f"{folder}/messages.jsonl", _lines(found))
    evidence.add(f"{folder}/actions.jsonl", _lines(map(_entry, data.board.of(alert.key))))
    copied = 0
    for name in picture_names(pictures, alert):
        if pictures is not None:
            target = scratch / "picture.jpg"
            copy_picture(data.db, pictures, name, *why, target)
            evidence.add(f"{folder}/{name.partition('/')[2]}", target.read_bytes())
            copied += 1
    return copied


def picture_names(pictures: Path | None, alert: QueuedAlert) -> list[str]:
    """The pictures of an alert that the centre has, those of a clip too, as `copy_picture` takes them."""
    if pictures is None or not (pictures / safe_name(alert.device)).is_dir():
        return []
    own = re.compile(re.escape(alert.alert_id) + r"-[0-9]{1,6}(~[0-9a-f]+)?\.jpg")
    files = sorted(
        file.name for file in (pictures / safe_name(alert.device)).iterdir() if own.fullmatch(file.name)
    )
    return [name for file in files if PICTURE_NAME.fullmatch(name := f"{alert.device}/{file}")]


def safe_name(name: str) -> str:
    """A name that is no path, for the name of a file: the same where it is harmless, else its hash."""
    return name if SAFE.fullmatch(name) else f"x-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _entry(entry: ActionEntry) -> dict[str, Any]:
    return {
        "n": entry.n, "at": entry.at.isoformat(), "kind": entry.kind, "role": entry.role, "text": entry.text,
        "key_ids": list(entry.key_ids), "fields": dict(entry.fields),
        "envelope": json_object(entry.envelope) if entry.envelope else None,
    }  # fmt: skip


def _access_log(db: Path, keys: set[tuple[str, str]]) -> bytes:
    """The lines of the centre's access log about these alerts, as they stand there."""
    return b"".join(line for line in _access_lines(db) if _is_about(json_object(line) or {}, keys))


def _access_lines(db: Path) -> Iterator[bytes]:
    folder = access_log_folder(db)
    for file in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        yield from file.read_bytes().splitlines(keepends=True)


def _is_about(line: dict[str, Any], keys: set[tuple[str, str]]) -> bool:
    fields = as_dict(line.get("fields")) or line
    if (fields.get("device"), fields.get("alert_id")) in keys:
        return True
    picture = str(fields.get("picture", ""))
    return any(picture.startswith(f"{device}/{alert_id}-") for device, alert_id in keys)


def _lines(found: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=True, default=_plain).encode() + b"\n" for one in found)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
