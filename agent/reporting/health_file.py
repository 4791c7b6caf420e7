"""The last ``health`` report as a file in the data folder, for ``ringpost doctor`` beside a running agent."""

from pathlib import Path

from agent.host.disk import writing

FILE = "health.json"


def write_health(folder: Path, body: bytes) -> None:
    """Replaces the file; not durable, since it says only how a running agent is. OSError on failure."""
    path = folder / FILE
    beside = path.with_name(path.name + ".new")
    with writing(path, durable=False):
        beside.write_bytes(body)
        beside.replace(path)
