"""``ringpost audit list`` and ``ringpost audit verify``."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agent.audit.access_log import access_log_folder
from agent.audit.audit_log import FOLDER
from agent.audit.chain_state import segments
from agent.audit.checkpoint_store import Checkpoint, CheckpointStore
from agent.audit.countersigned import Countersigned, read_countersigned
from agent.audit.entry import Entry
from agent.audit.findings import Report
from agent.audit.legacy import read_legacy, verify_legacy
from agent.audit.verify import Witness, read_entries, verify_folder
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_USAGE
from agent.runtime.sanitize import printable
from agent.trust.device_key import FILE as DEVICE_KEY
from agent.trust.refusal import OrderRefused
from agent.trust.roles import Roles, open_roles
from agent.trust.signing_key import SigningKey

ROLES = "config/roles.json"


def list_command(
    data: Path | None, db: Path | None, device: str | None, kinds: frozenset[str], as_json: bool
) -> int:
    """Prints entries. 1 where they can't be read, 2 without --data and --db."""
    if not _has_source("list", data, db):
        return EX_USAGE
    try:
        for row in _rows(data, db, device):
            if not kinds or row["kind"] in kinds:
                click.echo(json.dumps(row) if as_json else _line(row))
    except OSError as error:
        click.echo(f"audit list: {describe_error(error)}", err=True)
        return 1
    return 0


def verify_command(
    data: Path | None, db: Path | None, device: str | None, roles_file: Path | None, as_json: bool
) -> int:
    """Verifies logs. 0 where all are intact, 1 where one is broken or can't be read, 2 for wrong use."""
    if not _has_source("verify", data, db):
        return EX_USAGE
    try:
        checkpoints = list(_checkpoints(db, device)) if db is not None else []
        reports: dict[str, Report] = {}
        if data is not None:
            reports |= _verify_data(data, None if db is None else checkpoints, device, roles_file)
        elif db is not None:
            reports |= _verify_db(db, checkpoints)
            if not checkpoints:
                report = reports[f"{db}"] = Report()
                report.add("holds no checkpoint: deleted, or no device has reached this centre")
            if (folder := access_log_folder(db)).exists():
                reports[f"{folder} (who looked at which picture)"] = verify_folder(folder)
    except (OSError, ValueError, OrderRefused) as error:
        reason = describe_error(error) if isinstance(error, OSError) else str(error)
        click.echo(f"audit verify: {reason}", err=True)
        return 1
    for name, report in reports.items():
        _print(name, report, as_json)
    return 0 if reports and all(report.intact for report in reports.values()) else 1


def _has_source(verb: str, data: Path | None, db: Path | None) -> bool:
    if data is None and db is None:
        click.echo(f"audit {verb}: give --data DIRECTORY or --db FILE", err=True)
    return data is not None or db is not None


def log_folder(data: Path) -> Path:
    """The log's folder for a data directory, or for a directory that is one."""
    return data if segments(data) else data / FOLDER


def _rows(data: Path | None, db: Path | None, device: str | None) -> Iterator[dict[str, Any]]:
    if data is not None:
        for line, legacy in read_legacy(data):
            known = legacy or {"line": line.decode(errors="replace")}
            yield {"n": None, "at": known.get("at"), "kind": "picture", "who": [], "fields": known}
        for entry in read_entries(log_folder(data)):
            yield _row(entry)
    elif db is not None:
        for checkpoint in _checkpoints(db, device):
            more = {"received_at": checkpoint.received_at, "problem": checkpoint.problem}
            yield {"device": checkpoint.device, **_row(checkpoint.entry), **more}
        for entry in read_entries(access_log_folder(db)):
            yield _row(entry)


def _row(entry: Entry) -> dict[str, Any]:
    fields = {"n": entry.n, "at": entry.at, "kind": entry.kind, "who": list(entry.who)}
    return {**fields, "fields": entry.fields, "hash": entry.hash}


UNSHOWN = frozenset({"log", "key", "since", "device_key", "device_sig"})
"""Fields for verification, not for reading."""


def _line(row: dict[str, Any]) -> str:
    fields = {key: value for key, value in row["fields"].items() if key not in UNSHOWN and value is not None}
    fields |= {"problem": row["problem"]} if row.get("problem") else {}
    shown = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    who = f" by {','.join(row['who'])}" if row["who"] else ""
    device = f"{row['device']} " if "device" in row else ""
    return printable(f"{row['at']} {device}{row['n'] or '-':>6} {row['kind']:12}{who} {shown}")


def _checkpoints(db: Path, device: str | None) -> Iterator[Checkpoint]:
    with CheckpointStore(db, read_only=True) as store:
        yield from store.all(device)


def _verify_data(
    data: Path, in_db: list[Checkpoint] | None, device: str | None, roles_file: Path | None
) -> dict[str, Report]:
    """The log of a device, against the checkpoints in the centre's database where one is given."""
    checkpoints = in_db or []
    folder, device_key = log_folder(data), _device_key(data)
    if checkpoints and device is None:
        names = {one.device for one in checkpoints if one.device_key == device_key and one.problem is None}
        if len(names) != 1:
            known = ", ".join(sorted({one.device for one in checkpoints}))
            raise ValueError(
                f"no device of the database has the key of {data}: give --device, one of {known}"
            )
        device = names.pop()
    seen = [one.witness() for one in checkpoints if one.device == device and one.problem is None]
    countersigned = read_countersigned(folder)
    witnesses = [*(one.witness for one in countersigned), *seen]
    report = verify_folder(folder, device_key=device_key, witnesses=witnesses)
    if device_key is None and segments(folder) and folder != data:
        report.notes.append(f"{data / DEVICE_KEY} can't be read: the device's signatures are not checked")
    if folder != data:
        roles = _roles(roles_file or data / ROLES, must_exist=roles_file is not None)
        report.notes += _countersignature_notes(report, [*countersigned], roles, seen)
        if in_db is not None:
            _check_database(report, seen, countersigned)
    reports = {str(folder): report}
    legacy = verify_legacy(data)
    return reports if legacy is None else reports | {f"{data}/egress.jsonl": legacy}


def _check_database(report: Report, seen: list[Witness], countersigned: list[Countersigned]) -> None:
    """Adds what the centre has countersigned and its database lacks."""
    in_db = {one.hash for one in seen}
    for one in countersigned:
        if one.witness.hash not in in_db:
            report.add(
                "was countersigned, and is not in this database: deleted, or of another centre", one.witness.n
            )
    if not seen and not countersigned:
        report.add("the database of the centre holds no checkpoint of this device")


def _countersignature_notes(
    report: Report, countersigned: Iterable[Countersigned], roles: Roles | None, seen: list[Witness]
) -> Iterator[str]:
    if seen:
        yield f"the centre has received it up to entry {max(one.n for one in seen)}"
    newest = max(countersigned, key=lambda one: one.witness.n, default=None)
    if newest is None:
        if not seen:
            yield "no countersignature of the centre here: hold it against the centre's database with --db"
        return
    keys = newest.key_ids(roles) if roles is not None else []
    if roles is not None and not keys and b"payloadType" in newest.receipt:
        report.add("the countersignature of the centre does not match", newest.witness.n)
    by = f"key {', '.join(keys)}" if keys else "signature not checked: no roles document with its key"
    yield f"countersigned by the centre up to entry {newest.witness.n} ({by})"


def _verify_db(db: Path, checkpoints: list[Checkpoint]) -> dict[str, Report]:
    """The checkpoints of each device, judged again in the order in which they came."""
    reports: dict[str, Report] = {}
    with CheckpointStore(None) as again, CheckpointStore(db, read_only=True) as store:
        for device, device_key in store.accepted_keys():
            again.accept_key(device, device_key)
        for one in checkpoints:
            report = reports.setdefault(one.device, Report(first=one.entry.n))
            report.entries += 1
            report.last, report.head = max(report.last, one.entry.n), one.entry.hash
            try:
                problem = again.keep(one.device, one.entry.line.decode(), one.received_at).problem
            except ValueError as error:
                problem = f"the stored checkpoint {error}"
            if problem:
                report.add(problem, one.entry.n, since=one.received_at)
    hashes = {(one.device, one.entry.hash) for one in checkpoints}
    for one in checkpoints:
        number, digest = one.entry.fields.get("since") or (0, "")
        if number and one.problem is None and (one.device, digest) not in hashes:
            reports[one.device].add("missing in the database: deleted, or never received", number)
    return reports


def _device_key(data: Path) -> str | None:
    try:
        return SigningKey.load(data / DEVICE_KEY).public.hex()
    except (OSError, ValueError):
        return None


def _roles(path: Path, *, must_exist: bool) -> Roles | None:
    try:
        return open_roles(path.read_bytes())
    except FileNotFoundError:
        if must_exist:
            raise
        return None


def _print(name: str, report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"log": name, "intact": report.intact, **asdict(report)}))
        return
    span = f"{report.first}-{report.last}" if report.entries else "none"
    click.echo(f"{name}: entries {span}, {'intact' if report.intact else 'BROKEN'}")
    for problem in report.problems:
        click.echo(f"  {printable(problem)}")
    for note in report.notes:
        click.echo(f"  note: {printable(note)}")
