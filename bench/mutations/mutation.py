"""What a mutation is, and the registry of all: the source is never changed, functions are wrapped."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

from agent.pipeline import Pipeline

Original = Callable[..., Any]


class Patch:
    """Wraps functions until `close`. ``effects``: how often the mutated code did something else."""

    def __init__(self) -> None:
        self.effects = 0
        self._stack = ExitStack()

    def wrap(self, owner: Any, name: str, mutated: Callable[..., Any]) -> None:
        """``owner.name`` becomes ``mutated(original, *args)``."""
        original = getattr(owner, name)

        def replacement(*args: Any, **kwargs: Any) -> Any:
            return mutated(original, *args, **kwargs)

        self._stack.enter_context(mock.patch.object(owner, name, replacement))

    def hit(self) -> None:
        self.effects += 1

    def close(self) -> None:
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Mutation:
    """``scenario``: the one that notices it."""

    name: str
    text: str
    scenario: str
    apply: Callable[[Patch], None]


MUTATIONS: dict[str, Mutation] = {}


def mutation(scenario: str, text: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def add(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTATIONS[apply.__name__] = Mutation(apply.__name__, text, scenario, apply)
        return apply

    return add


def on_alerts(patch: Patch, change: Callable[[Any], list[Any]]) -> None:
    """Each alert that is raised becomes those of ``change``."""

    def raise_alerts(original: Original, pipeline: Pipeline, alerts: Any, now_s: float) -> None:
        raised = list(alerts)
        changed = [other for alert in raised for other in change(alert)]
        if changed != raised:
            patch.hit()
        original(pipeline, changed, now_s)

    patch.wrap(Pipeline, "raise_alerts", raise_alerts)


def without_phase(patch: Patch, phase: str) -> None:
    on_alerts(patch, lambda alert: [] if alert.phase == phase else [alert])
