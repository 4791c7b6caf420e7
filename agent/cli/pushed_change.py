"""What a technician pushes: a whole file or a merge patch, and where the device's errors are in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.loader import digest, parse
from agent.config.merge_patch import patch_digest, plain
from agent.domain.yaml_loader import BadConfig, Problem, line_of, load_yaml, read_text
from agent.runtime.sanitize import as_dict, as_list, printable


@dataclass(frozen=True, slots=True)
class PushedChange:
    """A configuration as text, or a merge patch (RFC 7396), and the file that it came from."""

    name: str
    """The technician's file, or ``--patch``."""
    text: str
    """The text of the file."""
    patch: Mapping[str, Any] | None = None

    @classmethod
    def whole(cls, file: Path) -> "PushedChange":
        """The configuration in a file, checked as far as that is possible here. OSError, BadConfig."""
        text = read_text(file)
        parse(text, name=str(file), base=file.resolve().parent)
        return cls(str(file), text)

    @classmethod
    def from_patch(cls, given: str) -> "PushedChange":
        """A merge patch: JSON in the argument itself, or a file of JSON or YAML. OSError, BadConfig."""
        inline = given.lstrip().startswith("{")
        name = "--patch" if inline else given
        text = given if inline else read_text(Path(given))
        patch = plain(load_yaml(text, name))
        if not patch:
            raise BadConfig([Problem(1, "", "the patch changes nothing")], name)
        return cls(name, text, patch)

    @property
    def sha256(self) -> str:
        """The hash that goes with the push, and by which its result is recognised."""
        return digest(self.text) if self.patch is None else patch_digest(self.patch)

    def fields(self) -> dict[str, Any]:
        """The part of ``config/desired`` that says what is wanted."""
        content = {"body": self.text} if self.patch is None else {"patch": dict(self.patch)}
        return {"sha256": self.sha256, **content}

    def device(self) -> str | None:
        """The device that the whole file is for; None for a patch."""
        if self.patch is not None:
            return None
        return str(load_yaml(self.text, self.name).get("device", ""))

    def error_lines(self, report: Mapping[str, Any]) -> list[str]:
        """The device's errors as ``FILE:LINE: path: message``, with the lines of the technician's file."""
        try:
            tree = load_yaml(self.text, self.name)
        except BadConfig:  # kept from an earlier version of this program
            tree = {}
        return [self._error_line(error, tree) for error in map(as_dict, as_list(report.get("errors")))]

    def _error_line(self, error: dict[str, Any], tree: Any) -> str:
        path = printable(error["path"]) if error.get("path") else ""
        steps = [int(step) if step.isdecimal() else step for step in path.split(".")]
        line = line_of(tree, steps) if path and _begins(tree, steps) else None
        if line is None and self.patch is None and isinstance(error.get("line"), int) and error["line"] > 0:
            line = error["line"]
        at = f"{self.name}:{line}:" if line is not None and self.name != "--patch" else f"{self.name}:"
        return " ".join(filter(None, (at, f"{path}:" if path else "", printable(error.get("message")))))


def _begins(tree: Any, steps: list[int | str]) -> bool:
    """Whether the first step of a path is in the file."""
    return isinstance(tree, dict) and steps[0] in tree
