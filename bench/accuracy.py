"""mAP of a model on labelled pictures, by pycocotools: ``python -m bench.accuracy PICTURES [MODEL] [16:9]``.

With 16:9 each picture is first padded with grey to that shape, as if it were cut from a camera frame.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from agent.cli.detect import DetectOptions, detect_command


def measure(pictures: Path, model: str = "default") -> dict[str, float]:
    """AP50 and AP over the classes that ``pictures/instances.json`` labels, and AP50 of each class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = pictures / "instances.json"
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        out = Path(folder) / "results.json"
        if detect_command([str(pictures)], DetectOptions(model=model, coco=out, annotations=truth)) != 0:
            raise SystemExit("detect failed")
        known = COCO(str(truth))
        evaluation = COCOeval(known, known.loadRes(json.loads(out.read_text())), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    result = {"AP50": round(float(evaluation.stats[1]), 4), "AP": round(float(evaluation.stats[0]), 4)}
    for index, number in enumerate(evaluation.params.catIds):
        precision = evaluation.eval["precision"][0, :, index, 0, -1]
        name = known.loadCats([number])[0]["name"]
        if (known_precision := precision[precision > -1]).size:
            result[f"AP50 {name}"] = round(float(known_precision.mean()), 4)
    return result


def widen(pictures: Path, folder: Path) -> Path:
    """The pictures at 16:9, and their labels with them, in ``folder``."""
    import cv2
    import numpy as np

    truth = json.loads((pictures / "instances.json").read_text())
    for image in truth["images"]:
        found = [pictures / image["file_name"], pictures / "images" / Path(image["file_name"]).name]
        picture = cv2.imread(str(next(path for path in found if path.is_file())))
        assert picture is not None
        rows, columns = picture.shape[:2]
        width, height = max(columns, round(rows * 16 / 9)), max(rows, round(columns * 9 / 16))
        left, top = (width - columns) // 2, (height - rows) // 2
        canvas = np.full((height, width, 3), 114, np.uint8)
        canvas[top : top + rows, left : left + columns] = picture
        image["file_name"], image["width"], image["height"] = f"{image['id']}.png", width, height
        cv2.imwrite(str(folder / image["file_name"]), canvas)
        for label in truth["annotations"]:
            if label["image_id"] == image["id"]:
                label["bbox"][0] += left
                label["bbox"][1] += top
                label.pop("segmentation", None)
    (folder / "instances.json").write_text(json.dumps(truth))
    return folder


if __name__ == "__main__":
    given = [one for one in sys.argv[1:] if one != "16:9"]
    with tempfile.TemporaryDirectory() as name:
        where = widen(Path(given[0]), Path(name)) if "16:9" in sys.argv else Path(given[0])
        print(json.dumps(measure(where, *given[1:2]), indent=1))
