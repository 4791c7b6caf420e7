"""What one technician does with one camera: the drawing, the rule, the surveyed points. Free of NiceGUI."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agent.vision.view_limits import ViewLimit
from console.pages.cameras.drawing import Drawing
from console.pages.cameras.ground import Fit, GroundDrawing
from console.pages.cameras.overlay import Translate
from console.pages.cameras.proposal import CameraInForce, RuleDraft, changes, draft_for, new_draft
from console.pages.cameras.shapes import Shape
from console.pages.cameras.view import zone_limits

NUDGE, NUDGE_FAST = 0.002, 0.02
"""A step of an arrow key, as a share of the picture; the second with Shift."""


@dataclass(slots=True)
class CameraDesk:
    """`listeners` are called after each change by hand, so that all parts of the page show it."""

    now: CameraInForce
    size: tuple[int, int] = (16, 9)
    """Of the source picture in pixels, once a frame has come."""
    drawing: Drawing = field(default_factory=Drawing)
    ground: GroundDrawing = field(default_factory=GroundDrawing)
    drafts: dict[str, RuleDraft | None] = field(default_factory=dict)
    """The rule of each shape that was selected; None: it has none, or loses it."""
    task: Literal["shapes", "ground"] = "shapes"
    listeners: list[Callable[[], object]] = field(default_factory=list)
    message: str = ""
    """What went wrong with the last step of the hand, in English."""
    may_draw: bool = True

    @classmethod
    def of(cls, now: CameraInForce) -> "CameraDesk":
        return cls(now, drawing=now.drawing(), ground=GroundDrawing.of(now.ground, (16, 9)))

    @property
    def draft(self) -> RuleDraft | None:
        """The rule of the selected shape."""
        return self.drafts.get(self.drawing.selected or "")

    def take_in_force(self, now: CameraInForce) -> None:
        """Another configuration is in force: what the hand has drawn stays."""
        changed, self.now = self.ground.is_changed, now
        self.drawing.rebase(now.drawing())
        if not changed:
            self.ground = GroundDrawing.of(now.ground, self.size)
        self.drafts = {
            key: None if one is None else replace(one, in_force=now.rules.get(one.name))
            for key, one in self.drafts.items()
            if key in self.drawing.shapes
        }
        self.changed()

    def take_size(self, size: tuple[int, int]) -> None:
        """The source picture has this size in pixels."""
        if size != self.size:
            self.size = self.ground.size = size

    def changed(self) -> None:
        """Tells all parts of the page."""
        for listener in list(self.listeners):
            listener()

    # --- the hand ----------------------------------------------------------------------------------------

    def begin(self, kind: Literal["zone", "line"]) -> None:
        """A new zone or line."""
        self.task, self.message = "shapes", ""
        shape = self.drawing.begin(kind)
        self.drafts[shape.id] = self._new_draft(shape, "zone_enter" if kind == "zone" else "line_cross")
        self.changed()

    def tap(self, x: float, y: float, corner: int | None, edge: int | None, *, double: bool) -> None:
        """A click, or the second click of two at a place."""
        self.message = ""
        if self.task == "ground":
            self.ground.tap(x, y, corner)
        elif double:
            self.drawing.double(x, y)
        else:
            before = self.drawing.selected
            self.drawing.tap(x, y, corner, edge)
            if self.drawing.selected != before:
                self._take_draft()
        self.changed()

    def drag(self, corner: int, x: float, y: float) -> None:
        """A corner or a surveyed point was dragged."""
        if self.task == "ground":
            self.ground.move(corner, x, y)
        else:
            self.drawing.move(corner, x, y)
        self.changed()

    def key(self, name: str, *, fast: bool) -> None:
        """A key on the picture: see the help of the page."""
        step = NUDGE_FAST if fast else NUDGE
        arrows = {
            "ArrowLeft": (-step, 0.0),
            "ArrowRight": (step, 0.0),
            "ArrowUp": (0.0, -step),
            "ArrowDown": (0.0, step),
        }
        if self.task == "ground":
            if name in ("Delete", "Backspace") and self.ground.selected is not None:
                self.ground.remove(self.ground.selected)
        elif name in arrows:
            self.drawing.nudge(*arrows[name])
        elif name == "undo":
            self.undo()
        elif name == "Enter":
            self.drawing.close()
        elif name in ("Delete", "Backspace"):
            self.delete_corner()
        elif name in "[]":
            self.drawing.step_corner(1 if name == "]" else -1)
        elif name == "Escape":
            self.select(None)
        self.changed()

    def select(self, shape_id: str | None) -> None:
        """Selects a shape, with the rule that it has."""
        self.task = "shapes"
        self.drawing.select(shape_id)
        self._take_draft()
        self.changed()

    def delete_corner(self) -> None:
        """Removes the selected corner."""
        if not self.drawing.delete_corner():
            self.message = "a zone needs three corners, a line two"
        self.changed()

    def undo(self) -> None:
        """Takes the last step back."""
        if not self.drawing.undo():
            self.message = "there is nothing to take back"
        self._take_draft()
        self.changed()

    def rename(self, name: str) -> None:
        """Another name for a new shape; the rule goes along."""
        before = self.drawing.current
        self.message = self.drawing.rename(name) or ""
        after = self.drawing.current
        if before is not None and after is not None and before.id != after.id:
            draft = self.drafts.pop(before.id, None)
            if draft is not None:
                same_name = draft.in_force is None and draft.name in (before.name, f"at-{before.name}")
                name = self._new_draft(after, draft.kind).name if same_name else draft.name
                draft = replace(draft, place=after.name, name=name)
            self.drafts[after.id] = draft
        self.changed()

    def remove(self) -> None:
        """Removes the selected shape, and with it the rules that need it."""
        if (shape := self.drawing.current) is not None:
            self.drafts.pop(shape.id, None)
        self.drawing.remove()
        self.changed()

    def set_kind(self, kind: str) -> None:
        """Another kind for the rule."""
        shape, draft = self.drawing.current, self.draft
        if shape is not None and (draft is None or draft.kind != kind):
            new = self._new_draft(shape, kind)
            if draft is not None:  # what was set, and has a meaning for the new kind, stays
                known = {setting.key for setting in new.of_kind.settings} | {"severity"}
                new.fields = {key: value for key, value in draft.tree().items() if key in known}
            self.drafts[shape.id] = new
            self.changed()

    def without_rule(self) -> None:
        """A zone alone, without a rule."""
        if (shape := self.drawing.current) is not None:
            self.drafts[shape.id] = None
        self.changed()

    def discard(self) -> None:
        """Forgets all that was drawn."""
        self.drawing, self.message = self.now.drawing(), ""
        self.drafts.clear()
        self.ground = GroundDrawing.of(self.now.ground, self.size)
        self.changed()

    def _take_draft(self) -> None:
        """The rule of the selected shape, where it has not been looked at before."""
        shape = self.drawing.current
        if shape is not None and shape.id not in self.drafts:
            self.drafts[shape.id] = draft_for(shape, self.now)

    def _new_draft(self, shape: Shape, kind: str) -> RuleDraft:
        """A draft for a shape, under a name that no other rule has."""
        taken = {one.name for key, one in self.drafts.items() if one is not None and key != shape.id}
        return new_draft(shape, kind, self.now, taken)

    # --- what is proposed --------------------------------------------------------------------------------

    def proposal(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Zones and rules as merge patches."""
        return changes(self.drawing, self.drafts, self.now)

    def problem(self) -> str | None:
        """Why the proposal can't be sent, in English; None where it can."""
        if problems := self.drawing.problems():
            return next(iter(problems.values()))
        for draft in self.drafts.values():
            if draft is not None and (found := draft.problem(self.now.rule_names)) is not None:
                return found
        zones, rules = self.proposal()
        if not zones and not rules:
            return "nothing is changed"
        for key in self.drawing.changed_ids():
            line = self.drawing.shapes.get(key)
            if line is not None and line.kind == "line" and self.drafts.get(key, self) is None:
                return "a line needs a rule: choose one"
        return None

    def fit(self) -> Fit | str:
        """The fit of the surveyed points, or why there is none."""
        try:
            return self.ground.fit()
        except ValueError as error:
            return str(error)

    def limits(self) -> list[ViewLimit] | None:
        """What the default model can't see in the selected zone; None where the view is not surveyed."""
        shape, draft = self.drawing.current, self.draft
        if shape is None or shape.kind != "zone" or not shape.closed:
            return []
        labels = draft.labels() if draft is not None else ["person"]
        return zone_limits(self.now, self.ground, shape.corners, labels, self.size)

    # --- what is seen ------------------------------------------------------------------------------------

    def picture(self, t: Translate) -> dict[str, Any]:
        """``drawing`` of the picture element."""
        if self.task == "ground":
            return self._ground_picture()
        problems = self.drawing.problems()
        changed = set(self.drawing.changed_ids())
        mode = "draw" if self.drawing.is_drawing else "edit" if self.may_draw else "view"
        return {
            "mode": mode,
            "corner": self.drawing.corner,
            "shapes": [
                self._shape(one, problems.get(one.id), one.id in changed, t)
                for one in self.drawing.shapes.values()
            ],
        }

    def _shape(self, one: Shape, problem: str | None, changed: bool, t: Translate) -> dict[str, Any]:
        selected = one.id == self.drawing.selected
        wrong = problem is not None and one.closed
        return {
            "id": one.id, "name": one.name, "kind": one.kind, "closed": one.closed, "changed": changed,
            "selected": selected, "problem": wrong, "corners": [list(corner) for corner in one.corners],
            "label": f"{one.name}: {t(problem)}" if wrong and problem else one.name,
        }  # fmt: skip

    def _ground_picture(self) -> dict[str, Any]:
        fit = self.fit()
        residuals = fit.residuals if isinstance(fit, Fit) else {}
        points = []
        for index, one in enumerate(self.ground.points):
            found = residuals.get(index)
            off = "" if found is None else f" {found.px:.1f} px"
            points.append(
                {
                    "n": index + 1, "x": one.x, "y": one.y, "selected": index == self.ground.selected,
                    "text": f"{index + 1}{off}" if one.is_whole else f"{index + 1} ?",
                    "fitted": list(found.fitted) if found is not None and found.fitted else None,
                }
            )  # fmt: skip
        return {
            "mode": "point",
            "points": points,
            "horizon": [list(end) for end in fit.horizon] if isinstance(fit, Fit) and fit.horizon else None,
            "grid": [[list(point) for point in line] for line in fit.grid] if isinstance(fit, Fit) else [],
        }
