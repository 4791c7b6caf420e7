"""Layers of a configuration: the local file, the patches of the groups of this device, and its own. Pure.

The more specific layer wins: all, domain, ring, kind, group, device. A group's push is that group's whole
layer: it replaces the one before, so that a device which was offline meanwhile ends up with the same.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.config.merge_patch import Tree, combined, difference, merged, plain, same
from agent.config.migrations import migrate
from agent.domain.yaml_loader import BadConfig, Problem, load_yaml
from agent.trust.order import GROUP

DEVICE = "device"
"""The layer of this device alone, in `Layers`; the others have the target of their group."""
LINE_BREAKS = frozenset("\x85\u2028\u2029\ufeff")
MEMBERSHIP = ("device", "schema_version", "kind", "place.ring", "place.domain", "groups")
"""What a group's push may not change: which groups the device is in."""


class Layer(BaseModel):
    """One layer in force; without ``patch`` the device was sent a whole document, and that runs as it is."""

    model_config = ConfigDict(frozen=True)

    revision: int
    sha256: str
    patch: dict[str, Any] | None = None


def tree_of(text: str, name: str = "") -> Tree:
    """The plain tree of a configuration, in the present schema version. BadConfig."""
    loaded = load_yaml(text, name)
    migrate(loaded, name)
    tree: Tree = plain(loaded)
    return tree


def text_of(tree: Tree) -> str:
    """A tree as YAML. BadConfig where it has a value that YAML can't hold."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    def dump(*, allow_unicode: bool) -> str:
        yaml, stream = YAML(), StringIO()
        yaml.width, yaml.allow_unicode = 110, allow_unicode
        yaml.dump(tree, stream)
        return stream.getvalue()

    try:
        text = dump(allow_unicode=True)
        text.encode()
        if LINE_BREAKS.intersection(text):  # YAML folds them
            text = dump(allow_unicode=False)
    except (YAMLError, ValueError) as error:
        raise BadConfig([Problem(1, "", "has a value that can't be written as YAML")], "push") from error
    return text


def group_targets(tree: Tree) -> list[str]:
    """The groups of a tree that is not validated yet, as targets, the most general first."""
    found, groups, kind = tree.get("place"), tree.get("groups"), tree.get("kind")
    place = found if isinstance(found, dict) else {}
    named = groups if isinstance(groups, list) else []
    general = (
        "all",
        f"domain.{place.get('domain')}",
        f"ring.{place.get('ring')}",
        f"kind.{kind}",
    )
    return [GROUP + name for name in (*general, *(f"group.{name}" for name in named))]


def composed(local: Tree, layers: Mapping[str, Layer]) -> Tree:
    """The local file under its layers, each of which has a patch."""
    own = layers[DEVICE].patch or {} if DEVICE in layers else {}
    tree: Tree = merged(below_device(local, layers, group_targets(merged(local, own))), own)
    return tree


def below_device(local: Tree, layers: Mapping[str, Layer], targets: Sequence[str]) -> Tree:
    """The local file under the layers of the groups ``targets``."""
    tree = local
    for target in targets:
        if target in layers:
            tree = merged(tree, layers[target].patch or {})
    return tree


def with_device_patch(
    local: Tree, present: Tree, layers: Mapping[str, Layer], patch: Tree
) -> tuple[Tree, Tree]:
    """The tree after a patch of the device, and the patch of its layer from then on."""
    wanted: Tree = merged(present, patch)
    below = below_device(local, layers, group_targets(wanted))
    before = layers.get(DEVICE)
    if before is not None and before.patch is not None:
        both = combined(before.patch, patch)
        if same(merged(below, both), wanted):
            return wanted, both
    elif before is None and same(merged(below, patch), wanted):
        return wanted, patch
    return wanted, difference(below, wanted)


def group_patch_errors(patch: Tree) -> list[str]:
    """The paths by which a group's patch would change the groups of the device."""
    return [path for path in MEMBERSHIP if _touches(patch, path.split("."))]


def _touches(patch: Any, path: Sequence[str]) -> bool:
    """Whether a patch sets or removes the value at ``path``, or a part that holds it."""
    for step in path:
        if not isinstance(patch, Mapping):
            return True
        if step not in patch:
            return False
        patch = patch[step]
    return True


def in_force(targets: Sequence[str], layers: Mapping[str, Layer]) -> list[dict[str, Any]]:
    """The layers in force, the most general first, for ``config/reported``."""
    return [
        {"target": target, "revision": layers[target].revision, "sha256": layers[target].sha256}
        for target in (*targets, DEVICE)
        if target in layers
    ]
