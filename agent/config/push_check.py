"""Checks a pushed configuration before it is tried: revision, hash, content, and what a push may change."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from agent.config.addresses import named_files
from agent.config.ledger import MAX_REVISION_STEP, Ledger, PushResult
from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.push_policy import policy_violations
from agent.config.secret_policy import secret_violations
from agent.domain.yaml_loader import BadConfig, Problem
from agent.runtime.native_calls import within
from agent.trust.changes import Change
from agent.trust.refusal import OrderRefused

CHECK_WITHIN_S = 10.0
"""A push is answered within this time, whatever it contains."""
MAX_PATH, MAX_MESSAGE = 200, 500
"""Characters of one error in a result: it quotes the push, which may be 256 KiB."""


class Desired(BaseModel):
    """``config/desired``: the configuration that the centre wants. Unknown fields are ignored."""

    revision: int = Field(ge=1, lt=2**53)
    base_revision: int | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    body: str
    confirm_within_s: float = Field(default=60, ge=2, le=3600)


async def check_push(
    desired: Desired,
    ledger: Ledger,
    running: Config,
    local: Callable[[], Config],
    base: Path,
    authorize: Callable[[Sequence[Change]], None],
) -> Config:
    """The pushed configuration; BadConfig lists every error.

    ``running`` is the configuration in force, ``local`` gives the one of the file at the device, whose paths
    start at ``base``. ``authorize`` raises OrderRefused where the signatures of the push do not suffice for
    its changes. Runs on a thread: a large push takes seconds, and a hanging disk any time.
    """
    try:
        check = partial(_check, desired, ledger, running, local, base)
        config, changed = await within(CHECK_WITHIN_S, check, "a push")
        authorize(changed)
        return config
    except OrderRefused as error:
        raise _refusal(error.path, error.reason) from error
    except TimeoutError as error:
        message = f"took longer than {CHECK_WITHIN_S:g} s to read and check"
        raise BadConfig([Problem(1, "", message)], "push") from error


def _check(
    desired: Desired, ledger: Ledger, running: Config, local_config: Callable[[], Config], base: Path
) -> tuple[Config, list[Change]]:
    _check_envelope(desired, ledger)
    local = local_config()
    allowed = frozenset((*named_files(running), *named_files(local)))
    config = parse(desired.body, name=f"revision {desired.revision}", base=base, only=allowed)
    if config.device != running.device:
        raise _refusal("device", f"is {config.device!r}, but this device is {running.device!r}")
    new = set(secret_violations(config, running, base))  # the configuration in force uses the others already
    errors = [Problem(1, *error) for error in secret_violations(config, local, base) if error in new]
    errors += [Problem(1, *error) for error in policy_violations(config, running, local)]
    if errors:
        raise BadConfig(errors, "push")
    return config, changes(config, running, local)


def _check_envelope(desired: Desired, ledger: Ledger) -> None:
    """BadConfig where the revision, the base revision or the hash does not fit."""
    revision, highest = desired.revision, ledger.highest_revision
    if revision <= highest:
        raise _refusal("revision", f"{revision} is not newer than {highest}; the next is {highest + 1}")
    if revision > highest + MAX_REVISION_STEP:
        raise _refusal("revision", f"{revision} is far above {highest}; the next is {highest + 1}")
    active = ledger.active.revision or 0
    if desired.base_revision is not None and desired.base_revision != active:
        message = f"was made for revision {desired.base_revision}, but {active} is in force"
        raise _refusal("base_revision", message)
    if digest(desired.body) != desired.sha256:
        raise _refusal("sha256", "does not match the body: damaged in transit, or made from another text")


def _refusal(path: str, message: str) -> BadConfig:
    return BadConfig([Problem(1, path, message)], "push")


def rejection(desired: Desired, error: BadConfig) -> PushResult:
    """The result of a push that was refused: the first 20 errors, each cut to a readable length."""
    errors: list[dict[str, Any]] = [
        {
            "path": _cut(problem.path, MAX_PATH),
            "message": _cut(problem.message, MAX_MESSAGE),
            "line": problem.line,
        }
        for problem in error.problems[:20]
    ]
    return PushResult(state="rejected", revision=desired.revision, sha256=desired.sha256, errors=errors)


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[:max_length]}…"
