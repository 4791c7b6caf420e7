"""Options of the commands for hardware and pictures: ``devices``, ``read``, ``detect``, ``ground``."""

from pathlib import Path

import click

from agent.cli.options import finish, json_option, providers_option


@click.command()
@click.option(
    "--listen",
    "listen_s",
    type=click.FloatRange(1, 3600),
    metavar="SECONDS",
    help="Also listen on each free serial port for this long, 1 to 3600 s, and name the protocol. Opening a"
    " port may reset a microcontroller.",
)
@json_option
def devices(listen_s: float | None, as_json: bool) -> None:
    """List serial ports and cameras: stable names, and the processes that hold them."""
    from agent.cli.devices import devices_command

    finish(devices_command(listen_s, as_json))


@click.command()
@click.argument("source")
@click.option("--protocol", default="auto", help="Protocol; auto detects it.", show_default=True)
@click.option(
    "--baud",
    type=click.IntRange(50, 4_000_000),
    help="Baud rate in bit/s. Default: that of the protocol, otherwise detected.",
)
@click.option(
    "--plot",
    metavar="FILE.png|-",
    help="At the end draw the track, satellites and HDOP: into a PNG, or with - into the terminal.",
)
@json_option
def read(source: str, protocol: str, baud: int | None, plot: str | None, as_json: bool) -> None:
    """Decode the data of a line and print its values; auto-detects protocol and baud rate.

    SOURCE is a serial device, tcp://HOST:PORT, gpsd://HOST, a file of raw bytes, or - for standard input.
    """
    from agent.cli.read import read_command

    finish(read_command(source, protocol, baud, as_json, plot))


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@click.option("--model", default="default", show_default=True, help="Name or file of a model card.")
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    help="Confidence threshold, 0 to 1. Default: that of the model card; 0.01 with --coco.",
)
@click.option(
    "--labels", metavar="LIST", help="Report only these labels, such as person,boat. Default: all labels."
)
@click.option(
    "--annotate",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY|FILE",
    help="Write pictures with boxes to this directory, or one to this .jpg or .png; people are redacted.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Also draw the zones, lines and rules of a camera in this configuration; needs --annotate.",
)
@click.option("--camera", help="The camera of --config. Default: the only one.")
@click.option(
    "--coco",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results in COCO format to this file.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, exists=True),
    help="COCO file that lists the pictures; required with --coco.",
)
@click.option(
    "--tiles",
    default="1x1",
    show_default=True,
    metavar="COLUMNSxROWS",
    help="Also run on tiles of each picture, to find small objects, such as 3x2.",
)
@click.option(
    "--overlap",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0, 0.5),
    help="Tile overlap, as a fraction.",
)
@providers_option
@json_option
def detect(
    inputs: tuple[str, ...],
    model: str,
    score: float | None,
    labels: str | None,
    annotate: Path | None,
    config: Path | None,
    camera: str | None,
    coco: Path | None,
    annotations: Path | None,
    tiles: str,
    overlap: float,
    providers: str,
    as_json: bool,
) -> None:
    """Run the detector on pictures, directories of pictures, or video."""
    from agent.cli.detect import DetectOptions, detect_command

    selected = [label.strip() for label in labels.split(",") if label.strip()] if labels else None
    options = DetectOptions(
        model=model,
        score=score,
        labels=selected,
        annotate=annotate,
        config=config,
        camera=camera,
        coco=coco,
        annotations=annotations,
        as_json=as_json,
        tiles=tiles,
        overlap=overlap,
        providers=providers,
    )
    finish(detect_command(list(inputs), options))


@click.command()
@click.argument("picture", type=click.Path(path_type=Path, readable=False), metavar="PICTURE")
@click.option(
    "--points",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="CSV file of surveyed points: x,y in pixels, lat,lon in degrees.",
)
@click.option(
    "--annotate",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Write the picture with points, residuals and a grid in metres to this file; people are redacted.",
)
@json_option
def ground(picture: Path, points: Path, annotate: Path | None, as_json: bool) -> None:
    """Check surveyed points against a camera picture: residuals in pixels, errors in metres."""
    from agent.cli.ground_survey import survey_command

    finish(survey_command(picture, points, annotate, as_json))
