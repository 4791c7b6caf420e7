"""Pieces of HTML. All text of a run goes through `e` or `table`: a name may be ``<script>``."""

import html
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

Html: TypeAlias = str
"""Safe to put into the page."""
SHAPES = {
    "online": "●",
    "degraded": "▲",
    "blind": "◐",
    "offline": "✕",
    "died": "✕",
    "killed": "✕",
    "without power": "✕",
    "stopped": "■",
    "passed": "✓",
    "failed": "✕",
    "incomplete": "▲",
    "critical": "◆",
    "warning": "▲",
    "info": "○",
    "good": "●",
}
"""A state is a shape, a word and a colour."""
OTHER = "◌"
"""The shape of a state that is not among them."""


def e(value: Any) -> Html:
    """Any text, escaped for elements and for quoted attributes."""
    return html.escape("" if value is None else str(value), quote=True)


def class_of(state: str) -> str:
    """The class of the style sheet for a state."""
    return state.replace(" ", "-") if state in SHAPES else "unknown"


def mark(state: str, words: str | None = None) -> Html:
    """The state as shape and word, in its colour."""
    shape = f'<b aria-hidden="true">{SHAPES.get(state, OTHER)}</b>'
    return f'<span class="mark {class_of(state)}">{shape} {e(words or state)}</span>'


def section(name: str, title: str, *content: Html) -> Html:
    """A part of the page with a heading; ``name`` is its anchor."""
    inner = "\n".join(content)
    heading = f'<h2 id="{name}-title">{e(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}\n{inner}\n</section>'


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Html]], *, numbers: str = "") -> Html:
    """A table that scrolls by itself where it is wider than the screen.

    ``rows`` are of HTML. The letter ``n`` in ``numbers`` puts the column of its place to the right.
    """
    align = [' class="n"' if place < len(numbers) and numbers[place] == "n" else "" for place in range(99)]
    head = "".join(f'<th scope="col"{align[place]}>{e(name)}</th>' for place, name in enumerate(heads))
    lines = []
    for row in rows:
        first, *others = row
        cells = "".join(f"<td{align[place]}>{cell}</td>" for place, cell in enumerate(others, 1))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{e(caption)}"><table>'
        f'<caption class="sr">{e(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def clock(second: float | None, *, tenths: bool = False) -> str:
    """``1:02:03``, ``2:03`` or ``2:03.4`` since the start of the run."""
    if second is None:
        return "–"
    whole = int(second) if tenths else round(second)
    hours, rest = divmod(whole, 3600)
    text = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
    return f"{text}.{int(second * 10) % 10}" if tenths else text


def seconds(value: float | None) -> str:
    """``12.3 s``."""
    return "–" if value is None else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    """``3 ms``, ``0.4 ms`` or ``12.5 s``."""
    if value is None:
        return "–"
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if 0 < value < 10 else f"{value:.0f} ms"
