"""Declares ``devices``, ``read``, ``detect`` and ``ground``: options only."""

from pathlib import Path

import click

from agent.cli.options import as_json, finish, providers_option


@click.command()
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


@click.command()
@click.argument("source")
@click.option("--protocol", default="auto", help="What is spoken there; auto finds out.", show_default=True)
@click.option("--baud", type=click.IntRange(50, 4_000_000), help="Speed of the line; found out if not given.")
@as_json
def read(source: str, protocol: str, baud: int | None, as_json: bool) -> None:
    """Say what a line says: a device, tcp://HOST:PORT, gpsd://HOST, a recording, or - for standard input."""
    from agent.cli.read import read_command

    finish(read_command(source, protocol, baud, as_json))


@click.command()
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


@click.command()
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
