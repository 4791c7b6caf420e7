"""What a verification found: problems with the entries they concern, runs of them as one. Pure."""

from dataclasses import dataclass, field

CHANGED = "signature does not match: changed, or written by another"
REPLACED = "is not the entry after which the next one was written: changed or replaced"
MISSING = "missing"
REPEATED = "stands here again: copied, or out of order"
OTHER_KEY = "is signed with another key than the entry before names: the key was lost or replaced"
UNCHECKED = "can't be checked: what names its key is missing"


@dataclass(slots=True)
class Problem:
    """One problem with the entries from ``first`` to ``last``; 0 for the log as a whole."""

    text: str
    first: int = 0
    last: int = 0
    since: str | None = None
    """The instant of the last entry before that is right."""

    def __str__(self) -> str:
        name = f"entry {self.first}" if self.first == self.last else f"entries {self.first}-{self.last}"
        where = f"{name}: {self.text}" if self.first else self.text
        return f"{where} (after {self.since})" if self.since else where


@dataclass(slots=True)
class Report:
    """The result for one log. It is intact where there is no problem; notes are no problems."""

    entries: int = 0
    first: int = 0
    last: int = 0
    head: str = ""
    """The hash of the last entry."""
    logs: list[str] = field(default_factory=list)
    """The ids of the log; more than one where it lost its key."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.problems

    def add(self, text: str, first: int = 0, last: int | None = None, since: str | None = None) -> None:
        """Adds a problem, or extends the one before where it is the same about the entries before."""
        newest = self.problems[-1] if self.problems else None
        end = first if last is None else last
        if newest is not None and first and newest.text == text and newest.last == first - 1:
            newest.last = end
        else:
            self.problems.append(Problem(text, first, end, since))
