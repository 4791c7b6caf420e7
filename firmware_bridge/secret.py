"""Paths and secrets in a configuration: paths are relative to its file, and a secret is never inline.

A pushed configuration may name only files in the folder of the device's own configuration file, or files that
the device's own configuration names: the validation context lists these as ``only``.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from firmware_bridge.regular_files import KIB, read_regular

MOST_BYTES = 64 * KIB
"""The maximum size of a password or key."""


def anchored(path: Path, info: ValidationInfo) -> Path:
    """``path`` relative to the configuration's folder (the validation context's ``base``)."""
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


def beside(path: Path, info: ValidationInfo) -> Path:
    """``path`` relative to the configuration's folder (the validation context's ``base``).

    ValueError where ``only`` is given, and the file is neither in that folder nor listed in ``only``.
    """
    found, context = anchored(path, info), info.context or {}
    base, only = context.get("base", "."), context.get("only")
    if only is not None and found not in only and not within(found, Path(base)):
        raise ValueError("a push can name files in the folder of the file at the device only; edit it there")
    return found


def within(path: Path, folder: Path) -> bool:
    """Whether ``path`` lies below ``folder`` after resolving symbolic links."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError):
        return False


NearPath = Annotated[Path, AfterValidator(beside)]
"""A path that is relative to the file that names it."""
BoundPath = Annotated[Path, AfterValidator(anchored)]
"""The same for a path that the rules on pushes restrict further: a secret, the data folder."""


CREDENTIAL = r"^[^/]*[^/.][^/]*$"
"""A name, never a path: systemd accepts any other name."""


class Secret(BaseModel):
    """Where a secret is kept: a file, a systemd credential, or an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: BoundPath | None = None
    credential: str | None = Field(default=None, pattern=CREDENTIAL)
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_inline(cls, value: Any) -> Any:
        if not isinstance(value, dict | Secret):
            raise ValueError(
                "a secret is never written in the configuration; write {file: …}, {credential: …} or {env: …}"
            )
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> "Secret":
        if sum(place is not None for place in (self.file, self.credential, self.env)) != 1:
            raise ValueError("name exactly one of file, credential and env")
        return self

    def path(self) -> Path:
        """The file that holds the secret. ValueError for ``env``; OSError where systemd provided no
        credentials.
        """
        if self.file is not None:
            return self.file
        if self.credential is not None:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if folder is None:
                raise FileNotFoundError(
                    f"credential {self.credential!r}: systemd provided none; the unit lacks LoadCredential="
                )
            return Path(folder) / self.credential
        raise ValueError("an environment variable is not a file")

    def read(self) -> str:
        """The secret, without a trailing line end. OSError where it is missing or not a regular file."""
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise FileNotFoundError(f"environment variable {self.env!r} is not set")
            return value
        return read_regular(self.path(), MOST_BYTES).decode().rstrip("\r\n")
