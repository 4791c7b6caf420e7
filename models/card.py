"""A model's card: where it comes from, under which licence, what goes in, and how well it was seen to do."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.detection import Detect
from models.labels import ALLOWED, HARMLESS, plain
from models.proof import Proof
from models.session import Loaded, Provider, Session, open_session

IDENTIFYING = re.compile(
    r"(?<![a-z])(faces?|facial|embeddings?|re-?id|gait|iris|plate.?(text|number)|ocr|voice|speaker|emotion"
    r"|ethnic\w*|race|gender|age.?group|arcface|facenet|osnet|lprnet|landmarks?)(?![a-z])",
    re.IGNORECASE,
)
"""Names of what identifies or sorts people. A network or an output of such a name is refused: there is no
code path for it. Labels are held to a list of things instead (`models.labels`)."""


class Input(BaseModel):
    """The picture that the network takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    resize: Literal["letterbox", "stretch"]


class Card(BaseModel):
    """What every card says; a format adds how the outputs are read (`models.Format` lists them)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    aliases: tuple[str, ...] = ()
    weights: Path
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: str
    licence: str
    input: Input
    labels: tuple[str, ...] = Field(min_length=1)
    people: tuple[str, ...] = ()
    """Those of its labels that mean people, where their names don't tell, such as [cyclist]."""
    accuracy: dict[str, Any] = Field(default_factory=dict)
    latency: dict[str, Any] = Field(default_factory=dict)
    """Measured, by machine; milliseconds on one thread."""
    proof: Proof | None = None
    providers: tuple[Provider, ...] = ("cpu",)
    """Where it shall run, the first that this machine has."""
    score: float = Field(default=0.4, ge=0, le=1)
    """What is less sure than this is left out."""

    @field_validator("labels")
    @classmethod
    def _nobody_identified(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if (word := plain(label)) not in ALLOWED:
                near = difflib.get_close_matches(word, sorted(ALLOWED), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"the label {label[:60]!r} is not on the list of things in models/labels.py{hint}"
                    " (ringpost runs no model that identifies or sorts people)"
                )
        return labels

    @model_validator(mode="after")
    def _people_are_labels(self) -> Self:
        if unknown := sorted(set(self.people) - set(self.labels)):
            raise ValueError(f"people: {', '.join(unknown)} is none of its labels")
        if things := sorted(one for one in self.people if plain(one) in HARMLESS):
            raise ValueError(f"people: {', '.join(things)} is a thing, in whose box nobody is covered")
        return self

    @field_validator("name")
    @classmethod
    def _nobody_recognised(cls, name: str) -> str:
        if IDENTIFYING.search(name):
            raise ValueError(f"{name!r} identifies or sorts people: ringpost does not run such a model")
        return name

    def at(self, score: float) -> "Card":
        """The same detector with another threshold."""
        return self.model_copy(update={"score": score})

    def on(self, providers: tuple[Provider, ...]) -> "Card":
        """The same detector elsewhere."""
        return self.model_copy(update={"providers": providers})

    def open(self) -> Session:
        """The network. ValueError where it is damaged, another, or gives what identifies people."""
        sizes = {"H": self.input.height, "W": self.input.width}
        session = open_session(self.weights, self.sha256, providers=self.providers, sizes=sizes)
        for name in session.outputs:
            if IDENTIFYING.search(name):
                raise ValueError(
                    f"{self.name}: the output {name!r} identifies or sorts people: ringpost does not run it"
                )
        return session

    def proven(self, detect: Detect, prove: Callable[[], None], session: Session) -> Loaded:
        """``detect``, warm, once ``prove`` and the card's own proof hold. ValueError names the model."""
        try:
            prove()
            if self.proof is not None:
                self.proof.check(detect, self.score)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{self.name}: {error}") from error
        return Loaded(detect, session)

    def load(self) -> Loaded:
        """Reads the weights; each format does it in its way. OSError or ValueError says what is wrong."""
        raise NotImplementedError(f"{self.name} has no format")
