"""The command ``map report``."""

from datetime import UTC, datetime, tzinfo
from pathlib import Path

import click

from agent.host.clock import utc_now
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG

MIN_ROLE, MIN_REASON = 2, 5


@click.command("report")
@click.option(
    "--db", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Database of the centre."
)
@click.option(
    "--from", "begin", required=True, metavar="TIME", help="2026-11-30T06:00, or a duration ago such as 8h."
)
@click.option("--to", "end", default="0s", metavar="TIME", help="Same; by default now.")
@click.option(
    "-o", "--to-folder", "folder", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the files.",
)  # fmt: skip
@click.option(
    "--settings", type=click.Path(path_type=Path, dir_okay=False), help="map.yaml: for the time zone."
)
@click.option(
    "--evidence", is_flag=True, help="Also evidence.zip: messages, pictures, actions and audit of the alerts."
)
@click.option("--pictures", type=click.Path(path_type=Path, file_okay=False), help="Pictures of the centre.")
@click.option(
    "--alert", "alerts", multiple=True, metavar="ID", help="Evidence of this alert only; may be repeated."
)
@click.option("--role", default="", metavar="ROLE", help="Role of the person who looks, never a name.")
@click.option("--reason", default="", metavar="TEXT", help="Why the pictures are looked at.")
def report(
    db: Path,
    begin: str,
    end: str,
    folder: Path,
    settings: Path | None,
    evidence: bool,
    pictures: Path | None,
    alerts: tuple[str, ...],
    role: str,
    reason: str,
) -> None:
    """Write a shift report: text, CSV, GeoJSON, and with --evidence a zip.

    Each look at a picture is in the access log of the centre before it is in the zip: see audit list --db.
    """
    from centre.map.report_data import read_report
    from centre.map.report_files import Look, write_report
    from centre.map.settings import MapSettings, load_settings

    if evidence and (len(role.strip()) < MIN_ROLE or len(reason.strip()) < MIN_REASON):
        raise click.UsageError(
            f"--evidence: give a --role of {MIN_ROLE} and a --reason of {MIN_REASON} characters or more"
        )
    try:
        zone = (MapSettings() if settings is None else load_settings(settings)).zone
    except (OSError, ValueError) as error:
        click.echo(f"map report: {describe_error(error)}", err=True)
        raise SystemExit(EX_CONFIG) from None
    now = utc_now()
    try:
        data = read_report(db, parse_time(begin, "--from", zone, now), parse_time(end, "--to", zone, now))
        chosen = [alert for alert in data.alerts if alert.alert_id in alerts]
        if missing := set(alerts) - {alert.alert_id for alert in chosen}:
            raise ValueError(f"--alert: no alert {min(missing)[:64]} in this time")
        look = Look(pictures, role.strip(), reason.strip()) if evidence else None
        written = write_report(data, folder, zone, look, chosen)
    except (OSError, ValueError) as error:
        click.echo(f"map report: {describe_error(error)}", err=True)
        raise SystemExit(1) from None
    for path in written:
        click.echo(str(path))


def parse_time(text: str, option: str, zone: tzinfo, now: datetime) -> datetime:
    """An instant, in ``zone`` where it names none; or a duration before ``now``. click.UsageError."""
    from agent.domain.durations import parse_duration

    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"{option}: {text[:40]!r} is no time: write 2026-11-30T06:00, or a duration ago such as 8h"
        ) from None
