"""Options of the commands below ``models``."""

from pathlib import Path

import click

from agent.cli.options import finish, json_option, providers_option


@click.group()
def models() -> None:
    """Manage detector models: list, verify, measure, download."""


@models.command("list")
@json_option
def models_list(as_json: bool) -> None:
    """List the installed models."""
    from agent.cli.models import list_command

    finish(list_command(as_json))


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL]…")
@click.option("--against", metavar="MODEL", help="Compare one MODEL, such as an int8 copy, with this one.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Pictures or video of your cameras, for --against.",
)
@click.option(
    "--most-lost",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Detections of a label that MODEL may lose against the other one.",
)
@providers_option
@json_option
def models_verify(
    names: tuple[str, ...],
    against: str | None,
    pictures: Path | None,
    most_lost: float,
    providers: str,
    as_json: bool,
) -> None:
    """Verify hash, shapes, labels and test picture of each MODEL, by default of all models."""
    from agent.cli.model_compare import compare_command
    from agent.cli.models import verify_command

    if (against is None) != (pictures is None) or (against is not None and len(names) != 1):
        raise click.UsageError("--against and --pictures go together, with one MODEL")
    if against is not None and pictures is not None:
        finish(compare_command(names[0], against, pictures, most_lost / 100, providers, as_json))
    finish(verify_command(list(names), providers, as_json))


@models.command("bench")
@click.argument("name", default="default", metavar="[MODEL]")
@click.option(
    "--runs",
    default=50,
    show_default=True,
    type=click.IntRange(5, 10_000),
    help="Number of inferences to measure.",
)
@providers_option
@json_option
def models_bench(name: str, runs: int, providers: str, as_json: bool) -> None:
    """Measure inference latency and memory on this machine."""
    from agent.cli.models import bench_command

    finish(bench_command(name, runs, providers, as_json))


@models.command("pull")
@click.argument("model", metavar="MODEL|URL")
@click.option("--sha256", metavar="HEX", help="Expected SHA-256 of the file; a MODEL has it in its card.")
@click.option(
    "--to",
    "--folder",
    "folder",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIRECTORY",
    help="Directory for the file. Default: that of pulled models for a MODEL, this one for a URL.",
)
@json_option
def models_pull(model: str, sha256: str | None, folder: Path | None, as_json: bool) -> None:
    """Download the weights of MODEL, or of URL (https or file); a file with another hash is discarded."""
    from agent.cli.model_pull import pull_command

    finish(pull_command(model, sha256, folder, as_json))
