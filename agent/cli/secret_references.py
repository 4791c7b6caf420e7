"""The secrets that a configuration names, also one that is not valid."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.cli.checks.configuration import LoadedConfig
from agent.cli.checks.secrets import secrets_of
from agent.config.secret_filter import SecretFilter
from firmware_bridge.secret import Secret

MAX_REFERENCES = 256
_COMMENT = re.compile(r"(?m)(?:^|[ \t]+)#.*$")
_REFERENCE = re.compile(r"\b(file|env)[\"']?\s*:\s*[\"']?([^\s\"',}]+)")


def filter_of(loaded: LoadedConfig) -> SecretFilter:
    """A filter of the secrets that the configurations name, and of those of the environment."""
    named = [secret for config in (loaded.local, loaded.in_force) for _, secret in secrets_of(config, "")]
    for text in (loaded.text, loaded.ledger.active.text if loaded.ledger else ""):
        named += _references(text, loaded.file.resolve().parent)  # of a configuration that is not valid
    return SecretFilter.of(named)


def without_comments(yaml: str) -> str:
    """A configuration without its comments: they may hold anything, such as an old password."""
    return _COMMENT.sub("", yaml)


def _references(text: str, base: Path) -> Iterator[Secret]:
    """Each ``file: …`` and ``env: …`` in a text, whatever it stands in."""
    for kind, name in _REFERENCE.findall(text)[:MAX_REFERENCES]:
        with suppress(ValueError):
            yield Secret.model_validate({kind: base / name if kind == "file" else name})
