"""Checks a push before it is tried: revision, hash, content, and what it may change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from agent.config.addresses import named_files
from agent.config.layers import (
    DEVICE,
    Layer,
    below_device,
    composed,
    group_patch_errors,
    group_targets,
    text_of,
    tree_of,
    with_device_patch,
)
from agent.config.ledger import MAX_REVISION_STEP, Ledger, PushResult, Version, group_of
from agent.config.loader import digest, parse
from agent.config.merge_patch import Tree, depth, difference, patch_digest
from agent.config.model import Config
from agent.config.push import Authorize, Push
from agent.config.push_changes import changes
from agent.config.push_policy import policy_violations
from agent.config.secret_policy import secret_violations
from agent.domain.yaml_loader import MAX_DEPTH, BadConfig, Problem
from agent.runtime.native_calls import within
from agent.trust.changes import Change
from agent.trust.refusal import OrderRefused

T = TypeVar("T")
CHECK_WITHIN_S = 10.0
"""A push is answered within this time, whatever it contains."""
MAX_PAYLOAD = 1024 * 1024
"""Bytes of a push; its text may have 256 KiB, and more where JSON has to escape it."""
MAX_PATH, MAX_MESSAGE = 200, 500
"""Characters of one error in a result: it quotes the push, which may be 256 KiB."""


class Desired(BaseModel):
    """``config/desired``: the configuration that the centre wants, as a whole document or as a merge patch
    (RFC 7396). Unknown fields are ignored.
    """

    revision: int = Field(ge=1, lt=2**53)
    base_revision: int | None = None
    base_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the text in force that the push was made from, so that no change of others is overwritten unseen."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of ``body``; it may be left out with ``patch``, see `agent.config.merge_patch.patch_digest`."""
    body: str | None = None
    patch: dict[str, Any] | None = None
    validate_only: bool = False
    confirm: Literal["auto", "manual"] = "auto"
    confirm_within_s: float = Field(default=60, ge=2, le=3600)

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.body is None) == (self.patch is None):
            raise ValueError("exactly one of body and patch must be given")
        if self.body is not None and not self.sha256:
            raise ValueError("sha256 of the body is required")
        if depth(self.patch) > MAX_DEPTH:
            raise ValueError(f"patch is nested deeper than {MAX_DEPTH}")
        return self

    def identity(self) -> str:
        """The sha256 that identifies the content."""
        return self.sha256 or patch_digest(self.patch or {})


def parse_desired(payload: bytes) -> Desired | list[dict[str, Any]]:
    """The push in a payload, or its errors as paths and messages."""
    if len(payload) > MAX_PAYLOAD:
        return [{"path": "push", "message": f"a push has at most {MAX_PAYLOAD // 1024} KiB"}]
    try:
        return Desired.model_validate_json(payload)
    except ValidationError as error:
        return [
            {
                "path": ".".join(map(str, detail["loc"]))[:MAX_PATH] or "push",
                "message": detail["msg"][:MAX_MESSAGE],
            }
            for detail in error.errors(include_url=False)[:20]
        ]


@dataclass(frozen=True, slots=True)
class Local:
    """The local file as it was at the start; where it was broken, its last valid version."""

    text: str
    config: Config


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that may be tried, and the version that it becomes."""

    config: Config
    version: Version


async def check_push(
    push: Push, desired: Desired, ledger: Ledger, running: Config, local: Callable[[], Local], base: Path
) -> Checked:
    """The pushed configuration; BadConfig lists every error.

    ``running`` is the configuration in force, ``local`` gives the file at the device, whose paths start at
    ``base``. Runs on a thread: a large push takes seconds, and a hanging disk any time.
    """

    def check() -> tuple[Checked, list[Change]]:
        _check_envelope(push, desired, ledger)
        own = local()
        text, layers = _compose(push, desired, ledger.active, own.text)
        config, changed = _check_content(text, f"revision {desired.revision}", running, own.config, base)
        version = Version(
            text=text,
            sha256=digest(text),
            source="push",
            revision=desired.revision,
            local_sha256=ledger.active.local_sha256,
            target=group_of(push.target),
            key_ids=push.key_ids,
            layers=layers,
        )
        return Checked(config, version), changed

    return await _authorized(check, push.authorize)


async def check_version(
    version: Version, authorize: Authorize, running: Config, local: Callable[[], Local], base: Path
) -> Config:
    """The configuration of an earlier version, under the same limits as a push of it."""

    def check() -> tuple[Config, list[Change]]:
        return _check_content(version.text, "rollback", running, local().config, base)

    return await _authorized(check, authorize)


async def _authorized(check: Callable[[], tuple[T, list[Change]]], authorize: Authorize) -> T:
    """The first of the results of ``check``, where its changes are allowed. BadConfig."""
    try:
        checked, changed = await within(CHECK_WITHIN_S, check, "a push")
        authorize(changed)
    except OrderRefused as error:
        raise _refusal(error.path, error.reason) from error
    except TimeoutError as error:
        message = f"took longer than {CHECK_WITHIN_S:g} s to read and check"
        raise BadConfig([Problem(1, "", message)], "push") from error
    return checked


def _check_content(
    text: str, name: str, running: Config, local: Config, base: Path
) -> tuple[Config, list[Change]]:
    """The configuration in a text, and its changes, where a push may lead to it at all. BadConfig."""
    allowed = frozenset((*named_files(running), *named_files(local)))
    config = parse(text, name=name, base=base, only=allowed)
    if config.device != running.device:
        raise _refusal("device", f"is {config.device!r}, but this device is {running.device!r}")
    new = set(secret_violations(config, running, base))  # the configuration in force uses the others already
    errors = [Problem(1, *error) for error in secret_violations(config, local, base) if error in new]
    errors += [Problem(1, *error) for error in policy_violations(config, running, local)]
    if errors:
        raise BadConfig(errors, "push")
    return config, changes(config, running, local)


def _compose(push: Push, desired: Desired, active: Version, local_text: str) -> tuple[str, dict[str, Layer]]:
    """The text that the push leads to, and its layers."""
    group, layers = group_of(push.target), active.all_layers()
    layer = Layer(revision=desired.revision, sha256=desired.identity())
    if desired.body is not None:
        if group is not None:
            raise _refusal("body", "a push to a group is a patch")
        return desired.body, {**layers, DEVICE: layer}
    patch, local, present = desired.patch or {}, tree_of(local_text), tree_of(active.text)
    if group is None:
        tree, own = with_device_patch(local, present, layers, patch)
        return text_of(tree), {**layers, DEVICE: layer.model_copy(update={"patch": own})}
    if errors := group_patch_errors(patch):
        raise _refusal(errors[0], "can't be changed by a push to a group: it says where the device belongs")
    layers = {**_with_patch(local, present, layers), group: layer.model_copy(update={"patch": patch})}
    return text_of(composed(local, layers)), layers


def _with_patch(local: Tree, present: Tree, layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The layers, where the device's has a patch also after a whole document."""
    own = layers.get(DEVICE)
    if own is None or own.patch is not None:
        return dict(layers)
    below = below_device(local, layers, group_targets(present))
    return {**layers, DEVICE: own.model_copy(update={"patch": difference(below, present)})}


def _check_envelope(push: Push, desired: Desired, ledger: Ledger) -> None:
    """BadConfig where the revision, the base revision or the hash does not fit."""
    group = group_of(push.target)
    revision, highest = desired.revision, ledger.highest(group)
    if revision <= highest:
        raise _refusal("revision", f"{revision} is not newer than {highest}; the next is {highest + 1}")
    if revision > highest + MAX_REVISION_STEP:
        raise _refusal("revision", f"{revision} is far above {highest}; the next is {highest + 1}")
    active = ledger.active.revision_of(group) or 0
    if desired.base_revision is not None and desired.base_revision != active:
        message = f"was made for revision {desired.base_revision}, but {active} is in force"
        raise _refusal("base_revision", message)
    if desired.base_sha256 not in (None, ledger.active.sha256):
        raise _refusal("base_sha256", "was made from another configuration than the one in force: look again")
    made = patch_digest(desired.patch or {}) if desired.body is None else digest(desired.body)
    if made != desired.identity():
        content = "patch" if desired.body is None else "body"
        raise _refusal(
            "sha256", f"does not match the {content}: damaged in transit, or made from another text"
        )


def _refusal(path: str, message: str) -> BadConfig:
    return BadConfig([Problem(1, path, message)], "push")


def rejection(push: Push, desired: Desired, error: BadConfig) -> PushResult:
    """The result of a push that was refused: the first 20 errors, each cut to a readable length."""
    whole = "body" if desired.patch is None else "patch"
    errors: list[dict[str, Any]] = [
        {
            "path": _cut(problem.path, MAX_PATH) or whole,
            "message": _cut(problem.message, MAX_MESSAGE),
            "line": problem.line,
        }
        for problem in error.problems[:20]
    ]
    return result_of(push, desired, "rejected", errors=errors)


def result_of(push: Push, desired: Desired, state: str, **more: Any) -> PushResult:
    """A result of a push, with what identifies it."""
    return PushResult.model_validate(
        {
            "state": state,
            "revision": desired.revision,
            "sha256": desired.identity(),
            "target": group_of(push.target),
            "key_ids": push.key_ids,
            **more,
        }
    )


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[:max_length]}…"
