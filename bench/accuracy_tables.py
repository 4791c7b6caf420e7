"""Scores of detections against COCO labels: AP by class, grouped, by height; and a paired bootstrap."""

import contextlib
import copy
import io
import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from models.card import Card
from models.fit import input_size

GROUPED = ("car", "motorcycle", "bus", "truck")
HEIGHTS = (32, 64)
INPUT_HEIGHTS = (8, 12, 16, 24, 32, 48, 64, 96)
Truth = dict[str, Any]
Results = list[dict[str, Any]]
Bands = dict[str, list[tuple[str, int, int, int, int]]]
"""By class: band, labelled, found, detected, right."""


class Scored:
    """AP of ``results`` by pycocotools; drawn again for each bootstrap sample of the pictures."""

    def __init__(self, truth: Truth, results: Results) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            known = COCO()
            known.dataset = copy.deepcopy(truth)
            for label in known.dataset["annotations"]:
                label.setdefault("iscrowd", 0)
                label.setdefault("area", label["bbox"][2] * label["bbox"][3])
            known.createIndex()
            self._run = COCOeval(known, known.loadRes(copy.deepcopy(results)), "bbox")
            self._run.params.areaRng, self._run.params.areaRngLbl = [[0, 1e10]], ["all"]
            self._run.params.maxDets = [100]
            self._run.evaluate()
        self._matched = self._run.evalImgs
        self.names = [known.loadCats([number])[0]["name"] for number in self._run.params.catIds]
        self.pictures = len(self._run.params.imgIds)

    def by_class(self, drawn: Iterable[int] | None = None) -> dict[str, tuple[float, float]]:
        """AP50 and AP of each labelled class, over the pictures ``drawn`` (indices, with repetition)."""
        order = list(range(self.pictures) if drawn is None else drawn)
        run, count = self._run, self.pictures
        run.evalImgs = [
            self._matched[kind * count + index] for kind in range(len(self.names)) for index in order
        ]
        run.params.imgIds = run._paramsEval.imgIds = list(range(len(order)))
        with contextlib.redirect_stdout(io.StringIO()):
            run.accumulate()
        precision = run.eval["precision"][:, :, :, 0, 0]
        result = {}
        for index, name in enumerate(self.names):
            known = precision[:, :, index]
            if (known > -1).any():
                result[name] = float(known[0][known[0] > -1].mean()), float(known[known > -1].mean())
        return result

    def summary(self) -> dict[str, float]:
        classes = self.by_class()
        result = {"AP50": _mean(classes, 0), "AP": _mean(classes, 1)}
        for name, (ap50, ap) in classes.items():
            result |= {f"AP50 {name}": round(ap50, 4), f"AP {name}": round(ap, 4)}
        return result


def _mean(classes: dict[str, tuple[float, float]], index: int) -> float:
    return round(sum(pair[index] for pair in classes.values()) / max(len(classes), 1), 4)


def grouped(truth: Truth, results: Results) -> tuple[Truth, Results]:
    """Both with the classes of `GROUPED` as one, ``vehicle``; the rest as it is."""
    numbers = [one["id"] for one in truth["categories"] if one["name"] in GROUPED]
    if not numbers:
        return truth, results
    to = dict.fromkeys(numbers, numbers[0])
    kinds = [one for one in truth["categories"] if one["id"] not in numbers]
    kinds.append({"id": numbers[0], "name": "vehicle"})
    labels = [
        one | {"category_id": to.get(one["category_id"], one["category_id"])} for one in truth["annotations"]
    ]
    found = [one | {"category_id": to.get(one["category_id"], one["category_id"])} for one in results]
    return truth | {"categories": kinds, "annotations": labels}, found


def means(card: Card) -> int:
    """Pixels of the card's input."""
    return card.input.width * card.input.height


def by_size(truth: Truth, results: Results, score: float) -> Bands:
    """Found and right at ``score`` and IoU 0.5, by height in pixels of the picture."""
    return _bands(truth, results, score, HEIGHTS, {image["id"]: 1.0 for image in truth["images"]})


def by_input_height(truth: Truth, results: Results, score: float, area: int) -> Bands:
    """The same, by height in pixels of an input of ``area`` pixels sized by the picture's aspect."""
    scales = {}
    for image in truth["images"]:
        width, height = input_size(image["width"], image["height"], area)
        scales[image["id"]] = min(width / image["width"], height / image["height"])
    return _bands(truth, results, score, INPUT_HEIGHTS, scales)


def _bands(
    truth: Truth, results: Results, score: float, edges: tuple[int, ...], scales: dict[int, float]
) -> Bands:
    names = {one["id"]: one["name"] for one in truth["categories"]}
    labels: dict[tuple[int, int], list[Truth]] = defaultdict(list)
    detections: dict[tuple[int, int], list[Truth]] = defaultdict(list)
    for one in truth["annotations"]:
        labels[one["image_id"], one["category_id"]].append(one)
    for one in sorted(results, key=lambda one: -one["score"]):
        if one["score"] >= score:
            detections[one["image_id"], one["category_id"]].append(one)
    counts = {name: np.zeros((len(edges) + 1, 4), int) for name in names.values()}
    for image, kind in sorted(labels.keys() | detections.keys()):
        into, scale = counts[names[kind]], scales[image]
        wanted = labels[image, kind]
        taken: set[int] = set()
        for one in wanted:
            if not one.get("iscrowd"):
                into[bisect_right(edges, one["bbox"][3] * scale), 0] += 1
        for one in detections[image, kind]:
            overlaps = [
                (_overlap(one["bbox"], other["bbox"], bool(other.get("iscrowd"))), index)
                for index, other in enumerate(wanted)
                if index not in taken
            ]
            best, index = max(overlaps, default=(0.0, -1))
            band = bisect_right(edges, one["bbox"][3] * scale)
            if best >= 0.5 and wanted[index].get("iscrowd"):
                continue  # neither right nor wrong
            into[band, 2] += 1
            if best >= 0.5:
                taken.add(index)
                into[band, 3] += 1
                into[bisect_right(edges, wanted[index]["bbox"][3] * scale), 1] += 1
    spans = ["< " + str(edges[0]), *(f"{low}-{high}" for low, high in itertools.pairwise(edges))]
    spans.append(f">= {edges[-1]}")
    return {
        name: [(span, *(int(one) for one in row)) for span, row in zip(spans, rows, strict=True)]
        for name, rows in counts.items()
    }


def _overlap(box: list[float], other: list[float], crowd: bool) -> float:
    """Intersection over union; over the box itself in a crowd."""
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    common = max(0.0, across) * max(0.0, down)
    whole = box[2] * box[3] + (0 if crowd else other[2] * other[3] - common)
    return common / whole if whole > 0 else 0.0


class Table:
    """Prints the scores of one side, or of two beside each other."""

    def __init__(self, second: str) -> None:
        self._second = second

    def classes(self, plain: list[Scored], together: list[Scored], draws: int) -> None:
        header = "AP50 / AP" + (
            f" | {self._second} | AP50 5-95 % of the difference, better in" if self._second else ""
        )
        print(
            f"| {plain[0].pictures} pictures | {header} |\n|---|---" + "|---|---" * bool(self._second) + "|"
        )
        for title, sides in (("mean", plain), ("grouped mean", together)):
            scores = [side.by_class() for side in sides]
            samples = self._samples(sides, draws) if self._second else []
            means_ = [(_mean(one, 0), _mean(one, 1)) for one in scores]
            whole = [_mean(a, 0) - _mean(b, 0) for a, b in samples]
            self._row(title, means_, whole)
            for name in scores[0]:
                if title == "mean" or name == "vehicle":
                    apart = [a[name][0] - b[name][0] for a, b in samples if name in a and name in b]
                    self._row(name, [one.get(name, (0.0, 0.0)) for one in scores], apart)

    def _samples(self, sides: list[Scored], draws: int) -> list[tuple[Any, Any]]:
        source = np.random.default_rng(1)
        count = sides[0].pictures
        picks = [source.integers(0, count, count).tolist() for _ in range(draws)]
        return [(sides[0].by_class(pick), sides[1].by_class(pick)) for pick in picks]

    def _row(self, title: str, scores: list[tuple[float, float]], apart: list[float]) -> None:
        cells = [f"{ap50:.3f} / {ap:.3f}" for ap50, ap in scores]
        if apart:
            low, high = np.percentile(apart, (5, 95))
            better = sum(one > 0 for one in apart) / len(apart)
            cells.append(f"{low:+.3f} … {high:+.3f}, {better:.0%}")
        print(f"| {title} | {' | '.join(cells)} |")

    def sizes(self, sides: list[Bands], unit: str, score: float) -> None:
        """Recall and precision at ``score``, by class and height."""
        print(f"\n| height in {unit}, score {score:g} | labelled | recall | precision |\n|---|---|---|---|")
        for name, rows in sides[0].items():
            for index, (span, count, *_) in enumerate(rows):
                if not count and not rows[index][3]:
                    continue
                recalls = [_share(side[name][index][2], side[name][index][1]) for side in sides]
                rights = [_share(side[name][index][4], side[name][index][3]) for side in sides]
                print(
                    f"| {name} {span} | {count} | {' (before '.join(recalls)}{')' * (len(sides) > 1)}", end=""
                )
                print(f" | {' (before '.join(rights)}{')' * (len(sides) > 1)} |")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"
