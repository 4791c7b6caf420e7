"""The text of a configuration as a device gives it, and texts without their secrets."""

import re

from agent.cli.command_request import (
    FINAL_STATES,
    NoAnswerError,
    Picture,
    answers,
    describe,
    exit_code,
)
from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner

SECRETS = re.compile(
    r"""(?:(?<=[\s{,"'])|^)[\w-]*(?:password|passphrase|secret|token)[\w-]*["']?\s*:\s*"""
    r"""(?P<value>[^\s{},#][^\s,}#]*)"""
    r"""|[a-z][a-z0-9+.-]*://[^\s:/@"']*:(?P<password>[^\s/@"']+)(?=@)""",
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
    parts: dict[int, str] = {}
    async for answer in answers(link, signer, device, "config_get", fields):
        if isinstance(answer, Picture):
            continue
        number, text = answer.get("part", 1), answer.get("text")
        if isinstance(number, int) and isinstance(text, str):
            parts[number] = text
        if str(answer.get("state")) not in FINAL_STATES:
            continue
        if answer["state"] != "succeeded":
            raise RefusedError(describe(answer), exit_code(answer))
        if sorted(parts) != list(range(1, 1 + int(number if isinstance(number, int) else 0))):
            raise NoAnswerError(f"a part of the text of {device} is missing; try again")
        return "".join(parts[number] for number in sorted(parts))
    raise NoAnswerError(f"no answer from {device}; check its name and its connection")


def mask_secrets(old: str, new: str) -> tuple[str, str]:
    """Both texts without secrets; one that is not in the other text counts as changed."""
    known = {_secret(found) for found in SECRETS.finditer(old)}

    def mask(found: re.Match[str]) -> str:
        return found[0][: -len(_secret(found))] + (HIDDEN if _secret(found) in known else CHANGED)

    return SECRETS.sub(mask, old), SECRETS.sub(mask, new)


def _secret(found: re.Match[str]) -> str:
    """The secret at the end of a match."""
    return found["value"] or found["password"]
