"""Removes secrets from texts that leave the device for support."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from agent.cli.checks.configuration import LoadedConfig
from agent.cli.checks.secrets import secrets_of
from firmware_bridge.secret import Secret

BLANK = "[removed]"
MAX_REFERENCES = 256
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
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_REFERENCE = re.compile(r"\b(file|env)[\"']?\s*:\s*[\"']?([^\s\"',}]+)")
_LOGIN = re.compile(r"(\w+://)[^/\s\"'@]*(?:@[^/\s\"'@]*)*@")
_QUERY = re.compile(r"(\w+://[^\s\"'?]*)\?[^\s\"',}]*")


@dataclass(frozen=True)
class SecretFilter:
    """``known``: the values of all secrets of the configuration that can be read, the longest first."""

    known: tuple[str, ...]

    @classmethod
    def of(cls, loaded: LoadedConfig) -> Self:
        """The secrets that the configurations name, and those of the environment."""
        found: set[str] = set()
        named = [secret for config in (loaded.local, loaded.in_force) for _, secret in secrets_of(config, "")]
        for text in (loaded.text, loaded.ledger.active.text if loaded.ledger else ""):
            named += _references(text, loaded.file.resolve().parent)  # of a configuration that is not valid
        for secret in named:
            with suppress(OSError, ValueError):
                found.add(secret.read())
        found |= {value for name, value in os.environ.items() if _ENVIRONMENT.search(name)}
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


def without_comments(yaml: str) -> str:
    """A configuration without its comments: they may hold anything, such as an old password."""
    return _COMMENT.sub("", yaml)


def _references(text: str, base: Path) -> Iterator[Secret]:
    """Each ``file: …`` and ``env: …`` in a text, whatever it stands in."""
    for kind, name in _REFERENCE.findall(text)[:MAX_REFERENCES]:
        with suppress(ValueError):
            yield Secret.model_validate({kind: base / name if kind == "file" else name})


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
