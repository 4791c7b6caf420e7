"""Look at scenes: ``python -m bench.scenes SEED… [--out DIR]``, or ``sprites`` instead of seeds.

Writes a contact sheet of each scene (six frames) with its zones, and prints its events.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from bench.scenes import BUILD, FPS, HEIGHT, VISION, WIDTH
from bench.scenes.render import Renderer
from bench.scenes.script import FRAMES, Script, script
from bench.scenes.sprites import Picture, sheet
from bench.scenes.truth import events


def contact_sheet(scene: Script) -> Picture:
    """Six frames of a scene while somebody is there, with zones and line."""
    renderer = Renderer(scene)
    there = [number for number in range(FRAMES) if any(one.path[number] for one in scene.actors)]
    picked = [there[int(share * (len(there) - 1))] for share in (0.1, 0.25, 0.4, 0.6, 0.75, 0.9)]
    cells = []
    for number in picked:
        frame = renderer.frame(number)
        for corners in scene.place.zones().values():
            outline = np.array([(x * WIDTH, y * HEIGHT) for x, y in corners], np.int32)
            cv2.polylines(frame, [outline], isClosed=True, color=(0, 200, 255), thickness=2)
        text = f"{scene.name}, {number / FPS:.1f} s"
        cv2.putText(frame, text, (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 255, 255), 2)
        cells.append(cv2.resize(frame, (480, 270), interpolation=cv2.INTER_AREA))
    return np.asarray(np.vstack([np.hstack(cells[:3]), np.hstack(cells[3:])]), np.uint8)


def main(arguments: list[str]) -> int:
    """Writes the sheets."""
    parser = argparse.ArgumentParser(prog="python -m bench.scenes", description=__doc__)
    parser.add_argument("what", nargs="+", help="seeds, or: sprites")
    parser.add_argument("--out", type=Path, default=BUILD / "sheets")
    given = parser.parse_args(arguments)
    if not VISION.is_dir():
        print(f"bench.scenes: the pictures and clips are not here: {VISION}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    for what in given.what:
        if what == "sprites":
            cv2.imwrite(str(given.out / "sprites.png"), sheet())
            continue
        scene = script(int(what))
        cv2.imwrite(str(given.out / f"{what}.jpg"), contact_sheet(scene))
        print(scene.name)
        for event in events(scene):
            print(
                f"  {event.rule}: {event.at_s:.1f} to {event.ends_s:.1f} s" + ("" if event.must else ", may")
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
