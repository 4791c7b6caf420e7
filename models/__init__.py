"""Object detection: model cards, model formats, and the networks that they load.

Entry points: `find` (a name or a path to a `Card`), `Card.load` (a card to a detector: `Frame` in,
`Detection` tuple out), `tiles.tiled`. `Format` lists all kinds of network. A network runs only with the
sha256 of its card, only with labels from `labels.ALLOWED`, and only after its self-test. OSError means that
a file is missing or not regular, ValueError that a card or a network is invalid; both say what would be
right. A detector may be called from any thread. Read this first: `card.py`.
"""

import difflib
import functools
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from models.card import Card
from models.detr import Detr
from models.e2e import E2e
from models.nanodet import Nanodet
from models.paddle import Paddle
from models.regular import read_regular
from models.ssd import Ssd
from models.yolo import Yolo
from models.yolox import Yolox

Format = Annotated[E2e | Nanodet | Paddle | Yolox | Yolo | Detr | Ssd, Field(discriminator="format")]

CARDS = Path(__file__).parent / "cards"
MOST_BYTES, MOST_DEPTH = 256 * 1024, 16
"""The limits of a card's file."""


def find(name: str) -> Card:
    """The card called ``name`` (or ``default``), or the card file at that path.

    OSError where there is none, ValueError where the card is invalid; both say what would be right.
    """
    if is_path(name):
        return read_card(Path(name))
    cards = {alias: card for card in cards_here() for alias in (card.name, *card.aliases)}
    if name in cards:
        return cards[name]
    near = difflib.get_close_matches(name, cards, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise FileNotFoundError(
        f"no model {name!r}; {hint}known: {', '.join(sorted(cards))}, or the path of a card.yaml"
    )


def is_path(name: str) -> bool:
    """Whether ``name`` is the path of a card's file instead of the name of a built-in card."""
    return name.endswith((".yaml", ".yml"))


@functools.cache
def cards_here() -> tuple[Card, ...]:
    """The built-in cards."""
    return tuple(read_card(path) for path in sorted(CARDS.glob("*.yaml")))


def read_card(path: Path) -> Card:
    """A card from its YAML file; ``weights`` and the test picture are relative to it."""
    try:
        card = _FORMAT.validate_python(_fields(path))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "format"
        raise ValueError(f"{path}: {where}: {detail['msg'].removeprefix('Value error, ')}") from error
    here: dict[str, Any] = {"weights": path.parent / card.weights}
    if card.proof is not None:
        here["proof"] = card.proof.model_copy(update={"picture": path.parent / card.proof.picture})
    return card.model_copy(update=here)


def _fields(path: Path) -> dict[str, Any]:
    """The mapping in a card's file; its size and depth are limited, and aliases are refused."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    try:
        text = read_regular(path, MOST_BYTES).decode()
        depth = 0
        for event in YAML(typ="safe", pure=True).parse(StringIO(text)):  # before any recursive parser sees it
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise ValueError(f"{path}: no model's card: nested deeper than {MOST_DEPTH}")
            if isinstance(event, AliasEvent):
                raise ValueError(f"{path}: no model's card: it has an alias (*); write it out")
        fields = YAML(typ="safe").load(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no model's card: not UTF-8 text") from error
    except YAMLError as error:
        raise ValueError(f"{path}: no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(fields, dict) or "format" not in fields:
        raise ValueError(f"{path}: no model's card: it has no format; see {CARDS} for examples")
    return fields


_FORMAT: TypeAdapter[Card] = TypeAdapter(Format)
