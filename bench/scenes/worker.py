"""A detector of any checkout: frames come on standard input, detections go to standard output as JSON lines.

Run with that checkout first on the path: ``PYTHONPATH=CHECKOUT python -P worker.py MODEL``. Imports nothing
of the benches, so that it runs with older checkouts. A frame: its rows and columns as text, then its bytes.
"""

import json
import sys

import numpy as np

import models

LEAST_SCORE = 0.05


def main() -> None:
    """Until the input ends."""
    detect = models.find(sys.argv[1]).at(LEAST_SCORE).load()
    source = sys.stdin.buffer
    while head := source.readline():
        rows, columns = map(int, head.split())
        frame = np.frombuffer(source.read(rows * columns * 3), np.uint8).reshape(rows, columns, 3)
        found = [
            [one.label, round(float(one.score), 3), [round(float(edge), 4) for edge in one.box]]
            for one in detect(frame)
        ]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
