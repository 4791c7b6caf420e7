"""The text of a configuration as a device gives it, and texts without their secrets."""

import re

from agent.cli.command_request import describe, exit_code, final_result
from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner

SECRETS = re.compile(
    r"""(?P<before>(?:(?:^|[\s{,"'])[\w-]*(?:password|passphrase|secret|token)[\w-]*["']?\s*:\s*)"""
    r"""|(?:[a-z][a-z0-9+.-]*://[^\s:/@"']*:))(?P<secret>[^\s{},@/#][^\s,}@/#]*)""",
    re.IGNORECASE | re.MULTILINE,
)
"""The value of a key that names a secret, and the password in a url. A mapping is none: it names a file."""
HIDDEN, CHANGED = "•••", "••• (changed)"


class RefusedError(Exception):
    """The device refuses; the text says so in one line, and ``exit_code`` goes with it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = code


async def configuration_text(link: FleetLink, signer: OrderSigner, device: str, revision: int | None) -> str:
    """The text of a revision, or of the configuration in force. RefusedError, NoAnswerError, OSError."""
    fields = {} if revision is None else {"revision": revision}
    result = await final_result(link, signer, device, "config_get", fields)
    text = result.get("text")
    if result.get("state") != "succeeded" or not isinstance(text, str):
        raise RefusedError(describe(result), exit_code(result) or 1)
    return text


def mask_secrets(old: str, new: str) -> tuple[str, str]:
    """Both texts without secrets; one that is not in the other text counts as changed."""
    known = {found["secret"] for found in SECRETS.finditer(old)}

    def mask(found: re.Match[str]) -> str:
        return found["before"] + (HIDDEN if found["secret"] in known else CHANGED)

    return SECRETS.sub(mask, old), SECRETS.sub(mask, new)
