"""One result of a check."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from agent.runtime.exit_codes import EX_CONFIG, EX_UNAVAILABLE
from agent.runtime.sanitize import printable

State: TypeAlias = Literal["ok", "warning", "failed", "skipped"]
WORST_FIRST: tuple[State, ...] = ("failed", "warning", "skipped", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``text`` is what was found; ``remedy`` one command or edit. ``place`` is the path in the configuration.

    ``central``: to be mended at the broker or the centre, not at this device.
    """

    state: State
    text: str
    remedy: str = ""
    place: str = ""
    central: bool = False

    @property
    def line(self) -> str:
        """The finding in one line: ``place: text; remedy``."""
        text = f"{self.text}; {self.remedy}" if self.remedy else self.text
        return printable(f"{self.place}: {text}" if self.place else text)

    @property
    def is_fact(self) -> bool:
        """Whether it is worth a line although nothing is wrong."""
        return self.state == "ok" or (self.state == "skipped" and bool(self.place))

    def fields(self) -> dict[str, Any]:
        """For ``--json``; empty fields are absent."""
        return {key: value for key, value in asdict(self).items() if value}


def ok(text: str, place: str = "") -> Finding:
    return Finding(state="ok", text=text, place=place)


def warning(text: str, remedy: str = "", place: str = "") -> Finding:
    return Finding(state="warning", text=text, remedy=remedy, place=place)


def failed(text: str, remedy: str = "", place: str = "", *, central: bool = False) -> Finding:
    return Finding(state="failed", text=text, remedy=remedy, place=place, central=central)


def skipped(text: str, remedy: str = "", place: str = "") -> Finding:
    return Finding(state="skipped", text=text, remedy=remedy, place=place)


def worst(findings: Iterable[Finding]) -> State:
    """The worst state; "ok" where there is no finding. Skipped counts only where nothing else was found."""
    states = {finding.state for finding in findings}
    if states == {"skipped"}:
        return "skipped"
    return next((state for state in WORST_FIRST if state in states - {"skipped"}), "ok")


def exit_code(findings: Iterable[Finding]) -> int:
    """For ``check --env``: 78 where something at this device failed, else 69 where the broker or the centre
    did, else 0."""
    wrong = [finding for finding in findings if finding.state == "failed"]
    if any(not finding.central for finding in wrong):
        return EX_CONFIG
    return EX_UNAVAILABLE if wrong else 0
