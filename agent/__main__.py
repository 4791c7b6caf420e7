"""The command line: ``ringpost``. Thin: each verb calls one function, imported when it is called."""

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_CONFIG

F = TypeVar("F", bound=Callable[..., Any])


class Verbs(click.Group):
    """Our verbs, and those of installed packages (entry-point group ``ringpost.verbs``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {entry.name for entry in entry_points(group="ringpost.verbs")}
        return sorted(found | set(super().list_commands(ctx)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for entry in entry_points(group="ringpost.verbs", name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ImportError as error:
                raise click.ClickException(f"{cmd_name}: {error}; install ringpost[sim]") from error
            return command
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []
            if near and "No such command" in error.message:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error
            raise


providers_option = click.option(
    "--providers", default="", help="Where to run, in order of preference: openvino,cpu."
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


class Name(click.ParamType[str]):
    """A word of which a topic or a file's name can be made, and nothing else."""

    name = "name"

    def __init__(self, what: str, pattern: str) -> None:
        self._what, self._pattern = what, pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(self._pattern, value) is None:
            self.fail(f"{value!r} is not {self._what}", param, ctx)
        return str(value)


DEVICE = Name("a device: small letters, digits and -, such as bridge-07", "[a-z0-9-]{1,32}")
ALERT = Name("an alert's id: letters, digits and -", "[A-Za-z0-9-]{1,64}")


def finish(code: int) -> None:
    """Ends with an exit code: 0 ok, 1 a check failed, 69 unreachable, 78 bad configuration."""
    hanging = sys.modules.get(
        "agent.runtime.native_calls"
    )  # where no verb has loaded it, nothing was left behind
    if hanging is not None:
        hanging.end_if_hung(code)
    raise SystemExit(code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ringpost", prog_name="ringpost")
def cli() -> None:
    """The edge agent for public-safety hardware: reads, detects, and never loses an alert.

    Exit codes: 0 ok, 1 a check failed, 2 usage, 69 agent or broker unreachable, 78 bad configuration.
    """


@cli.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, readable=False),
    help="Keep what is owed here, not in data.directory.",
)
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(config: Path, data: Path | None, log_level: str) -> None:
    """Run the agent until SIGTERM. Exit code 75: ended on purpose, start it again."""
    import asyncio

    from agent.app import run as run_agent
    from agent.domain.yaml_loader import BadConfig
    from agent.runtime.logging_setup import set_up_log
    from agent.runtime.native_calls import ENDS_WITHIN_S, end_within

    async def run_and_end() -> int:
        code = await run_agent(config, data)
        end_within(ENDS_WITHIN_S, code)
        return code

    set_up_log(log_level)
    try:
        config.open("rb").close()
    except OSError as error:
        _say_os_error(error)
        finish(EX_CONFIG)
    try:
        code = asyncio.run(run_and_end())
    except BadConfig as error:
        click.echo(str(error), err=True)
        finish(EX_CONFIG)
    except OSError as error:
        _say_os_error(error)
        finish(1)
    else:
        finish(code)


@cli.command()
@click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option("--env", is_flag=True, help="Also look whether devices, disk and broker are there.")
@as_json
def check(config: tuple[Path, ...], env: bool, as_json: bool) -> None:
    """Validate configurations without hardware; all errors at once, as FILE:LINE: path: message."""
    from agent.cli.check import check_command

    finish(check_command(list(config), env, as_json))


@cli.command()
@click.option("--mqtt", is_flag=True, help="The AsyncAPI document of the MQTT interface instead.")
def schema(mqtt: bool) -> None:
    """Print the JSON Schema of the configuration."""
    if mqtt:
        from agent.cli.asyncapi import asyncapi

        click.echo(json.dumps(asyncapi(), indent=2))
        return
    from agent.config.loader import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--to",
    type=click.Path(path_type=Path, readable=False),
    help="Write here; a new file named after the device.",
)
@click.option("--for", "lasts", help="Stop by itself after this long, such as 10m.")
def record(config: Path, to: Path | None, lasts: str | None) -> None:
    """Write what the sources of CONFIG say to a file, for `replay`: no pictures.

    It is not the agent, which must not run meanwhile: nobody is alerted.
    """
    from agent.replay.record import record_command
    from agent.runtime.logging_setup import set_up_log

    set_up_log("warning")
    finish(record_command(config, to, lasts))


@cli.command()
@click.argument("recording", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--config", type=click.Path(path_type=Path, readable=False), help="Other rules than those it was made by."
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, readable=False),
    help="Only what differs from what another configuration (.yaml) makes of it, or an earlier --json.",
)
@as_json
def replay(recording: Path, config: Path | None, compare: Path | None, as_json: bool) -> None:
    """Put a recording through today's rules, and print the alerts that they make of it."""
    from agent.replay.replay import replay_command

    finish(replay_command(recording, config, compare, as_json))


@cli.command()
@click.option(
    "--listen",
    "listen_s",
    type=click.FloatRange(1, 3600),
    metavar="SECONDS",
    help="Also hear what is spoken on each free serial port; opening one may reset a microcontroller.",
)
@as_json
def devices(listen_s: float | None, as_json: bool) -> None:
    """List serial ports and cameras: their lasting names, and who holds them."""
    from agent.cli.devices import devices_command

    finish(devices_command(listen_s, as_json))


@cli.command()
@click.argument("source")
@click.option("--protocol", default="auto", help="What is spoken there; auto finds out.", show_default=True)
@click.option("--baud", type=click.IntRange(50, 4_000_000), help="Speed of the line; found out if not given.")
@as_json
def read(source: str, protocol: str, baud: int | None, as_json: bool) -> None:
    """Say what a line says: a device, tcp://HOST:PORT, gpsd://HOST, a recording, or - for standard input."""
    from agent.cli.read import read_command

    finish(read_command(source, protocol, baud, as_json))


@cli.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@click.option("--model", default="default", show_default=True, help="A card's name, or a card file.")
@click.option("--score", type=click.FloatRange(0, 1), help="Leave out what is less sure than this.")
@click.option("--labels", help="Only these, with commas between.")
@click.option(
    "--annotate", type=click.Path(path_type=Path, file_okay=False), help="Write drawn pictures here."
)
@click.option("--coco", type=click.Path(path_type=Path, dir_okay=False), help="Write COCO results here.")
@click.option(
    "--annotations", type=click.Path(path_type=Path, exists=True), help="COCO file that lists the images."
)
@click.option("--tiles", default="1x1", help="Look in columns x rows too, for small things: 3x2.")
@click.option("--overlap", default=0.2, show_default=True, type=click.FloatRange(0, 0.5), help="Of tiles.")
@providers_option
@as_json
def detect(
    inputs: tuple[str, ...],
    model: str,
    score: float | None,
    labels: str | None,
    annotate: Path | None,
    coco: Path | None,
    annotations: Path | None,
    tiles: str,
    overlap: float,
    providers: str,
    as_json: bool,
) -> None:
    """Say what a model sees in pictures, folders of pictures, or video."""
    from agent.cli.detect import detect_command

    wanted = [label.strip() for label in labels.split(",") if label.strip()] if labels else None
    where = (annotate, coco, annotations)
    finish(detect_command(list(inputs), model, score, wanted, *where, as_json, tiles, overlap, providers))


@cli.group()
def models() -> None:
    """Detector models: their cards, hashes and speed."""


@models.command("list")
@as_json
def models_list(as_json: bool) -> None:
    """Name the models that are here."""
    from agent.cli.models import list_command

    finish(list_command(as_json))


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL]…")
@providers_option
@as_json
def models_verify(names: tuple[str, ...], providers: str, as_json: bool) -> None:
    """Check hashes, shapes, labels and what is seen in the test picture; all models if none is named."""
    from agent.cli.models import verify_command

    finish(verify_command(list(names), providers, as_json))


@models.command("bench")
@click.argument("name", default="default", metavar="[MODEL]")
@click.option("--runs", default=50, show_default=True, type=click.IntRange(5, 10_000))
@providers_option
@as_json
def models_bench(name: str, runs: int, providers: str, as_json: bool) -> None:
    """Measure latency and memory on this machine."""
    from agent.cli.models import bench_command

    finish(bench_command(name, runs, providers, as_json))


@models.command("pull")
@click.argument("url")
@click.option("--sha256", required=True, help="What the file must be.")
@click.option(
    "--to", "folder", default=".", show_default=True, type=click.Path(path_type=Path, readable=False)
)
@as_json
def models_pull(url: str, sha256: str, folder: Path, as_json: bool) -> None:
    """Fetch weights from URL (https or file); kept only where the hash is right."""
    from agent.cli.models import pull_command

    finish(pull_command(url, sha256, folder, as_json))


@cli.command()
@click.argument("picture", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--points",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help="CSV with x,y (pixels),lat,lon.",
)
@click.option(
    "--annotate",
    type=click.Path(path_type=Path, readable=False),
    help="Draw points, residuals and a grid in metres here.",
)
@as_json
def ground(picture: Path, points: Path, annotate: Path | None, as_json: bool) -> None:
    """Check surveyed points against a fixed camera's picture: residuals, and metres of error."""
    from agent.cli.ground_survey import survey_command

    finish(survey_command(picture, points, annotate, as_json))


@cli.group()
def config() -> None:
    """Push configuration to a device and see what became of it."""


broker_option = click.option(
    "--broker",
    required=True,
    envvar="RINGPOST_BROKER",
    help="mqtt://HOST:PORT or mqtts://…; RINGPOST_BROKER. For mqtts:// also RINGPOST_CA, RINGPOST_CERT and"
    " RINGPOST_KEY (files); RINGPOST_INSECURE=1 allows mqtt:// beyond this machine, RINGPOST_PROTOCOL=5 or"
    " 3.1.1 fixes the version of MQTT.",
)
root_option = click.option(
    "--root",
    default="ringpost/v1",
    show_default=True,
    type=click.Choice(["ringpost/v1", "ringpost-sim/v1"]),
    help="ringpost-sim/v1 for simulations.",
)


@config.command("get")
@click.argument("device", type=DEVICE)
@broker_option
@root_option
@as_json
def config_get(device: str, broker: str, root: str, as_json: bool) -> None:
    """Show what a device reports of its configuration."""
    from agent.cli.config_push import get_command

    finish(get_command(device, broker, root, as_json))


@config.command("push")
@click.argument("device", type=DEVICE)
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--confirm-within", default="60s", show_default=True, help="Back to the old one if not reached by then."
)
@broker_option
@root_option
@as_json
def config_push(device: str, file: Path, confirm_within: str, broker: str, root: str, as_json: bool) -> None:
    """Push FILE to a device, and wait for what becomes of it."""
    from agent.cli.config_push import push_command

    finish(push_command(device, file, confirm_within, broker, root, as_json))


@cli.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@click.option(
    "--to", "folder", default=".", show_default=True, type=click.Path(path_type=Path, readable=False)
)
@click.option("--pictures", default=20, show_default=True, type=click.IntRange(1, 40))
@broker_option
@root_option
@as_json
def fetch(
    device: str, alert_id: str, folder: Path, pictures: int, broker: str, root: str, as_json: bool
) -> None:
    """Fetch what a camera saw around an alert, as pictures; people are covered in them."""
    from agent.cli.device_commands import fetch_command

    finish(fetch_command(device, alert_id, pictures, folder, broker, root, as_json))


@cli.command()
@click.argument("device", type=DEVICE)
@click.option("--role", required=True, help="Who asks, as a role: never a name.")
@click.option("--reason", required=True, help="What for; it is logged with each picture.")
@click.option("--for", "lasts", default="15m", show_default=True, help="60m at most; 1s ends it.")
@click.option(
    "--key", required=True, type=click.Path(path_type=Path, readable=False), help="The device's rescue key."
)
@click.option("--camera", help="Only this one; all, if it is not given.")
@broker_option
@root_option
@as_json
def rescue(
    device: str,
    role: str,
    reason: str,
    lasts: str,
    key: Path,
    camera: str | None,
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Have people shown in a device's pictures for a while, to rescue somebody."""
    from agent.cli.device_commands import rescue_command

    finish(rescue_command(device, role, reason, lasts, key, camera, broker, root, as_json))


@cli.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@click.option("--role", default="technician", show_default=True, help="Who answers, as a role: never a name.")
@click.option("--close", "action", flag_value="close", help="End the alert now.")
@click.option("--reject", "action", flag_value="reject", help="End it as a false alert.")
@click.option("--reason", help="Why; with --close or --reject.")
@broker_option
@root_option
@as_json
def ack(
    device: str,
    alert_id: str,
    role: str,
    action: str | None,
    reason: str | None,
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Acknowledge an alert: somebody is on it. `watch --json` and the centre show its id."""
    from agent.cli.device_commands import ack_command

    finish(ack_command(device, alert_id, role, action or "ack", reason, broker, root, as_json))


@cli.command()
@click.argument("devices", nargs=-1, metavar="[DEVICE]…", type=DEVICE)
@broker_option
@root_option
@click.option("--for", "duration", help="Stop by itself after this long, such as 30s.")
@as_json
def watch(devices: tuple[str, ...], broker: str, root: str, duration: str | None, as_json: bool) -> None:
    """Show devices, health and alerts live, from the broker."""
    from agent.cli.config_push import watch_command

    finish(watch_command(list(devices), broker, root, duration, as_json))


def _say_os_error(error: OSError) -> None:
    text = describe_error(error)
    click.echo(f"ringpost run: {text}", err=True)


def main() -> None:
    """The entry point: no traceback for what a user did, or for a closed pipe."""
    from agent.runtime.process import prepare_process

    prepare_process()
    try:
        cli()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # such as a full disk below standard output
        click.echo(f"ringpost: {error.filename or 'standard output'}: {error_reason(error)}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
