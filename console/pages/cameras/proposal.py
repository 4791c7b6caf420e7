"""What the page proposes: zones and rules, as a merge patch of the configuration in force. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.config.layers import tree_of
from agent.config.merge_patch import difference, patch_digest, same
from agent.domain.zones import Corner, foot_of
from agent.runtime.sanitize import as_dict
from console.agent_views import SeenObject
from console.pages.cameras.drawing import Drawing
from console.pages.cameras.rule_kinds import RULE_KINDS, RuleKind
from console.pages.cameras.shapes import NAME, Shape

HOURS = 24.0
"""`what_if` compares over so many hours."""


@dataclass(frozen=True, slots=True)
class CameraInForce:
    """The part of the configuration in force that is about one camera. Lines are those of its rules."""

    name: str
    zones: dict[str, list[list[float]]]
    lines: dict[str, list[list[float]]]
    rules: dict[str, dict[str, Any]]
    ground: dict[str, Any] | None
    place: tuple[float, float] | None = None
    """The surveyed position of the device."""
    mount: dict[str, Any] | None = None
    crop: tuple[float, float, float, float] | None = None
    detector: dict[str, Any] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    revision: int | None = None
    rule_names: frozenset[str] = frozenset()

    def drawing(self) -> Drawing:
        """Its shapes."""
        return Drawing.of(self.zones, self.lines)


def camera_in_force(text: str, name: str, revision: int | None = None) -> CameraInForce:
    """The camera ``name`` of a configuration. BadConfig where the text is none."""
    tree = tree_of(text, "the configuration in force")
    camera = as_dict(as_dict(tree.get("sources")).get(name))
    rules = {key: as_dict(rule) for key, rule in as_dict(tree.get("rules")).items()}
    own = {key: rule for key, rule in rules.items() if rule.get("camera") == name}
    lines = {key: rule["line"] for key, rule in own.items() if _is_line(rule.get("line"))}
    zones = {key: corners for key, corners in as_dict(camera.get("zones")).items() if _is_outline(corners)}
    ground, at = camera.get("ground"), as_dict(tree.get("place"))
    lat, lon = at.get("lat"), at.get("lon")
    return CameraInForce(
        name=name,
        zones=zones,
        lines=lines,
        rules=own,
        ground=ground if isinstance(ground, dict) else None,
        place=(lat, lon) if isinstance(lat, int | float) and isinstance(lon, int | float) else None,
        mount=as_dict(camera.get("mount")) or None,
        crop=_crop(camera.get("crop")),
        detector=as_dict(camera.get("detector")),
        text=text,
        revision=revision,
        rule_names=frozenset(rules),
    )


def _crop(value: object) -> tuple[float, float, float, float] | None:
    if isinstance(value, list) and len(value) == 4 and all(isinstance(one, int | float) for one in value):
        left, top, right, bottom = map(float, value)
        return (left, top, right, bottom) if left < right and top < bottom else None
    return None


def _is_outline(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 2 and all(isinstance(part, int | float) for part in one)
        for one in value
    )


def _is_line(value: object) -> bool:
    return _is_outline(value) and isinstance(value, list) and len(value) == 2


@dataclass(slots=True)
class RuleDraft:
    """A rule as the sliders have it. ``fields``: the settings that were set, as in the configuration; others
    keep what is in force, or the default of the kind."""

    name: str
    kind: str
    place: str
    """Name of the zone, or of the line's shape."""
    fields: dict[str, Any] = field(default_factory=dict)
    in_force: dict[str, Any] | None = None
    """The rule in force, where it changes one."""

    @property
    def of_kind(self) -> RuleKind:
        return RULE_KINDS[self.kind]

    def problem(self, taken: frozenset[str]) -> str | None:
        """Why this is no rule, or None."""
        if NAME.fullmatch(self.name) is None:
            return "a name has small letters a-z, digits, - and _, at most 32"
        if self.in_force is None and self.name in taken:
            return "this name is taken"
        if not self.labels():
            return "choose at least one label"
        return None

    def labels(self) -> list[str]:
        """The labels that it is about."""
        default: Sequence[str] = self.of_kind.labels
        return [str(label) for label in self.tree().get("labels", default)]

    def tree(self) -> dict[str, Any]:
        """The settings in force with the changed ones."""
        return {**(self.in_force or {}), **self.fields}

    def whole(self, camera: str, drawing: Drawing) -> dict[str, Any]:
        """The rule as in the configuration."""
        rule: dict[str, Any] = {"kind": self.kind, "camera": camera, **self.tree()}
        if self.of_kind.shape == "zone":
            rule["zone"] = self.place
        elif (line := drawing.shapes.get(f"line:{self.place}")) is not None:
            rule["line"] = [list(corner) for corner in line.corners]
        if self.in_force is None:
            rule.setdefault("labels", list(self.of_kind.labels))
            if self.kind == "count":
                rule.setdefault("more_than", 5)
        return rule

    def value(self, key: str) -> float:
        """The value of a setting by its key, in the unit of its slider."""
        one = next(setting for setting in self.of_kind.settings if setting.key == key)
        return one.value(self.tree())


def draft_for(shape: Shape, now: CameraInForce) -> RuleDraft | None:
    """The draft of the rule in force at a shape, the first of several; None where it has none."""
    for name, rule in now.rules.items():
        kind = RULE_KINDS.get(str(rule.get("kind")))
        at = rule.get("zone") if shape.kind == "zone" else name
        if kind is not None and kind.shape == shape.kind and at == shape.name:
            return RuleDraft(name, kind.kind, shape.name, in_force=rule)
    return None


def new_draft(shape: Shape, kind: str, now: CameraInForce, taken: Collection[str] = ()) -> RuleDraft:
    """A draft of a new rule at a shape. A line has the name of its rule."""
    first = name = shape.name if shape.kind == "line" else f"at-{shape.name}"[:29]
    number = 2
    while name in now.rule_names or name in taken:
        name, number = f"{first[:29]}-{number}", number + 1
    return RuleDraft(name, kind, shape.name)


def changes(
    drawing: Drawing, drafts: Mapping[str, RuleDraft | None], now: CameraInForce
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Zones and rules as merge patches. ``drafts``: the rule of a shape by its id; None: it has none.

    Lines belong to rules: a moved line changes its rule, and a rule goes with its zone or line.
    """
    zones = drawing.changed_zones()
    rules: dict[str, Any] = {}
    for name, rule in now.rules.items():
        kind = "line" if name in now.lines else "zone"
        key = f"{kind}:{name if kind == 'line' else rule.get('zone')}"
        shape, draft = drawing.shapes.get(key), drafts.get(key)
        if key not in drawing.kept:
            continue
        first = draft_for(drawing.kept[key], now)
        replaced = key in drafts and first is not None and first.name == name
        if shape is None or (replaced and (draft is None or draft.name != name)):
            rules[name] = None
        elif kind == "line" and shape != drawing.kept[key]:
            rules[name] = {"line": [list(corner) for corner in shape.corners]}
    for key, draft in drafts.items():
        if draft is None or key not in drawing.shapes:
            continue
        wanted = draft.whole(now.name, drawing)
        before = now.rules.get(draft.name)
        patch = wanted if before is None else difference(before, {**before, **wanted})
        if patch:
            rules[draft.name] = patch
    return zones, rules


def merge_patch(camera: str, zones: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch of a push."""
    patch: dict[str, Any] = {}
    if zones:
        patch["sources"] = {camera: {"zones": dict(zones)}}
    if rules:
        patch["rules"] = dict(rules)
    return patch


def push_fields(
    patch: Mapping[str, Any], confirm_within_s: float = 60.0, *, manual: bool = False
) -> dict[str, Any]:
    """The fields of ``config/desired`` beside the revisions; see `console.orders.OrderDesk.push`."""
    fields: dict[str, Any] = {
        "patch": dict(patch),
        "sha256": patch_digest(patch),
        "confirm_within_s": confirm_within_s,
    }
    return {**fields, "confirm": "manual"} if manual else fields


def what_if_fields(
    camera: str, zones: Mapping[str, Any], rules: Mapping[str, Any], hours: float = HOURS
) -> dict[str, Any]:
    """The fields of ``command/what_if``."""
    fields: dict[str, Any] = {"rules": dict(rules), "hours": hours}
    return {**fields, "camera": camera, "zones": dict(zones)} if zones else fields


def describe_changes(
    zones: Mapping[str, Any], rules: Mapping[str, Any], now: CameraInForce
) -> list[tuple[str, str, str]]:
    """Each change as what ("new", "changed", "removed"), whether "zone" or "rule", and its name."""
    found = []
    for kind, changed, before in (("zone", zones, now.zones), ("rule", rules, now.rules)):
        for name, value in changed.items():
            what = "removed" if value is None else "changed" if name in before else "new"
            found.append((what, kind, name))
    return found


def verdict(seen: SeenObject, draft: RuleDraft, drawing: Drawing) -> tuple[bool, str, dict[str, Any]]:
    """Whether the draft would count an object of this frame, and why not: a text with its values.

    How long it has been there only the rule itself knows: dwell and frames are not in it.
    """
    if seen["label"] not in draft.labels():
        return False, "{label} is not asked for", {"label": seen["label"]}
    least = draft.value("min_score")
    if seen["score"] < least:
        return False, "score {have} < {need}", {"have": f"{seen['score']:.2f}", "need": f"{least:.2f}"}
    box = seen["box"]
    tall, size = box[3] - box[1], draft.value("min_size")
    if tall < size:
        return False, "too small: {have} < {need}", {"have": f"{tall:.3f}", "need": f"{size:.3f}"}
    if draft.of_kind.shape == "zone":
        zone = drawing.shapes.get(f"zone:{draft.place}")
        if zone is not None and not _inside(box, zone.corners):
            return False, "foot point outside the zone", {}
    if not seen["sure"]:
        return False, "not certain yet: seen in too few frames", {}
    return True, "counts", {}


def _inside(box: Sequence[float], corners: Sequence[Corner]) -> bool:
    from agent.domain.geometry import inside

    left, top, right, bottom = box
    return len(corners) >= 3 and inside(foot_of((left, top, right, bottom)), corners)


def is_unchanged(zones: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Whether nothing is proposed."""
    return same(dict(zones), {}) and same(dict(rules), {})
