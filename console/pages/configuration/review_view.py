"""The difference to what is in force, with signs and colours, and what it would restart."""

from collections.abc import Sequence

from nicegui import ui

from console.configuration.review import DiffLine, Effect, EffectKind, Review
from console.web.session import Session

LOOKS: dict[str, str] = {"+": "rp-added", "-": "rp-removed", "@": "rp-place"}
ICONS: dict[EffectKind, tuple[str, str]] = {
    "restart": ("restart_alt", "rp-doubt"),
    "signatures": ("group", "rp-doubt"),
    "impossible": ("lock", "rp-bad"),
}


class ReviewView:
    """Shows a `Review`; screen readers hear the signs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: Review | None = None
        self._summary = ui.label().classes("text-subtitle1").mark("review-summary")
        self._effects = ui.column().classes("rp-effects").mark("effects")
        self._lines = ui.column().classes("rp-diff").props('tabindex="0"').mark("diff")

    def show(self, review: Review | None, *, is_changed: bool) -> None:
        """Shows what would change; None while it is not known yet."""
        if review is None or review == self._shown:
            return
        self._shown = review
        t = self._session.t
        if not is_changed:
            self._summary.set_text(t("The text is as in force."))
        elif review.is_empty:
            self._summary.set_text(t("Only comments or spaces differ."))
        elif len(review.paths) == 1:
            self._summary.set_text(t("1 value would change"))
        else:
            self._summary.set_text(t("{n} values would change", n=len(review.paths)))
        self._effects.clear()
        with self._effects:
            for effect in review.effects:
                self._draw_effect(effect)
        draw_lines(self._session, self._lines, review.lines)

    def _draw_effect(self, effect: Effect) -> None:
        icon, look = ICONS[effect.kind]
        with ui.row().classes(f"rp-chip no-wrap {look}"):
            ui.icon(icon).props('aria-hidden="true"')
            ui.label(effect_text(self._session, effect))


def effect_text(session: Session, effect: Effect) -> str:
    """One consequence in the language of the session."""
    t = session.t
    head, _, rest = effect.text.partition(": ")
    if effect.kind == "restart" and rest:
        kind, _, name = head.partition(" ")
        words = {"source": t("source"), "rule": t("rule"), "link": t("link")}
        return f"{words.get(kind, kind)} {name}: {_translated(session, rest)}".replace(" :", ":")
    text = _translated(session, effect.text)
    return f"{effect.path}: {text}" if effect.path else text


def _translated(session: Session, words: str) -> str:
    """What `agent.cli.restarts` says."""
    t = session.t
    known = {
        "restarts": t("restarts"),
        "starts": t("starts"),
        "ends": t("ends"),
        "takes the change over without a restart": t("takes the change over without a restart"),
        "ends, and its active alerts end": t("ends, and its active alerts end"),
        "restarts; an active alert goes on": t("restarts; an active alert goes on"),
        "connects anew": t("connects anew"),
        "connects anew, and a receipt of the centre has to prove it": t(
            "connects anew, and a receipt of the centre has to prove it"
        ),
        "needs several signatures": t("needs several signatures"),
        "needs a privacy officer among its signers": t("needs a privacy officer among its signers"),
        "can't be changed by push; edit the file at the device": t(
            "can't be changed by push; edit the file at the device"
        ),
    }
    return known.get(words, words)


def draw_lines(session: Session, place: ui.element, lines: Sequence[DiffLine]) -> None:
    """Draws the lines of a difference into ``place``."""
    spoken = {"+": session.t("added"), "-": session.t("removed")}
    place.clear()
    place.set_visibility(bool(lines))
    with place:
        for line in lines:
            look = LOOKS.get(line.sign, "")
            sign = " " if line.sign == "@" else line.sign
            with ui.row().classes(f"rp-diff-line no-wrap {look}"):
                mark = ui.label(sign).classes("rp-sign")
                if line.sign in spoken:
                    mark.props(f'role="img" aria-label="{spoken[line.sign]}"')
                ui.label("⋯" if line.sign == "@" else line.text or " ").classes("rp-code")
