"""What is in force at the device, as a base for a change: text, hash, revision, folder of its file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.cli.revisions import active_revision
from agent.config.addresses import named_files
from agent.config.loader import digest, folder_beside, parse
from agent.config.merge_patch import Tree, plain
from agent.config.model import Config
from agent.config.secret_filter import BLANK
from agent.domain.yaml_loader import BadConfig, load_yaml
from console.agent_views import ConfigView, Hello


@dataclass(frozen=True)
class InForce:
    """The configuration in force, when somebody began to edit it."""

    device: str
    text: str
    sha256: str
    revision: int | None
    base_revision: int | None
    folder: Path
    """Where relative paths begin."""
    file_text: str | None = None
    reported: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, view: ConfigView, hello: Hello) -> "InForce":
        """As the agent shows it."""
        reported, file = view["reported"], hello["config_file"]
        return cls(
            device=hello["device"],
            text=view["text"],
            sha256=view["sha256"],
            revision=view["revision"],
            base_revision=active_revision(reported),
            folder=Path.cwd() if file is None else folder_beside(Path(file)),
            file_text=view["file_text"],
            reported=reported,
        )

    @property
    def is_whole(self) -> bool:
        """Whether ``text`` is the text itself, and no secret was removed from it for the way to this page."""
        return digest(self.text) == self.sha256

    def tree(self) -> Tree:
        """The plain tree; empty where the text can't be read."""
        return tree_of(self.text)

    def config(self) -> Config | None:
        """The configuration that runs; None where it can't be read here."""
        return _parsed(self.text, self.folder)

    def local_config(self) -> Config | None:
        """The file at the device; None where it can't be read here."""
        return None if self.file_text is None else _parsed(self.file_text, self.folder)

    def named_files(self) -> frozenset[Path]:
        """The files that a push may name wherever they are."""
        known = [config for config in (self.config(), self.local_config()) if config is not None]
        return frozenset(file for config in known for file in named_files(config))


def tree_of(text: str) -> Tree:
    """The plain tree of a text; empty where it can't be read."""
    try:
        tree: Tree = plain(load_yaml(text, ""))
    except BadConfig:
        return {}
    return tree


def has_blank(value: Any) -> bool:
    """Whether a removed secret stands anywhere in ``value``."""
    if isinstance(value, dict):
        return any(map(has_blank, value.values()))
    if isinstance(value, list):
        return any(map(has_blank, value)) or value == [BLANK.strip("[]")]
    return isinstance(value, str) and BLANK in value


def _parsed(text: str, folder: Path) -> Config | None:
    try:
        return parse(text, name="", base=folder, ran_before=True)
    except (BadConfig, OSError):
        return None
