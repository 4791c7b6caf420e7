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

_WORD = (
    r"\w{0,40}"  # bounded, as all that follows: a text is from outside, and no pattern may take long on it
)
_KEYS = rf"pass{_WORD}|pwd|secret{_WORD}|token|key|credential{_WORD}|api_?key|user{_WORD}|login|auth{_WORD}"
_NAMED = rf"""["']?\b(?:\w{{1,40}}_)?(?:{_KEYS})["']?[ \t]{{0,40}}"""
_ENVIRONMENT = re.compile(r"(?i)pass|secret|token|(?:^|_)key(?:_|$)|credential")
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
_KEYED = re.compile(
    rf"""(?i)({_NAMED}(?::[ \t]{{0,40}}(?![\s\[{{|>])|=[ \t]{{0,40}}))({_QUOTED}|(?<==)[^\s,}}]+|[^\n,}}]+)"""
)
"""A scalar under a key that names a secret, in YAML, JSON or key=value."""
_BLOCK = re.compile(
    rf"(?im)^([ \t]{{0,80}})([-\w\"' ]{{0,80}}(?:{_KEYS})[\"']?[ \t]{{0,40}}:[ \t]{{0,40}})"
    r"[|>][-+0-9]{0,4}[ \t]{0,40}\n(?:\1[ \t]+.*\n?|[ \t]*\n)*"
)
"""A block of YAML under such a key."""
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,80}-----.*?(?:-----END [A-Z0-9 ]{1,80}-----|\Z)", re.DOTALL)
_LOGIN = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s\"']{0,300}@", re.IGNORECASE)
"""Greedy: a password may hold a slash or another "@"."""
_QUERY = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://[^\s\"'?]{0,300})\?[^\s\"',}]*", re.IGNORECASE)


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
