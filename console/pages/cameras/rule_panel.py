"""The panel of the rule at the selected zone or line: its kind as a sentence, sliders, what would count."""

import time
from typing import Any

from nicegui import ui

from console.camera_feeds import CameraFeed
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.picture_panel import BigPicture
from console.pages.cameras.proposal import RuleDraft, verdict
from console.pages.cameras.rule_kinds import LABELS, RULE_KINDS, SEVERITIES, Setting, kinds_for
from console.web.session import Session

SHOWN_EVERY_S = 0.5
MOST_COUNTED = 12


def draw_rule_panel(session: Session, desk: CameraDesk, picture: BigPicture) -> None:
    """Draws the panel."""
    RulePanel(session, desk, picture)


class RulePanel:
    """Rebuilt when another shape or kind is chosen; a slider changes only its own value."""

    def __init__(self, session: Session, desk: CameraDesk, picture: BigPicture) -> None:
        self._session, self._desk, self._picture = session, desk, picture
        self._shown: tuple[Any, ...] = ()
        self._told_s = 0.0
        self._place = ui.column().classes("full-width rp-rule")
        with ui.column().classes("full-width rp-counts").mark("would-count") as self._counts:
            self._counts_head = ui.label()
            self._count_rows = [_CountRow() for _ in range(MOST_COUNTED)]
        self._counts.set_visibility(False)
        desk.listeners.append(self._show)
        picture.listeners.append(self._show_counts)
        self._show()

    def _show(self) -> None:
        shape, draft = self._desk.drawing.current, self._desk.draft
        key = (
            None if shape is None else shape.id,
            None if shape is None else shape.closed,
            None if draft is None else (draft.kind, draft.name, draft.in_force is None),
        )
        if key == self._shown:
            return
        self._shown = key
        self._place.clear()
        self._counts.set_visibility(False)
        if shape is None or not shape.closed:
            return
        t = self._session.t
        with self._place:
            kinds = {one.kind: t(one.sentence) for one in kinds_for(shape.kind)}
            none = {"": t("No rule, only the zone")} if shape.kind == "zone" else {}
            ui.select(
                {**kinds, **none}, value="" if draft is None else draft.kind,
                label=t("What should raise an alert?"),
                on_change=lambda event: self._choose(str(event.value or "")),
            ).props("dense outlined options-dense").classes("full-width").mark("rule-kind")  # fmt: skip
            if draft is not None:
                self._draw_settings(draft)

    def _choose(self, kind: str) -> None:
        if kind in RULE_KINDS:
            self._desk.set_kind(kind)
        else:
            self._desk.without_rule()

    def _draw_settings(self, draft: RuleDraft) -> None:
        t = self._session.t
        labels = draft.labels()
        with ui.row().classes("full-width no-wrap rp-pair"):
            choice = ui.select(
                sorted({*LABELS, *labels}), value=labels, multiple=True, label=t("Labels"),
                on_change=lambda event: self._set("labels", list(event.value or ())),
            )  # fmt: skip
            choice.props("dense outlined use-chips options-dense").mark("rule-labels")
            severity = str(draft.tree().get("severity", _severity(draft)))
            ui.select(
                {one: t(one) for one in SEVERITIES}, value=severity, label=t("Severity"),
                on_change=lambda event: self._set("severity", str(event.value)),
            ).props("dense outlined options-dense").mark("rule-severity")  # fmt: skip
        for setting in draft.of_kind.settings:
            self._draw_slider(draft, setting)

    def _draw_slider(self, draft: RuleDraft, setting: Setting) -> None:
        name = self._session.t(setting.name)
        with ui.row().classes("full-width no-wrap items-center rp-slider"):
            ui.label(name).classes("rp-slider-name")
            value = setting.value(draft.tree())
            slider = ui.slider(min=setting.least, max=setting.most, step=setting.step, value=value)
            slider.mark(f"slider-{setting.key}").props("dense")
            slider.props["aria-label"] = name
            number = ui.number(min=setting.least, max=setting.most, step=setting.step, value=value)
            number.props("dense outlined").classes("rp-slider-value").mark(f"value-{setting.key}")
            number.props["aria-label"] = name
            if setting.unit:
                number.props["suffix"] = setting.unit
        number.bind_value(slider)
        slider.on_value_change(lambda event: self._slide(setting, event.value))

    def _slide(self, setting: Setting, value: object) -> None:
        if isinstance(value, int | float):
            self._set(setting.key, setting.written(min(setting.most, max(setting.least, float(value)))))

    def _set(self, key: str, value: Any) -> None:
        if (draft := self._desk.draft) is None:
            return
        draft.fields[key] = value
        self._desk.changed()
        if self._picture.feed is not None:
            self._told_s = 0.0
            self._show_counts(self._picture.feed)

    def _show_counts(self, feed: CameraFeed) -> None:
        """Which objects the rule would count with these settings, and why not the others."""
        draft, now_s = self._desk.draft, time.monotonic()
        if now_s - self._told_s < SHOWN_EVERY_S:
            return
        self._told_s = now_s
        shown = self._desk.drawing.current is not None and not self._desk.drawing.is_drawing
        self._counts.set_visibility(draft is not None and shown and feed.meta is not None)
        if draft is None or feed.meta is None:
            return
        objects = feed.meta["objects"][:MOST_COUNTED]
        t = self._session.t
        self._counts_head.set_text(
            t("With these settings, now:") if objects else t("Nothing is in view now.")
        )
        for row in self._count_rows[len(objects) :]:
            row.hide()
        for row, seen in zip(self._count_rows, objects, strict=False):
            passes, text, values = verdict(seen, draft, self._desk.drawing)
            row.show(
                f"#{seen['track']} {seen['label']} {seen['score']:.2f}: {t(text, **values)}", passes=passes
            )


class _CountRow:
    """One object in view: whether it counts, and why not."""

    def __init__(self) -> None:
        with ui.row().classes("items-center no-wrap rp-count") as self._row:
            self._icon = ui.icon("remove_circle_outline")
            self._text = ui.label()
        self._row.set_visibility(False)

    def hide(self) -> None:
        self._row.set_visibility(False)

    def show(self, text: str, *, passes: bool) -> None:
        good, doubt = "rp-good", "rp-doubt"
        self._icon.props(f"name={'check_circle' if passes else 'remove_circle_outline'}")
        self._icon.classes(add=good if passes else doubt, remove=doubt if passes else good)
        self._text.set_text(text)
        self._row.set_visibility(True)


def _severity(draft: RuleDraft) -> str:
    return "critical" if draft.kind in ("beyond_railing", "person_in_water") else "warning"
