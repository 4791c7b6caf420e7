"""What a picture shows. `Format` lists all kinds of network that can be read; `find` gives a card."""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from models.card import Card
from models.detr import Detr
from models.e2e import E2e
from models.nanodet import Nanodet
from models.paddle import Paddle
from models.ssd import Ssd
from models.yolo import Yolo
from models.yolox import Yolox

Format = Annotated[E2e | Nanodet | Paddle | Yolox | Yolo | Detr | Ssd, Field(discriminator="format")]

CARDS = Path(__file__).parent / "cards"


def find(name: str) -> Card:
    """The card called ``name`` (or ``default``), or the card file at that path.

    OSError where there is none, ValueError where the card is no card; both name what would be right.
    """
    if name.endswith((".yaml", ".yml")):
        return read_card(Path(name))
    cards = {alias: card for card in cards_here() for alias in (card.name, *card.aliases)}
    if name in cards:
        return cards[name]
    near = difflib.get_close_matches(name, cards, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise FileNotFoundError(
        f"no model {name!r}; {hint}known: {', '.join(sorted(cards))}, or the path of a card.yaml"
    )


def cards_here() -> list[Card]:
    """The cards that come with ringpost."""
    return [read_card(path) for path in sorted(CARDS.glob("*.yaml"))]


def read_card(path: Path) -> Card:
    """A card from its YAML file; ``weights`` and the test picture are relative to it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        fields: Any = YAML(typ="safe").load(path.read_text())
        if not isinstance(fields, dict) or "format" not in fields:
            raise ValueError(f"{path}: no model's card: it has no format; see {CARDS} for examples")
        card = _FORMAT.validate_python(fields)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "format"
        raise ValueError(f"{path}: {where}: {detail['msg'].removeprefix('Value error, ')}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no model's card: not UTF-8 text") from error
    except YAMLError as error:
        raise ValueError(f"{path}: no YAML: {str(error).splitlines()[0]}") from error
    here: dict[str, Any] = {"weights": path.parent / card.weights}
    if card.proof is not None:
        here["proof"] = card.proof.model_copy(update={"picture": path.parent / card.proof.picture})
    return card.model_copy(update=here)


_FORMAT: TypeAdapter[Card] = TypeAdapter(Format)
