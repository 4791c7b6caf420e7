"""A site: its pages, and what the shell shows around them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from console.web.session import Session


@dataclass(frozen=True, slots=True)
class Page:
    """A page. ``name`` is English, and translated where it is shown; ``build`` draws the content."""

    path: str
    name: str
    icon: str
    """A Material icon of Quasar."""
    build: Callable[[Session], None]
    keys: Sequence[tuple[str, str]] = ()
    """Keys of this page alone, with their English names, for the list of keys."""


@dataclass(frozen=True, slots=True)
class Site:
    """``title`` names the device or the city; it may come from outside and is only shown as text."""

    title: str
    pages: Sequence[Page]
    routes: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    """Further GET routes below the access gate, such as ``/frame/{camera}``, with their FastAPI handlers."""
    on_start: Sequence[Callable[[], object]] = field(default_factory=tuple)
    on_stop: Sequence[Callable[[], object]] = field(default_factory=tuple)
    heading: Callable[[], str] | None = None
    """The title where it is known later, such as the name that the agent tells."""
    prepare: Callable[[Session], None] = lambda _: None
    """Completes each new session, such as with the time zone of the place."""
    key_roles: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda _: ()
    """The roles that keys (by id) have at the device, as far as that can be known here."""

    def heading_now(self) -> str:
        """The title, as far as it is known."""
        return (self.heading() if self.heading is not None else "") or self.title
