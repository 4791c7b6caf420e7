"""The checks of ``doctor`` for the pages: in a child with low priority, shared by all pages."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.cli.doctor import USUAL_FILE
from agent.runtime.sanitize import as_dict, as_list, json_object
from console.pages.remedies import FoundRemedy

LIMIT_S = 120.0
MOST_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One finding of a check."""

    number: int
    check: str
    state: str
    text: str
    remedy: str


@dataclass(slots=True)
class Checks:
    """The newest findings; ``problem`` says why there are none."""

    data: Path
    rows: list[CheckRow] = field(default_factory=list)
    remedies: list[FoundRemedy] = field(default_factory=list)
    made_at: datetime | None = None
    running: bool = False
    problem: str = ""

    async def run(self, file: str | None, *, everything: bool) -> None:
        """Makes the checks; ``everything``: those of the models too, which need the whole CPU."""
        if self.running:
            return
        self.running, self.problem = True, ""
        rows: list[CheckRow] = []
        remedies: list[FoundRemedy] = []
        try:
            async with asyncio.timeout(LIMIT_S):
                async for result in self._results(Path(file) if file else USUAL_FILE, everything=everything):
                    _add(result, rows, remedies)
                    if not self.rows or self.made_at is None:
                        self.rows = list(rows)
        except TimeoutError:
            self.problem = f"the checks took longer than {LIMIT_S:g} s"
        except OSError as error:
            self.problem = str(error)
        finally:
            self.running = False
        if rows and not self.problem:
            self.rows, self.remedies, self.made_at = rows, remedies, datetime.now(UTC)

    async def _results(self, file: Path, *, everything: bool) -> Any:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "console.checks_child", str(file), str(self.data),
            "all" if everything else "quick",
            stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL,
            start_new_session=True, limit=MOST_LINE_BYTES, env=_environment(),
        )  # fmt: skip
        assert child.stdout is not None  # noqa: S101  it is a pipe
        try:
            async for line in child.stdout:
                if (result := json_object(line)) is not None:
                    yield result
            if code := await child.wait():
                raise OSError(f"the checks ended early, with code {code}: not all of them are below")
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
            await child.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _add(result: dict[str, Any], rows: list[CheckRow], remedies: list[FoundRemedy]) -> None:
    number, name = int(result.get("number", 0)), str(result.get("check"))
    for finding in map(as_dict, as_list(result.get("findings"))):
        place, remedy = str(finding.get("place", "")), str(finding.get("remedy", ""))
        text = f"{place}: {finding.get('text')}" if place else str(finding.get("text"))
        rows.append(CheckRow(number, name, str(finding.get("state")), text, remedy))
        if remedy and finding.get("state") in ("failed", "warning"):
            remedies.append(FoundRemedy(place, remedy))


WORST_FIRST = ("failed", "warning", "skipped", "ok")


def worst_first(rows: list[CheckRow]) -> list[CheckRow]:
    """Rows by state, then by number."""
    return sorted(rows, key=lambda row: (WORST_FIRST.index(row.state), row.number))
