"""Declares ``models``: options only."""

from pathlib import Path

import click

from agent.cli.options import as_json, finish, providers_option


@click.group()
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
