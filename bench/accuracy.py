"""AP on labelled pictures by class, grouped and by size, beside that of another checkout, model or variant.

``python -m bench.accuracy PICTURES… [--against CHECKOUT] [--against-model CARD] [--as VARIANT…]``

PICTURES: folders with an ``instances.json`` in COCO form; several are taken as one set. ``--against``: a git
checkout of ringpost, such as one of an earlier version. The paired bootstrap draws the same pictures for
both sides. ``--as`` changes the pictures first: `bench.picture_variants`.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import models
from agent.cli.detect import DetectOptions, detect_command
from bench.accuracy_tables import GROUPED, Scored, Table, by_input_height, by_size, grouped, means
from bench.picture_variants import make_variant

HERE = Path(__file__).resolve().parents[1]
CPU_ROUNDS = 3
"""Each checkout or model runs this often, in turn; the CPU ratio is that of the fastest."""


def measure(pictures: Path, model: str = "default") -> dict[str, float]:
    """AP50 and AP over the classes that ``pictures/instances.json`` labels, and AP50 and AP of each class."""
    truth = pictures / "instances.json"
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        out = Path(folder) / "results.json"
        if detect_command([str(pictures)], DetectOptions(model=model, coco=out, annotations=truth)) != 0:
            raise SystemExit("detect failed")
        results = json.loads(out.read_text())
    return Scored(json.loads(truth.read_text()), results).summary()


def widen(pictures: Path, folder: Path) -> Path:
    """The pictures at 16:9, and their labels with them, in ``folder``."""
    return make_variant(pictures, folder, ["16:9"])


def looked(pictures: Path, checkout: Path, model: str, out: Path) -> tuple[list[dict[str, Any]], float]:
    """Detections of ``ringpost detect`` of a checkout, and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "agent", "detect", str(pictures), "--model", model]
    command += ["--coco", str(out), "--annotations", str(pictures / "instances.json")]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=checkout, env=environment, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(out.read_text()), used_s


def joined(folders: list[Path], target: Path) -> Path:
    """Several labelled folders as one."""
    whole: dict[str, Any] = {"info": {}, "images": [], "annotations": [], "categories": []}
    for number, folder in enumerate(folders, 1):
        truth = json.loads((folder / "instances.json").read_text())
        whole["categories"] = max(whole["categories"], truth["categories"], key=len)
        for image in truth["images"]:
            found = [folder / image["file_name"], folder / "images" / Path(image["file_name"]).name]
            path = next(path for path in found if path.is_file())
            name = f"{number}-{image['id']}{path.suffix}"
            (target / name).symlink_to(path.resolve())
            whole["images"].append(image | {"id": number * 10**9 + image["id"], "file_name": name})
        for label in truth["annotations"]:
            label["image_id"] += number * 10**9
            whole["annotations"].append(label | {"id": len(whole["annotations"]) + 1})
    (target / "instances.json").write_text(json.dumps(whole))
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--against", type=Path, default=None)
    parser.add_argument("--against-model", default=None)
    parser.add_argument("--as", dest="variant", nargs="*", default=[])
    parser.add_argument("--against-as", nargs="*", default=None)
    parser.add_argument("--draws", type=int, default=300)
    asked = parser.parse_args()
    sides = [(HERE, asked.model, asked.variant)]
    if asked.against or asked.against_model or asked.against_as is not None:
        variant = asked.variant if asked.against_as is None else asked.against_as
        sides.append(((asked.against or HERE).resolve(), asked.against_model or asked.model, variant))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "all").mkdir()
        whole = joined(asked.pictures, folder / "all")
        places = []
        for index, (_, _, variant) in enumerate(sides):
            changed = folder / f"as{index}"
            changed.mkdir()
            places.append(make_variant(whole, changed, variant) if variant else whole)
        found: list[list[dict[str, Any]]] = [[] for _ in sides]
        used: list[list[float]] = [[] for _ in sides]
        costs = len({side[:2] for side in sides}) > 1
        for _ in range(CPU_ROUNDS if costs else 1):
            for index, (checkout, model, _) in enumerate(sides):
                found[index], cpu_s = looked(places[index], checkout, model, folder / "out.json")
                used[index].append(cpu_s)
        truths = [json.loads((place / "instances.json").read_text()) for place in places]
    pairs = list(zip(truths, found, strict=True))
    table = Table("before" if len(sides) > 1 else "")
    table.classes([Scored(*pair) for pair in pairs], [Scored(*grouped(*pair)) for pair in pairs], asked.draws)
    score = models.find(asked.model).score
    table.sizes([by_size(*grouped(*pair), score) for pair in pairs], "pixels of the picture", score)
    area = means(models.find(asked.model))
    table.sizes(
        [by_input_height(*grouped(*pair), score, area) for pair in pairs], "pixels at the input", score
    )
    if costs:
        print(
            f"\nCPU, loading included, of {len(truths[0]['images'])} pictures, {CPU_ROUNDS} runs in turn:",
            end=" ",
        )
        print(f"{min(used[0]):.1f} s against {min(used[1]):.1f} s: ratio {min(used[0]) / min(used[1]):.3f}")
    print(f"grouped: {', '.join(GROUPED)} are one class, vehicle")


if __name__ == "__main__":
    main()
