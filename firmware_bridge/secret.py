"""Paths and secrets in a configuration: relative to its file, and never a secret inline."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator


def beside(path: Path, info: ValidationInfo) -> Path:
    """``path``, taken from the folder of the configuration (the validation context's ``base``)."""
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


NearPath = Annotated[Path, AfterValidator(beside)]
"""A path that, where it is relative, is relative to the file that names it."""


CREDENTIAL = r"^[^/]*[^/.][^/]*$"
"""A name, never a path; systemd takes any other."""


class Secret(BaseModel):
    """Where a secret is kept: a file, a systemd credential, or an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: NearPath | None = None
    credential: str | None = Field(default=None, pattern=CREDENTIAL)
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_inline(cls, value: Any) -> Any:
        if not isinstance(value, dict | Secret):
            raise ValueError(
                "a secret never stands in the configuration; write {file: …}, {credential: …} or {env: …}"
            )
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> "Secret":
        if sum(place is not None for place in (self.file, self.credential, self.env)) != 1:
            raise ValueError("name exactly one of file, credential and env")
        return self

    def path(self) -> Path:
        """The file that holds it. ValueError for ``env``; OSError where systemd gave no credentials."""
        if self.file is not None:
            return self.file
        if self.credential is not None:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if folder is None:
                raise FileNotFoundError(
                    f"credential {self.credential!r}: systemd gave none; the unit lacks LoadCredential="
                )
            return Path(folder) / self.credential
        raise ValueError("an environment variable is no file")

    def read(self) -> str:
        """The secret itself, without a closing line end. OSError where it is not there."""
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise FileNotFoundError(f"environment variable {self.env!r} is not set")
            return value
        return self.path().read_text().rstrip("\r\n")
