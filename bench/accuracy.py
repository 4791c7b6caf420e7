"""mAP of a model on labelled pictures, by pycocotools: ``python -m bench.accuracy PICTURES [MODEL]``."""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from agent.detect import detect_command


def measure(pictures: Path, model: str = "default") -> dict[str, float]:
    """AP50 and AP over the classes that ``pictures/instances.json`` labels, and AP50 of each class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = pictures / "instances.json"
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        out = Path(folder) / "results.json"
        if detect_command([str(pictures)], model, None, None, None, out, truth, as_json=False) != 0:
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
        result[f"AP50 {name}"] = round(float(precision[precision > -1].mean()), 4)
    return result


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), *sys.argv[2:3]), indent=1))
