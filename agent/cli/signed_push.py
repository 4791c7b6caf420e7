"""A push in a file, for signatures of several people: written with ``--prepare``, sent with ``--signed``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cli.pushed_change import PushedChange
from agent.cli.rollout_plan import DeviceProgress, RolloutState
from agent.cli.signing import DeskSigner, now_ms
from agent.config.merge_patch import canonical
from agent.runtime.sanitize import json_object
from agent.trust.dsse import MAX_BYTES, parse
from agent.trust.order import peek_body, sign_order
from firmware_bridge.regular_files import read_regular


def prepared_push(
    signer: DeskSigner, device: str, desired: Mapping[str, Any], cosigners: Sequence[str]
) -> bytes:
    """The envelope of a push that ``cosigners``, by key id, will sign too: each has its counter in it."""
    counters = signer.next_counters() | {key_id: now_ms() for key_id in cosigners}
    return sign_order("push", device, desired, signer.keys, counters=counters)


def read_signed_push(file: Path, devices: Sequence[str], root: str) -> tuple[RolloutState, bytes]:
    """The plan of a signed push, and its envelope. OSError; ValueError where it is none for ``devices``."""
    envelope = read_regular(file, MAX_BYTES)
    try:
        payload = json_object(parse(envelope).payload) or {}
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    body, device = peek_body(envelope), payload.get("device")
    text, patch, revision = body.get("body"), body.get("patch"), body.get("revision")
    if not isinstance(device, str) or not isinstance(revision, int) or not (text or patch):
        raise ValueError(f"{file}: no push to a device; write one with ringpost config push --prepare")
    if list(devices) not in ([], [device]):
        raise ValueError(f"{file}: was signed for {device}, not for {', '.join(devices)}")
    base, confirm_s = body.get("base_revision"), body.get("confirm_within_s", 60)
    state = RolloutState(
        root=root,
        name=str(file),
        text=text if isinstance(text, str) else canonical(patch or {}),
        patch=patch if isinstance(patch, dict) else None,
        waves="100%",
        pause_s=0.0,
        confirm_within_s=float(confirm_s),
        healthy_within_s=0.0,
        confirm="manual" if body.get("confirm") == "manual" else "auto",
        devices={
            device: DeviceProgress(
                wave=0, revision=revision, base_revision=base if isinstance(base, int) else None
            )
        },
    )
    change = PushedChange(state.name, state.text, state.patch)
    if body.get("sha256") != change.sha256:
        raise ValueError(f"{file}: its sha256 does not fit its content")
    return state, envelope
