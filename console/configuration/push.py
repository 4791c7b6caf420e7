"""The push of a text: the whole text, so that comments stay, or a merge patch where secrets were removed."""

from typing import Any

from agent.config.loader import digest
from agent.config.merge_patch import Tree, difference, patch_digest
from console.configuration.checks import Checked
from console.configuration.in_force import InForce, has_blank

TRIAL_S = 60.0


class PushError(ValueError):
    """A text can't be pushed; one line says why."""


def push_fields(
    in_force: InForce,
    checked: Checked,
    *,
    validate_only: bool = False,
    confirm_within_s: float = TRIAL_S,
    manual: bool = False,
) -> dict[str, Any]:
    """The body of ``config/desired``. PushError.

    It names what it was made from: where something else is in force by then, the device refuses it. Its
    revision is left to `console.orders.OrderDesk`.
    """
    if not checked.is_readable or checked.troubles:
        raise PushError("the text has mistakes: mend them first")
    fields: dict[str, Any] = {"base_sha256": in_force.sha256}
    if in_force.base_revision is not None:
        fields["base_revision"] = in_force.base_revision
    if in_force.is_whole:
        fields |= {"sha256": digest(checked.text), "body": checked.text}
    else:
        patch = _patch(in_force, checked.tree)
        fields |= {"sha256": patch_digest(patch), "patch": patch}
    fields["confirm_within_s"] = confirm_within_s
    if validate_only:
        fields["validate_only"] = True
    if manual:
        fields["confirm"] = "manual"
    return fields


def same_fields(in_force: InForce) -> dict[str, Any]:
    """A push of what is in force already: it ends a trial, as any newer push does. PushError."""
    if not in_force.is_whole:
        raise PushError("secrets were removed from the text: wait until it goes back by itself")
    fields: dict[str, Any] = {
        "base_sha256": in_force.sha256,
        "sha256": in_force.sha256,
        "body": in_force.text,
    }
    return fields | {"confirm_within_s": TRIAL_S}


def _patch(in_force: InForce, tree: Tree) -> Tree:
    """The merge patch to ``tree``; a secret that was removed on the way here is never in it."""
    patch = difference(in_force.tree(), tree)
    if not patch:
        raise PushError("nothing would change")
    if has_blank(patch):
        raise PushError("a removed secret stands in the change; write its reference: {file: …}")
    return patch
