"""A model, in the process of a probe: its card, whether it loads, and milliseconds per inference."""

import resource
import statistics

from agent.host.clock import monotonic_s
from agent.privacy.redaction import detects_people
from agent.runtime.child_process import answer
from agent.vision.detector import DetectorSettings

RUNS = 5
MAX_LABELS = 100
ROWS, COLUMNS = 720, 1280


def probe_model(settings: DetectorSettings) -> None:
    """Answers with the card, then with what the network does here. OSError, ValueError: why it does not."""
    card = settings.card()
    answer(
        {
            "kind": "model", "model": card.name, "licence": card.licence, "labels": card.labels[:MAX_LABELS],
            "labels_total": len(card.labels), "input": str(card.input),
            "redacts_people": detects_people(card), "sha256": card.sha256,
            "weights_mb": round(card.weights_file().stat().st_size / 1e6, 1),
        }
    )  # fmt: skip
    import numpy as np

    began_s = monotonic_s()
    loaded = card.load()
    answer({"load_s": round(monotonic_s() - began_s, 1), "runs_on": loaded.runs_on})
    if loaded.note:
        answer({"note": loaded.note})
    frame = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS, 3), np.uint8)
    took_ms = []
    for _ in range(RUNS):
        began_s = monotonic_s()
        loaded(frame)
        took_ms.append((monotonic_s() - began_s) * 1000)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer({"inference_ms": round(statistics.median(took_ms), 1), "memory_mb": round(rss_mb)})
