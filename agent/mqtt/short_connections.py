"""Detects connections that end soon, one after the other. Pure: the monotonic clock comes in.

Two devices under one name (a cloned card) take the connection from each other; most brokers end the older one
without a reason, and alerts come late.
"""

SHORT_S, SHORT_COUNT = 60.0, 4
"""So many connections in a row that ended so soon are reported."""


class ShortConnections:
    """Counts the short connections in a row."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._count = 0

    def began(self, now_s: float) -> None:
        self._began_s = now_s

    def ended(self, now_s: float, *, closed: bool) -> None:
        """``closed``: the other end closed the connection; it did not go silent."""
        self._count = self._count + 1 if closed and now_s - self._began_s < SHORT_S else 0

    def trouble(self, device: str, now_s: float) -> str | None:
        """The line for ``health`` while a connection is young."""
        if self._count < SHORT_COUNT or now_s - self._began_s >= SHORT_S:
            return None
        return (
            f"{self._count} connections in a row ended within {SHORT_S:g} s: does the link break, or is"
            f" another device connected under the name {device!r}?"
        )
