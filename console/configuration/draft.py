"""What one person edits: the text, what it was made from, and what is known about it. Kept per session."""

from dataclasses import dataclass, replace

from agent.config.loader import digest
from console.agent_views import ConfigView, Hello
from console.configuration.checks import Checked, check
from console.configuration.edits import EditError
from console.configuration.in_force import InForce
from console.configuration.review import Review, diff_lines, review
from console.configuration.three_way import Steps, ThreeWay, combine, compare

MAX_DRAFTS = 64


@dataclass
class Draft:
    """A text under way. ``newer``: what came into force after ``in_force``, while there were changes."""

    in_force: InForce
    text: str
    checked: Checked | None = None
    review: Review | None = None
    newer: InForce | None = None

    @classmethod
    def of(cls, in_force: InForce) -> "Draft":
        """A draft without a change."""
        return cls(in_force, in_force.text)

    @property
    def is_changed(self) -> bool:
        """Whether the text differs from the one that it was made from."""
        return self.text != self.in_force.text

    def see(self, view: ConfigView, hello: Hello) -> bool:
        """Takes in what is in force now; whether the text was replaced.

        A draft without changes follows; one with changes stays, and `newer` says that the base has moved.
        """
        now = InForce.of(view, hello)
        if now.sha256 == self.in_force.sha256:
            self.in_force, self.newer = now, None
            return False
        if now.text == self.text or not self.is_changed or self._was_kept(view):
            replaced = now.text != self.text
            self.in_force, self.text, self.newer = now, now.text, None
            self.checked = self.review = None
            return replaced
        self.newer = now
        return False

    def _was_kept(self, view: ConfigView) -> bool:
        """Whether this very text came into force since: it was pushed, and another change came after it."""
        sha256, base = digest(self.text), self.in_force.revision or 0
        return any(
            one.get("state") in ("in_force", "kept")
            and sha256.startswith(str(one.get("sha256") or "-"))  # rows have its beginning
            and (one.get("revision") or 0) > base
            for one in view["history"]
        )

    def examined(self) -> "Draft":
        """The same draft with its check and its review. Takes seconds for a large text: for a thread."""
        checked = check(self.text, self.in_force)
        if checked.is_readable:
            return replace(self, checked=checked, review=review(self.in_force, checked))
        return replace(
            self, checked=checked, review=Review((), diff_lines(self.in_force.text, self.text), ())
        )

    def compare(self) -> ThreeWay | None:
        """What both sides changed, where something else came into force."""
        return None if self.newer is None else compare(self.in_force.text, self.text, self.newer.text)

    def combined(self, keep_theirs: frozenset[Steps]) -> "Draft":
        """My changes on top of what is in force now. EditError."""
        three = self.compare()
        if three is None or self.newer is None:
            raise EditError("nothing else came into force")
        return Draft(self.newer, combine(self.newer.text, three, keep_theirs))


class Drafts:
    """The drafts of all sessions, so that a reload or another page loses nothing."""

    def __init__(self) -> None:
        self._by_token: dict[str, Draft] = {}

    def find(self, token: str) -> Draft | None:
        """The draft of a session."""
        return self._by_token.get(token)

    def keep(self, token: str, draft: Draft) -> None:
        """Remembers it; where there are too many, the oldest goes."""
        self._by_token.pop(token, None)
        while len(self._by_token) >= MAX_DRAFTS:
            del self._by_token[next(iter(self._by_token))]
        self._by_token[token] = draft
