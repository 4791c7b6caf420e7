"""Removes secrets from texts that leave the device for support."""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from firmware_bridge.secret import Secret

BLANK = "[removed]"
LEAST_LENGTH = 4
"""A shorter secret is removed where it stands under its key; elsewhere it would remove half of the text."""

_KEYS = r"pass\w*|pwd|secret\w*|token|key|credential\w*|rescue_key|signing_key|api_?key|user\w*|login|auth\w*"
_ENVIRONMENT = re.compile(r"(?i)pass|secret|token|(?:^|_)key(?:_|$)|credential")
_KEYED = re.compile(
    rf"""(?im)(["']?\b(?:\w+_)?(?:{_KEYS})["']?\s*[:=]\s*)(?!\s*[\[{{|>]|\s*$)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,}}]+)"""
)
"""A scalar under a key that names a secret, in YAML, JSON or key=value."""
_BLOCK = re.compile(
    rf"(?im)^([ \t]*)([-\w\"' ]*(?:{_KEYS})[\"']?\s*:\s*)[|>][-+0-9]*[ \t]*\n(?:\1[ \t]+.*\n?|[ \t]*\n)*"
)
"""A block of YAML under such a key."""
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_LOGIN = re.compile(r"(\w+://)[^/\s\"'@]*(?:@[^/\s\"'@]*)*@")
_QUERY = re.compile(r"(\w+://[^\s\"'?]*)\?[^\s\"',}]*")


@dataclass(frozen=True)
class SecretFilter:
    """``known``: the values of all secrets of the configuration that can be read, the longest first."""

    known: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[Secret]) -> Self:
        """Those of ``secrets`` that can be read, and those of the environment."""
        found = {value for name, value in os.environ.items() if _ENVIRONMENT.search(name)}
        for secret in secrets:
            with suppress(OSError, ValueError):
                found.add(secret.read())
        return cls(tuple(sorted(_spellings(found), key=len, reverse=True)))

    def clean(self, text: str) -> str:
        """``text`` without known secrets, keys in PEM form, logins and queries of URLs, and values under keys
        that name secrets."""
        for secret in self.known:
            text = text.replace(secret, BLANK)
        text = _PEM.sub(BLANK, text)
        text = _LOGIN.sub(rf"\1{BLANK}@", text)
        text = _QUERY.sub(rf"\1?{BLANK}", text)
        text = _BLOCK.sub(rf"\1\2{BLANK}\n", text)
        return _KEYED.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    quote_mark = '"' if found[2].startswith('"') else ""
    return f"{found[1]}{quote_mark}{BLANK}{quote_mark}"


def _spellings(secrets: Iterable[str]) -> set[str]:
    """Each secret, each of its lines, and both as they stand in URLs and JSON."""
    found: set[str] = set()
    for secret in secrets:
        for text in (secret, *secret.splitlines()):
            stripped = text.strip()
            if len(stripped) >= LEAST_LENGTH:
                found |= {stripped, quote(stripped, safe=""), json.dumps(stripped)[1:-1]}
    return found
