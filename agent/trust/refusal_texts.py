"""Texts of refusals: who signed, and why no signature counts. Pure."""

from collections.abc import Iterable

from agent.trust.dsse import Signed
from agent.trust.order import Signer
from agent.trust.roles import Roles


def describe_signers(signers: Iterable[Signer]) -> str:
    """The keys with their roles on this device."""
    return "; ".join(
        f"key {signer.key_id} ({', '.join(sorted(signer.roles)) or 'no role here'})" for signer in signers
    )


def explain_no_signature(signed: Signed, roles: Roles) -> str:
    """Why no signature of an envelope counts: the key is unknown, or the bytes were changed."""
    known = [key_id for key_id, _ in signed.signatures if key_id in roles.keys]
    if known:
        return f"the signature of key {known[0]} does not match: damaged, or changed after signing"
    named = signed.signatures[0][0]
    shown = named if len(named) == 16 and named.isalnum() else "of its signature"
    return f"key {shown} is not in the roles document (version {roles.version}) of this device"
