"""Synthetic scenes for judging alerts: seed → script → frames and the truth of events.

People and vehicles are cut out of the clips and photographs of ``../shared`` and composed at the right scale
into its empty views. ``places`` holds the views, ``sprites`` the cut-outs, ``script`` decides who comes when,
``render`` makes the frames, ``truth`` derives the events from the script alone, ``detections`` caches what a
detector finds, ``judge`` runs tracker and rules. Everything measured here is synthetic.
"""

from pathlib import Path

VISION = Path(__file__).resolve().parents[3] / "shared" / "data" / "vision"
BUILD = Path(__file__).resolve().parents[2] / "build" / "scenes"
WIDTH, HEIGHT, FPS = 1280, 720, 5
VERSION = 1
"""Change it when a script or its frames change: what was kept of them is made anew."""
CHOOSING, REPORTING = 0, 1000
"""First seeds of the scenes for choosing settings, and of those for reporting."""
