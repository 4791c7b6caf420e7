"""Child process of `models`: loads a network and measures it. JSON in on stdin, out on stdout."""

import json
import os
import resource
import sys

import models
from agent.host.clock import monotonic_s
from models.session import providers_in


def main() -> None:
    import numpy as np

    asked = json.load(sys.stdin)
    began_s = monotonic_s()
    card = models.find(asked["model"])
    detect = card.on(providers_in(",".join(asked["providers"])) or card.providers).load()
    load_s = monotonic_s() - began_s
    frame = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    took_ms = []
    for _ in range(asked["runs"]):
        began_s = monotonic_s()
        detect(frame)
        took_ms.append((monotonic_s() - began_s) * 1000)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = {"load_s": load_s, "ms": min(took_ms), "rss_mb": rss_mb, "cores": os.cpu_count() or 1}
    print(json.dumps(answer | {"runs_on": detect.runs_on, "note": detect.note}))


if __name__ == "__main__":
    main()
