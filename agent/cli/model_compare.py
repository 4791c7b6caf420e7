"""``ringpost models verify MODEL --against OTHER``: what a model loses against another (its int8 copy).

No labels are needed: the objects that the other model detects in the operator's pictures are the reference.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

import models
from agent.cli.detect_input import decode_files, list_files
from agent.runtime.error_text import describe_error
from models.boxes import iou
from models.detection import Detection
from models.session import providers_in

SAME_BOX = 0.5
LEAST_OBJECTS = 10
"""A label with fewer objects in the pictures says nothing: two lost ones may be chance."""


def matched(reference: Sequence[Detection], seen: Sequence[Detection]) -> list[Detection]:
    """The detections of ``reference`` that ``seen`` has too: same label, `SAME_BOX` of overlap, each once."""
    rest, found = list(seen), []
    for one in sorted(reference, key=lambda one: -one.score):
        same = [other for other in rest if other.label == one.label and iou(one.box, other.box) >= SAME_BOX]
        if same:
            rest.remove(max(same, key=lambda other: iou(one.box, other.box)))
            found.append(one)
    return found


def too_much_lost(reference: Counter[str], found: Counter[str], most_lost: float) -> dict[str, float]:
    """The share lost of each label of which more than ``most_lost`` is lost."""
    shares = {label: 1 - found[label] / count for label, count in reference.items() if count >= LEAST_OBJECTS}
    return {label: share for label, share in shares.items() if round(share, 6) > most_lost}


def compare_command(
    name: str, against: str, pictures: Path, most_lost: float, providers: str, as_json: bool
) -> int:
    """Prints what is lost of each label. 1 where it is more than ``most_lost``, or too few are seen."""
    reference: Counter[str] = Counter()
    found: Counter[str] = Counter()
    try:
        asked = providers_in(providers)
        cards = [models.find(one) for one in (name, against)]
        model, other = (card.on(asked or card.providers).load() for card in cards)
        for frame in decode_files(list(list_files([str(pictures)], None))):
            if frame.frame is None:
                raise ValueError(f"{frame.name}: {frame.error}")
            wanted = [one for one in other(frame.frame) if one.label in cards[0].labels]
            reference += Counter(one.label for one in wanted)
            found += Counter(one.label for one in matched(wanted, model(frame.frame)))
    except (OSError, ValueError) as error:
        click.echo(f"models: {describe_error(error)}", err=True)
        return 1
    lost = too_much_lost(reference, found, most_lost)
    unknown = max(reference.values(), default=0) < LEAST_OBJECTS
    if as_json:
        labels = {label: {"found": found[label], "of": count} for label, count in reference.items()}
        print(json.dumps({"model": name, "against": against, "ok": not (lost or unknown), "labels": labels}))
    else:
        for label, count in reference.most_common():
            print(f"{label:16} {found[label]:4} of {count}")
    if unknown:
        click.echo(f"models: fewer than {LEAST_OBJECTS} objects of each label in {pictures}", err=True)
    for label, share in sorted(lost.items()):
        text = f"loses {share:.0%} of the {label} detections of {against}, more than {most_lost:.0%}"
        click.echo(f"models: {name} {text}: don't use it", err=True)
    return 1 if lost or unknown else 0
