"""Writes ``junit.xml`` and ``index.html`` into the folder of a run."""

from pathlib import Path

from simulators.report.collect import collect
from simulators.report.junit import junit
from simulators.report.page import page
from simulators.report.run_files import RunFiles

JUNIT, PAGE = "junit.xml", "index.html"


def write(folder: Path) -> Path:
    """The page. OSError or ValueError in one line where a file of the run can't be read."""
    files = RunFiles(folder)
    verdict = files.verdict
    (folder / JUNIT).write_bytes(junit(verdict))
    path = folder / PAGE
    path.write_text(page(verdict, collect(files), files.scenario))
    return path
