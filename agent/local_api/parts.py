"""What the local socket needs of the agent, and the words of its methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from agent.audit.silent import Audit
from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.inbound import Inbound
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """The running parts. ``running``: the configuration that runs; ``refresh`` updates troubles."""

    folder: Path
    root: str
    device_key: str
    deployment: Deployment
    outbox: Outbox
    pipeline: Pipeline
    inbound: Inbound
    link: Link
    audit: Audit
    running: Callable[[], Config]
    rescue_mode: Callable[[], Mapping[str, Any]]
    refresh: Callable[[], None]


class Peer(NamedTuple):
    """The process at the other end."""

    pid: int
    uid: int


class RequestError(ValueError):
    """A request that is refused, in one line."""


class Answer(NamedTuple):
    """A result or an event, and its raw bytes."""

    fields: Mapping[str, Any]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    peer: Peer
    params: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""

    def text(self, name: str, most: int = 128) -> str:
        """A text of the parameters. RequestError where it is missing, or longer than ``most``."""
        value = self.params.get(name)
        if not isinstance(value, str) or not value or len(value) > most:
            raise RequestError(f"{name}: a text of 1 to {most} characters is needed")
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number of the parameters, cut to its limits. RequestError where it is none."""
        value = self.params.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:  # noqa: PLR0124  NaN
            raise RequestError(f"{name}: a number from {least:g} to {most:g} is needed")
        return float(min(max(value, least), most))
