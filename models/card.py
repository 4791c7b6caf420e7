"""A model's card: origin, licence, input, labels, and measured accuracy and latency."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.detection import Detect
from models.fit import input_size
from models.labels import ALLOWED, UNREDACTED_LABELS, plain
from models.proof import Proof
from models.pulled import weights_here
from models.session import MOST_BYTES, Loaded, Provider, Session, open_session

IDENTIFYING = re.compile(
    r"(?<![a-z])(faces?|facial|embeddings?|re-?id|gait|iris|plate.?(text|number)|ocr|voice|speaker|emotion"
    r"|ethnic\w*|race|gender|age.?group|arcface|facenet|osnet|lprnet|landmarks?)(?![a-z])",
    re.IGNORECASE,
)
"""Names of networks and outputs that identify or classify people. Such a network is refused: there is no
such code. Labels are checked against a list of things instead (`models.labels`)."""


class Input(BaseModel):
    """The network's input picture: of ``width`` x ``height``, or with ``by_aspect`` of that many pixels in
    the aspect of each picture, for networks whose dimensions are free.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    resize: Literal["letterbox", "stretch"]
    pad: int = Field(default=0, ge=0, le=255)
    """The grey value around a picture that does not fill the input, as in training."""
    by_aspect: bool = False
    invert: bool = False
    """Whether light and dark are exchanged first: for thermal cameras that show heat as white."""

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        """Width and height of the input for a picture of ``columns`` x ``rows``."""
        return (
            input_size(columns, rows, self.width * self.height)
            if self.by_aspect
            else (self.width, self.height)
        )

    def at(self, width: int, height: int) -> Self:
        """The same preparation at a fixed size."""
        return self.model_copy(update={"width": width, "height": height, "by_aspect": False})

    def __str__(self) -> str:
        kind = (
            f"area {self.width}x{self.height} by aspect" if self.by_aspect else f"{self.width}x{self.height}"
        )
        return f"{kind}, {self.resize}" + (
            (f", pad {self.pad}" if self.resize == "letterbox" else "")
            + (", inverted" if self.invert else "")
        )


class Card(BaseModel):
    """The fields of every card; a format adds how the outputs are decoded (`models.Format` lists the
    formats).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    aliases: tuple[str, ...] = ()
    weights: Path
    """The file of the network; `weights_file` finds it where it was pulled to, too."""
    url: str | None = Field(default=None, pattern=r"^(https|file)://")
    """The official address of the weights, for `ringpost models pull`."""
    size: int | None = Field(default=None, gt=0, le=MOST_BYTES)
    """Bytes of the file at ``url``."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: str
    licence: str
    input: Input
    labels: tuple[str, ...] = Field(min_length=1)
    people: tuple[str, ...] = ()
    """The labels that mean people, where their names don't show it, such as [cyclist]."""
    accuracy: dict[str, Any] = Field(default_factory=dict)
    latency: dict[str, Any] = Field(default_factory=dict)
    """Measured, by machine; milliseconds on one thread."""
    proof: Proof | None = None
    providers: tuple[Provider, ...] = ("cpu",)
    """Execution providers in order of preference: the first that this machine has is used."""
    score: float = Field(default=0.4, ge=0, le=1)
    """The confidence threshold."""

    @field_validator("labels")
    @classmethod
    def _nobody_identified(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if (word := plain(label)) not in ALLOWED:
                near = difflib.get_close_matches(word, sorted(ALLOWED), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"the label {label[:60]!r} is not on the list of things in models/labels.py{hint}"
                    " (ringpost runs no model that identifies or classifies people)"
                )
        return labels

    @model_validator(mode="after")
    def _people_are_labels(self) -> Self:
        if unknown := sorted(set(self.people) - set(self.labels)):
            raise ValueError(f"people: {', '.join(unknown)} is not among its labels")
        if things := sorted(one for one in self.people if plain(one) in UNREDACTED_LABELS):
            raise ValueError(f"people: {', '.join(things)} is a thing, whose box is not redacted")
        return self

    @field_validator("name")
    @classmethod
    def _nobody_recognised(cls, name: str) -> str:
        if IDENTIFYING.search(name):
            raise ValueError(f"{name!r} identifies or classifies people: ringpost does not run such a model")
        return name

    def at(self, score: float) -> "Card":
        """The same model with another threshold."""
        return self.model_copy(update={"score": score})

    def on(self, providers: tuple[Provider, ...]) -> "Card":
        """The same model on other providers."""
        return self.model_copy(update={"providers": providers})

    def weights_file(self) -> Path:
        """The file of the weights. FileNotFoundError with the remedy where they were never pulled."""
        here = weights_here(self.weights)
        if here is None and self.url is not None:
            raise FileNotFoundError(
                f"{self.name}: its weights are not here yet: ringpost models pull {self.name}"
            )
        return here or self.weights

    def open(self) -> Session:
        """The network. ValueError where it is damaged, another, or has outputs that identify people."""
        sizes = {"H": self.input.height, "W": self.input.width}
        session = open_session(
            self.weights_file(),
            self.sha256,
            providers=self.providers,
            sizes=sizes,
            free=self.input.by_aspect,
        )
        for name in session.outputs:
            if IDENTIFYING.search(name):
                raise ValueError(
                    f"{self.name}: the output {name!r} identifies or classifies people:"
                    " ringpost does not run it"
                )
        return session

    def input_on(self, session: Session) -> Input:
        """The input as ``session`` takes it: of one size where its provider needs that."""
        return self.input if session.free else self.input.at(self.input.width, self.input.height)

    def hold_to_free(self, shape: Sequence[object], sides: Sequence[object]) -> None:
        """ValueError where the picture of ``shape`` has fixed ``sides``, and the card says by aspect."""
        if any(isinstance(side, int) for side in sides):
            raise ValueError(
                f"{self.name}: input.by_aspect needs a network with free height and width;"
                f" this file takes a picture of {list(shape)}"
            )

    def proven(self, detect: Detect, prove: Callable[[], None], session: Session) -> Loaded:
        """``detect``, warmed up, once ``prove`` and the card's self-test succeed. ValueError names the
        model.
        """
        try:
            prove()
            if self.proof is not None:
                self.proof.check(detect, self.score)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{self.name}: {error}") from error
        return Loaded(detect, session, self.input_on(session).size)

    def load(self) -> Loaded:
        """Loads the weights; each format implements this. OSError or ValueError with the reason."""
        raise NotImplementedError(f"{self.name} has no format")
