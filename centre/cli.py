"""The command ``centre``; it joins the command line by an entry point."""

import asyncio
import json
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from agent.cli.options import BROKER_HELP, DEVICE, IdentifierType, root_option
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from centre.database import PostgresUrl, is_postgres

MOST_WORKERS = 64
WORKER_NAME = IdentifierType("a name: up to 32 lower-case letters, digits and hyphens", "[a-z0-9-]{1,32}")
MIN_ROLE, MIN_REASON = 2, 5
"""Characters of a role and of a reason, as for a rescue grant."""


class DatabaseParam(click.ParamType[Path | PostgresUrl]):
    """A file of SQLite, or the URL of a PostgreSQL server."""

    name = "file or URL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | PostgresUrl:
        if isinstance(value, Path) or is_postgres(value):
            return value  # type: ignore[no-any-return]
        if "://" in str(value):
            self.fail(f"{value!r}: give a file, or postgresql://user@host/database", param, ctx)
        return Path(str(click.Path(dir_okay=False).convert(value, param, ctx)))


DB = DatabaseParam()


@click.group(invoke_without_command=True)
@click.option(
    "--db",
    type=DB,
    envvar="RINGPOST_CENTRE_DB",
    metavar="FILE|URL",
    help="Database for the messages: a file (SQLite), or postgresql://user@host/database. Default:"
    " RINGPOST_CENTRE_DB.",
)
@click.option(
    "--broker",
    envvar="RINGPOST_BROKER",
    metavar="URL",
    help=BROKER_HELP,
)
@root_option
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for pictures. Default: pictures are not saved.",
)
@click.option(
    "--key",
    envvar="RINGPOST_CENTRE_KEY",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Key of the role 'centre', made with 'ringpost keys new': it signs the receipts. Without it, devices"
    " whose roles name a centre take no receipt. Default: RINGPOST_CENTRE_KEY.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    metavar="N",
    help="Receive with N processes on this machine, by shared subscription (MQTT 5).",
)
@click.option(
    "--worker",
    type=WORKER_NAME,
    metavar="NAME",
    help="Receive as one of several processes, each with a name of its own, on one or several machines.",
)
@click.option(
    "--check", is_flag=True, help="Try what the broker must do for a centre and its devices, and end."
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="End with the parent process.")
@click.option("--json", "as_json", is_flag=True, help="Print every message, one JSON object per line.")
@click.pass_context
def centre(
    context: click.Context,
    db: Path | PostgresUrl | None,
    broker: str | None,
    root: str,
    pictures: Path | None,
    key: Path | None,
    workers: int | None,
    worker: str | None,
    check: bool,
    until_stdin_ends: bool,
    as_json: bool,
) -> None:
    """Run the reference central server: stores messages and sends receipts (acknowledgements)."""
    if context.invoked_subcommand is not None:
        return
    if check and broker is not None:
        refuse_bad_broker(broker)
        raise SystemExit(check_broker(broker, root, as_json=as_json))
    if db is None or broker is None:
        raise click.UsageError(f"Missing option '{'--db' if db is None else '--broker'}'.")
    from agent.runtime.logging_setup import set_up_log

    set_up_log("warning")
    refuse_bad_broker(broker)
    if workers and worker:
        raise click.UsageError("give --workers or --worker, not both")
    if workers:
        from centre.worker_processes import run_workers

        raise SystemExit(run_workers(workers, sys.argv[1:]))
    try:
        raise SystemExit(
            centre_command(
                db, broker, root, pictures, as_json, key, worker, until_stdin_ends=until_stdin_ends
            )
        )
    except OSError as error:
        click.echo(f"centre: {error}", err=True)
        raise SystemExit(1) from None


@centre.command()
@click.argument("name", metavar="DEVICE/ALERT-N.jpg")
@click.option(
    "--db", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Database of the centre."
)
@click.option(
    "--pictures", required=True, type=click.Path(path_type=Path, file_okay=False), help="Its pictures."
)
@click.option("--role", required=True, metavar="ROLE", help="Role of the person who looks, never a name.")
@click.option("--reason", required=True, metavar="TEXT", help="Why the picture is looked at.")
@click.option(
    "-o", "--to", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)
def picture(name: str, db: Path, pictures: Path, role: str, reason: str, to: Path) -> None:
    """Copy a picture out of the centre, and log who looked at it and why.

    The entry is on disk before the picture is written: see audit list --db.
    """
    from centre.picture_access import copy_picture

    if len(role.strip()) < MIN_ROLE or len(reason.strip()) < MIN_REASON:
        raise click.UsageError(f"give a role of {MIN_ROLE} and a reason of {MIN_REASON} characters or more")
    try:
        digest = copy_picture(db, pictures, name, role.strip(), reason.strip(), to)
    except (OSError, ValueError) as error:
        click.echo(f"centre picture: {describe_error(error)}", err=True)
        raise SystemExit(1) from None
    click.echo(f"{to}: written; entry {digest[:16]} of the access log")


@centre.command("accept-key")
@click.argument("device", type=DEVICE)
@click.option("--db", required=True, type=DB, metavar="FILE|URL", help="Database of the centre.")
@click.option(
    "--device-key", required=True, metavar="HEX", help="'device_key' of the device's birth message."
)
def accept_key(device: str, db: Path | PostgresUrl, device_key: str) -> None:
    """Accept another device key for a device that was replaced, or has a new name.

    Until then checkpoints of its audit log are stored, but not countersigned. Compare the key with the one on
    the device: ringpost audit list --data DIRECTORY --json --kind start.
    """
    from centre.audit_intake import open_checkpoints

    if re.fullmatch(r"[0-9a-f]{64}", device_key) is None:
        raise click.UsageError("--device-key: 64 hex digits, as in the birth message of the device")
    try:
        with open_checkpoints(db) as store:
            store.accept_key(device, device_key)
    except OSError as error:
        click.echo(f"centre accept-key: {describe_error(error)}", err=True)
        raise SystemExit(1) from None
    click.echo(f"{device}: accepted device key {device_key[:16]}…; its next checkpoints are countersigned")


def refuse_bad_broker(url: str) -> None:
    """Exits with code 2 where ``url`` is not a valid broker URL."""
    from pydantic import ValidationError

    from agent.cli.broker_session import broker_settings, describe_broker_error

    try:
        broker_settings(url)
    except ValidationError as error:
        click.echo(describe_broker_error(error), err=True)
        raise SystemExit(EX_USAGE) from None


def check_broker(url: str, root: str, *, as_json: bool) -> int:
    """``ringpost centre --check``: one line for each feature; 1 where one that is needed is missing."""
    from agent.cli.broker_session import allows_mqtt_311, broker_settings, run_at_broker
    from centre.broker_features import broker_features

    async def tried() -> int:
        found = await broker_features(broker_settings(url), root, fall_back=allows_mqtt_311())
        for one in found:
            if as_json:
                click.echo(json.dumps({"feature": one.name, "state": one.state, "problem": one.problem}))
            else:
                click.echo(f"{one.state:8}{one.name}{': ' + one.problem if one.problem else ''}")
        return int(any(one.state == "failed" for one in found))

    return run_at_broker(url, tried)


def centre_command(
    db: Path | PostgresUrl,
    url: str,
    root: str,
    pictures: Path | None,
    as_json: bool,
    key: Path | None = None,
    worker: str | None = None,
    *,
    until_stdin_ends: bool = False,
) -> int:
    """``ringpost centre``: runs until it is interrupted, and prints messages. ``worker``: its name, where it
    is one of several processes.

    OSError where ``db`` can't be opened. Returns 78 where a certificate or a key can't be read.
    """
    from agent.cli.broker_session import allows_mqtt_311, broker_settings, certificate_problem
    from agent.cli.signing import load_key
    from agent.runtime.supervisor import supervise
    from centre.audit_intake import AUDIT
    from centre.message_line import HOLE, line
    from centre.server import Centre
    from centre.worker import Worker

    broker = broker_settings(url)
    if (trouble := certificate_problem(broker)) is not None:
        click.echo(f"centre: {trouble}", err=True)
        return EX_CONFIG

    try:
        signing_key = None if key is None else load_key(key)
    except (OSError, ValueError) as error:
        click.echo(f"centre: --key: {describe_error(error)}", err=True)
        return EX_CONFIG

    def show(device: str, topic: str, body: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"device": device, "topic": topic, "message": body}))
        elif topic in ("alert", "status", HOLE, AUDIT):
            click.echo(line(device, topic, body))

    async def serve() -> None:
        centre: Centre | Worker
        if worker is not None:
            centre = Worker(worker, db, broker, root, show, pictures, key=signing_key)
        else:
            centre = Centre(db, broker, root, show, pictures, fall_back=allows_mqtt_311(), key=signing_key)
        task = asyncio.ensure_future(supervise("centre", centre.run, lambda _: None, longest_wait_s=5.0))
        loop = asyncio.get_running_loop()
        if until_stdin_ends:
            loop.add_reader(sys.stdin.fileno(), task.cancel)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            centre.close()

    asyncio.run(serve())
    return 0
