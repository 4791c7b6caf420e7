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
NOTHING = "–"


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
    return f'<section id="{name}"><h2>{e(title)}</h2>\n{inner}\n</section>'


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Html]], *, numbers: str = "") -> Html:
    """A table that scrolls by itself where it is wider than the screen.

    ``rows`` are of HTML. The letter ``n`` in ``numbers`` puts the column of its place to the right.
    """
    align = [place < len(numbers) and numbers[place] == "n" for place in range(len(heads))]
    head = "".join(
        f'<th scope="col" role="columnheader"{_classes("", number)}>{e(name)}</th>'
        for name, number in zip(heads, align, strict=True)
    )
    lines = []
    for row in rows:
        first, *others = row
        cells = "".join(
            f'<td role="cell" data-head="{e(heads[place])}"{_classes(cell, align[place])}>{cell}</td>'
            for place, cell in enumerate(others, 1)
        )
        lines.append(f'<tr role="row"><th scope="row" role="rowheader">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{e(caption)}"><table role="table">'
        f'<caption class="sr">{e(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(lines)}</tbody></table></div>'
    )


def _classes(cell: Html, is_number: bool) -> Html:
    """``none``: the cell says nothing, and a phone leaves it out."""
    names = ["n"] * is_number + ["none"] * (cell == NOTHING)
    return f' class="{" ".join(names)}"' if names else ""


def clock(second: float | None, *, tenths: bool = False) -> str:
    """``1:02:03``, ``2:03`` or ``2:03.4`` since the start of the run."""
    if second is None:
        return NOTHING
    whole = int(second) if tenths else round(second)
    hours, rest = divmod(whole, 3600)
    text = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
    return f"{text}.{int(second * 10) % 10}" if tenths else text


def seconds(value: float | None) -> str:
    """``12.3 s``."""
    return NOTHING if value is None else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    """``3 ms``, ``0.4 ms`` or ``12.5 s``."""
    if value is None:
        return NOTHING
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if 0 < value < 10 else f"{value:.0f} ms"
